"""From rows to what calibrates the code's part of the score: codes to store, held-out levels.

Knows: models and sources. Must not know: how either came about.
"""

from __future__ import annotations

import numpy as np

from xhat.codepart import CodePart, Unseen, store, stored_size
from xhat.maths.types import Vector
from xhat.model import Model
from xhat.sources import Index, Source, Subset


def store_codes(model: Model, source: Source, train: Index, *, clean: bool) -> CodePart | None:
    """Return the codes of a few training rows, drawn at random by weight; None if rows are few.

    The seed is fixed: the draw has nothing to do with the fit's own randomness.
    """
    weight = None if source.weight is None else source.weight[train]
    m = stored_size(len(train), clean=clean)
    if m == 0:
        return None
    share = None if weight is None else weight / weight.sum()
    drawn = np.random.default_rng(0).choice(len(train), m, replace=False, p=share)
    order = np.argsort(drawn, kind="stable")  # rows on disk are read in their order
    rows = Subset(source.X, train)[drawn[order]]
    H = np.empty((m, model.net.k))
    H[order] = model.scored_codes(rows)
    return store(H, model.rebuilt(H), model.engine, clean=clean)


def unseen(model: Model, part: CodePart, rows: Subset, weight: Vector | None) -> Unseen:
    """Return what ``calibrate`` needs of held-out rows; the model's own part is not used."""
    width = len(model.schema.columns)
    columns = model.scores(rows, lambda nats: nats[:, :width])
    return Unseen(part, model.scored_codes(rows), columns, weight)
