"""Which cells a row's score comes from: how far it falls when a cell is hidden.

Knows: a fitted model, rows. Must not know: containers, how the model was found.

A cell's own term of the score says how badly it fits a reconstruction that it took part in: a wrong
cell is half copied, and cells that go with it are blamed. Hidden, it takes nobody with it, and the
score of the others shows what it had cost (docs/maths.md, section 20).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xhat.maths import heads
from xhat.maths.objective import Batch
from xhat.maths.types import Matrix
from xhat.model import Model

Floats = npt.NDArray[np.float64]
#: Columns up to which every cell is hidden once: the work of so many scorings, or twice as many.
MOST = 100


@dataclass(frozen=True)
class Reasons:
    """Parts of the scores of some rows, and what the other cells say of each.

    Attributes
    ----------
    nats : ndarray of shape (n, parts)
        Every column's part of the score, float64, and the code's if that has one.
    expected : ndarray of shape (n, columns)
        Raw values that the cells were scored against.
    """

    nats: Floats
    expected: Floats


def reasons(model: Model, X: object) -> Reasons:
    """Return the parts of every row's score with what was expected.

    The columns' part of the score is shared out in proportion to how far it falls when a cell is
    hidden, where it falls at all (equations 57 and 58). A row whose score falls by no cell, and
    tables of more than MOST columns, have the columns' own terms.
    """
    nats, d = model.nats(X), len(model.schema.columns)
    if not 1 < d <= MOST:
        return Reasons(nats, model.expected(X))
    both = model.of_rows(X, lambda raw, tile: _hide_each(model, raw, tile))
    falls, expected = np.maximum(both[:, :d], 0), both[:, d:]
    total = falls.sum(axis=1, keepdims=True)
    known = (total > 0) & np.isfinite(total)
    share = falls / np.where(known, total, 1.0)
    own = nats[:, :d]
    nats[:, :d] = np.where(known, share * own.sum(axis=1, keepdims=True), own)
    return Reasons(nats, expected)


def _hide_each(model: Model, raw: Matrix, tile: Batch) -> Floats:
    """Return, side by side, how far the score falls without each cell and what is expected there.

    A missing cell hides nothing: its fall is 0. A model that never learnt what the mean in place of
    a cell means is shown what it makes of that mean.
    """
    schema = model.schema
    n, d = raw.shape
    nats = model.column_nats()
    whole = nats(raw, tile).sum(axis=1)
    falls, expected = np.zeros((n, d)), np.empty((n, d))
    X, bare = tile.X.copy(), raw.copy()
    mask = np.ones_like(X) if tile.mask is None else tile.mask.copy()
    for j, column in enumerate(schema.columns):
        place = slice(schema.starts[j], schema.starts[j] + column.width)
        X[:, place], mask[:, place], bare[:, j] = schema.fill[place], 0, np.nan
        if model.rounds > 1:
            X[:, place] = schema.inside(_rebuilt(model, X))[:, place]
        hidden = Batch(X, None, mask)
        expected[:, j] = schema.decode(_rebuilt(model, X))[:, j]
        falls[:, j] = np.where(np.isnan(raw[:, j]), 0, whole - nats(bare, hidden).sum(axis=1))
        X[:, place], bare[:, j] = tile.X[:, place], raw[:, j]
        mask[:, place] = 1 if tile.mask is None else tile.mask[:, place]
    return np.hstack([falls, expected])


def _rebuilt(model: Model, X: Matrix) -> Floats:
    """Return the reconstructions of encoded rows as they are scored: clipped."""
    A_hat = model.output(model.schema.clip(X))
    return np.asarray(heads.predict(model.net.blocks, A_hat), np.float64)
