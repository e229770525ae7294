"""Which cells a row's score comes from: how far it falls when a cell is hidden.

Knows: a fitted model, rows. Must not know: containers, how the model was found.

A cell's own term of the score says how badly it fits a reconstruction that it took part in: a wrong
cell is half copied, and cells that go with it are blamed. Hidden, it takes nobody with it, and the
score of the others shows what it had cost (docs/maths.md, section 20).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xhat.auto import EXPLAINED
from xhat.maths import heads
from xhat.maths.objective import Batch
from xhat.maths.types import Matrix
from xhat.model import Model
from xhat.odds import log_odds

Floats = npt.NDArray[np.float64]
#: Cells (rows x hidden columns x columns) that are worked on at a time: 1 MB.
HIDDEN_CELLS = 2**17


@dataclass(frozen=True)
class Reasons:
    """Parts of the scores of some rows, and what the other cells say of each.

    Attributes
    ----------
    nats : ndarray of shape (n, parts)
        Every column's part of the score, float64, and the code's if that has one.
    expected : ndarray of shape (n, columns)
        Raw values: what a row's other cells say of each, or with more than EXPLAINED columns what
        it was scored against.
    """

    nats: Floats
    expected: Floats


def reasons(model: Model, X: object) -> Reasons:
    """Return the parts of every row's score with what was expected."""
    if not _hides(model):
        return Reasons(model.nats(X), model.expected(X))
    both = _of_rows(model, X, expect=True)
    return Reasons(both[:, : model.parts], both[:, model.parts :])


def parts(model: Model, X: object) -> Floats:
    """Return the parts of every row's score, (n, parts).

    What a row's clipped cells add to the score is shared out in proportion to how far it falls when
    each of them is hidden and, where there is a filler, how much likelier it is a chance draw than
    what the others say of it, as far as these are positive; what a cell outside the clip range adds
    more, and a level never seen in training, belongs to it alone (equations 57 to 64). A row with
    no such cell, and tables of one column or more than EXPLAINED, have the columns' own terms.
    """
    return _of_rows(model, X, expect=False) if _hides(model) else model.nats(X)


def _hides(model: Model) -> bool:
    return 1 < len(model.schema.columns) <= EXPLAINED


def _of_rows(model: Model, X: object, *, expect: bool) -> Floats:
    """Return the parts of every row's score and, if asked for, what is expected beside them.

    A missing cell hides nothing, its part is 0, and neither does a level never seen. Where no
    filler says what a hidden cell holds, a model that never learnt what the mean in place of a cell
    means is shown what it makes of that mean; other missing cells stay filled as they are.
    """
    all_nats, nats = model.all_nats(), model.seen_nats()

    def hide_each(raw: Matrix, tile: Batch) -> Floats:
        whole, clipped = all_nats(raw, tile), replace(tile, X=model.schema.clip(tile.X))
        own, code = np.split(whole, [raw.shape[1]], axis=1)
        inside = nats(clipped)
        signs, expected = _signs(model, clipped, inside.sum(axis=1), nats, expect=expect)
        return np.hstack([_shared_out(own, inside, signs), code, expected])

    return model.of_rows(X, hide_each)


def _signs(
    model: Model,
    clipped: Batch,
    score: Floats,
    nats: Callable[[Batch], Floats],
    *,
    expect: bool,
) -> tuple[Floats, Floats]:
    """Return how much speaks against each cell, 0 at least, and what is expected there."""
    n, columns = len(clipped.X), len(model.schema.columns)
    signs, expected = np.empty((n, columns)), np.empty((n, columns if expect else 0))
    size = max(1, HIDDEN_CELLS // (columns * model.net.d))
    for start in range(0, n, size):
        rows = slice(start, start + size)
        mask = None if clipped.mask is None else clipped.mask[rows]
        part = Batch(clipped.X[rows], None, mask)
        signs[rows], expected[rows] = _hiding_each(model, part, score[rows], nats, expect=expect)
    return signs, expected


def _hiding_each(
    model: Model,
    rows: Batch,
    score: Floats,
    nats: Callable[[Batch], Floats],
    *,
    expect: bool,
) -> tuple[Floats, Floats]:
    """Return the signs of some rows: each stands there once for every column, which is hidden."""
    schema, filler, filling = model.schema, model.filler, model.filling
    columns, dtype = len(schema.columns), rows.X.dtype
    hidden = np.tile(schema.group == np.arange(columns)[:, None], (len(rows.X), 1))
    Z, fill = np.repeat(rows.X, columns, axis=0), schema.fill.astype(dtype)
    seen = np.ones_like(Z) if rows.mask is None else np.repeat(rows.mask, columns, axis=0)
    seen = np.where(hidden, 0, seen).astype(dtype)
    X = np.where(hidden, fill, Z)
    if filler is not None:  # other cells that say nothing were completed by looking at this one
        said = filler.said(np.where(seen > 0, X, fill))
        X = np.where(hidden, schema.likeliest(said), Z).astype(dtype)
    elif model.rounds > 1:
        X = np.where(hidden, schema.inside(_rebuilt(model, X)), Z).astype(dtype)
    shape = (len(rows.X), columns)
    each = np.arange(columns)
    others = nats(Batch(X, None, seen)).sum(axis=1).reshape(shape)
    signs = np.maximum(score[:, None] - others, 0)  # (57)
    if filler is not None and filling is not None and filling.witness is not None:
        of_each = np.asarray(schema.clip(said), np.float64).reshape(*shape, -1)
        odds = [log_odds(schema, filling.witness, j, rows.X, of_each[:, j]) for j in range(columns)]
        signs = np.maximum(signs + np.column_stack(odds), 0)  # (64)
    if rows.mask is not None:
        signs[rows.mask[:, schema.starts] == 0] = 0
    if not expect:
        return signs, np.empty((len(rows.X), 0))
    told = said if filler is not None else _rebuilt(model, X)
    return signs, np.asarray(schema.decode(told).reshape(*shape, -1)[:, each, each])


def _shared_out(own: Floats, inside: Floats, signs: Floats) -> Floats:
    """Return the parts: of what the clipped cells cost by their signs, the rest to each its own."""
    common = np.minimum(own, inside)
    total = signs.sum(axis=1, keepdims=True)
    shared = signs / np.where(total > 0, total, 1.0) * common.sum(axis=1, keepdims=True)  # (58)
    return np.where(total > 0, shared, common) + np.maximum(own - inside, 0)  # (59)


def _rebuilt(model: Model, X: Matrix) -> Floats:
    """Return the reconstructions of encoded rows as they are scored: clipped."""
    A_hat = model.output(model.schema.clip(X))
    return np.asarray(heads.predict(model.net.blocks, A_hat), np.float64)
