"""From rows to what calibrates the code's part of the score: codes to store, held-out distances.

Knows: models and sources. Must not know: how either came about.
"""

from __future__ import annotations

import numpy as np

from xhat.codepart import DRAWN, CodePart, Unseen, between, stored_size
from xhat.maths.types import Vector
from xhat.model import Model
from xhat.sources import Index, Source, Subset


def store_codes(model: Model, source: Source, train: Index) -> CodePart | None:
    """Return the part with codes of a few training rows, not yet calibrated; None if rows are few.

    The rows are drawn at random by weight. The seed is fixed: the draw has nothing to do with the
    fit's own randomness.
    """
    weight = None if source.weight is None else source.weight[train]
    n = len(train) if weight is None else int(np.count_nonzero(weight))
    m = stored_size(n)
    if m == 0:
        return None
    share = None if weight is None else weight / weight.sum()
    drawn = np.random.default_rng(0).choice(len(train), min(DRAWN * m, n), replace=False, p=share)
    order = np.argsort(drawn, kind="stable")  # rows on disk are read in their order
    rows = Subset(source.X, train)[drawn[order]]
    H = np.empty((len(drawn), model.net.k))
    H[order] = model.scored_codes(rows)
    stored = between(H, model.rebuilt(H), m)
    known = model.rebuilt(stored).astype(model.theta.dtype)
    return CodePart(stored, known, 1.0, 0.0, 1.0, model.engine)


def unseen(model: Model, part: CodePart, rows: Subset, weight: Vector | None) -> Unseen:
    """Return what ``calibrate`` needs of held-out rows; the model's own part is not used."""
    width = len(model.schema.columns)
    columns = model.scores(rows, lambda nats: nats[:, :width])
    near = model.of_rows(rows, lambda _, tile: part.nearest(model.whole(tile)))
    return Unseen(near, columns, weight)
