"""From rows to what calibrates the code's part of the score: codes to store, held-out distances.

Knows: models and sources. Must not know: how either came about.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import scipy.sparse

from xhat.codepart import DRAWN, CodePart, Floats, Unseen, between, stored_size
from xhat.data.batches import dense
from xhat.filling import said_by
from xhat.hidden import Hidden
from xhat.linear import WIDEST, Linear, fit_linear
from xhat.maths.objective import Batch
from xhat.maths.types import Matrix, Vector
from xhat.model import Model
from xhat.sources import Index, Source, Subset

#: Rows of which cells are hidden, at most, and how often each.
HIDDEN_ROWS, REPEATS = 1000, 4
#: Share of the cells that are hidden: that of the missing ones, but no less and no more.
LEAST, MOST = 0.1, 0.3
#: Rows that the covariance of the columns is taken from, at most.
COVARIANCE_ROWS = 4000
#: Encoded distances from the mean at most: sums of their squares stay finite.
FAR = 1e100


def codes_to_store(source: Source, train: Index) -> int:
    """Return how many codes of these training rows are stored."""
    n = len(train) if source.weight is None else int(np.count_nonzero(source.weight[train]))
    return stored_size(n)


def store_codes(model: Model, source: Source, train: Index, m: int) -> CodePart | None:
    """Return the part with m codes of training rows, not yet calibrated; None without any.

    The rows are drawn at random by weight. The seed is fixed: the draw has nothing to do with the
    fit's own randomness.
    """
    if m == 0:
        return None
    weight = None if source.weight is None else source.weight[train]
    share = None if weight is None else weight / weight.sum()
    n = len(train) if share is None else int(np.count_nonzero(share))
    drawn = np.random.default_rng(0).choice(len(train), min(DRAWN * m, n), replace=False, p=share)
    order = np.argsort(drawn, kind="stable")  # rows on disk are read in their order
    rows = Subset(source.X, train)[drawn[order]]
    H = np.empty((len(drawn), model.net.k))
    H[order] = model.scored_codes(rows)
    stored = between(H, model.decoded, m)
    return CodePart(stored, model.decoded, 1.0, 0.0, 1.0, model.engine)


def as_calibrated(
    code: CodePart | None, model: Model, source: Source, train: Index
) -> CodePart | None:
    """Return as many codes of another model, with the constants that were found on unseen rows.

    As many: the nearest of more codes would be nearer to every row.
    """
    stored = None if code is None else store_codes(model, source, train, len(code.stored))
    if code is None or stored is None:
        return None
    return replace(stored, unit=code.unit, usual=code.usual, weight=code.weight)


def unseen(model: Model, part: CodePart, rows: Subset, weight: Vector | None) -> Unseen:
    """Return what ``calibrate`` needs of held-out rows; the model's own part is not used."""
    width = len(model.schema.columns)
    columns = model.scores(rows, lambda nats: nats[:, :width])

    def distances(_: Matrix, tile: Batch) -> Floats:
        near = part.nearest(model.whole(tile))
        if tile.mask is not None:
            near[~tile.mask.any(axis=1)] = np.nan
        return near

    near = model.of_rows(rows, distances)
    empty = np.isnan(near[:, 0])
    if empty.any():  # such rows add nothing when they are scored, so they do not count here
        near[empty] = 0
        weight = np.where(empty, 0.0, 1.0 if weight is None else weight)
    return Unseen(near, columns, weight)


def covariance(model: Model, source: Source, train: Index) -> Linear | None:
    """Return the columns' covariance on training rows; None of wide or sparse tables, or no number.

    Missing cells start at what the model expects; cells are clipped as the encoder sees them.
    """
    schema = model.schema
    if schema.d > WIDEST or not schema.squared.any() or scipy.sparse.issparse(source.X):
        return None
    chosen = np.arange(0, len(train), -(-len(train) // COVARIANCE_ROWS))
    tile = model.shown(dense(Subset(source.X, train)[chosen]))
    Z = np.asarray(schema.clip(tile.X), np.float64)
    seen = np.ones(Z.shape) if tile.mask is None else np.asarray(tile.mask, np.float64)
    Z = np.where(seen > 0, Z, schema.clip(model.said_of(tile.X)))
    weight = None if source.weight is None else source.weight[train][chosen]
    return fit_linear(Z, seen, weight) if np.isfinite(Z).all() else None


def hide(model: Model, linear: Linear | None, rows: Subset, weight: Vector | None) -> Hidden:
    """Hide cells of rows at random and compare them with what is then expected."""
    step = -(-len(rows.index) // HIDDEN_ROWS)
    part = Subset(rows.X, np.asarray(rows.index[::step]))  # rows on disk: these alone are read
    w = iter(np.ones(len(part.index)) if weight is None else weight[::step])
    rng, schema = np.random.default_rng(0), model.schema

    def sums_of(raw: Matrix, tile: Batch) -> Floats:
        weights = np.fromiter(itertools.islice(w, len(raw)), np.float64)[:, None]
        total, empty = np.zeros((len(Hidden.__annotations__), schema.d)), np.isnan(raw)
        share = min(max(float(empty.mean()), LEAST), MOST)
        own = _from_mean(model, tile.X)
        for _ in range(REPEATS):
            hidden = (rng.random(raw.shape) < share) & ~empty
            shown = model.shown(np.where(hidden, np.nan, raw))
            said = _from_mean(model, model.said_of(shown.X))
            of_linear = np.zeros((1, schema.d))  # the mean
            if linear is not None:
                of_linear = _from_mean(model, said_by(linear, model, shown))
            total += Hidden.of(hidden[:, schema.group] * weights, own, said, of_linear)
        return total

    # In the order of the rows, which are few: on one thread
    found = np.zeros((len(Hidden.__annotations__), schema.d))
    for _, sums in model.by_tile(part, sums_of, threads=1):
        found += sums
    return Hidden(*found)


def _from_mean(model: Model, Z: Matrix) -> Floats:
    """Return how far encoded cells are from the mean, clipped: a few absurd ones decide nothing."""
    return np.clip(model.schema.clip(Z) - model.schema.fill, -FAR, FAR)
