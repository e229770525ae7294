"""Draws of what missing cells may hold (docs/maths.md, 21).

Knows: a fitted model, what it expects of every cell. Must not know: containers, raw rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr

from xhat.data.columns import Schema
from xhat.linear import USUAL, Linear
from xhat.maths.types import Matrix
from xhat.model import Model

Floats = npt.NDArray[np.float64]
#: Shares of the way between the ends of a column at which means and quantiles stop.
EDGE, LAST = 1e-3, 1e-12
#: Rows whose cells are drawn at a time where there is no covariance.
STEP = 4096


def rows_at_a_time(model: Model) -> int:
    """Return how many rows ``drawer`` takes."""
    linear = _linear(model)
    return STEP if linear is None else min(STEP, linear.step)


def drawer(model: Model, Z_hat: Floats, seen: Floats) -> Callable[[np.random.Generator], Floats]:
    """Return what draws every hidden cell around what is expected there, within what it can be.

    Numbers lie between the smallest and the largest training value, as far from what is expected
    as the seen cells leave open, and go with each other and with 0/1 cells. Counts are negative
    binomial; levels have the model's probabilities. What the model says of 0/1 cells, levels and
    counts moves to their shares and means of the training rows the less of the row is seen.
    """
    schema, linear = model.schema, _linear(model)
    at = np.nonzero((seen == 0) & schema.squared)
    left = None if linear is None else linear.left(seen)
    variances = np.ones(seen.shape) if left is None else left.variances()
    open_share = _unseen_share(seen) if linear is None else _open_share(linear, variances)
    spread = _spreads(model, variances, open_share)[at]
    low, high = (np.broadcast_to(end, seen.shape)[at] for end in _ends(schema))
    root = np.sqrt(np.where(variances > 0, variances, 1))
    usual = Z_hat + open_share * (schema.fill - Z_hat)

    def draw(rng: np.random.Generator) -> Floats:
        off = rng.normal(size=seen.shape) if left is None else left.drawn(rng) / root
        place = np.clip(ndtr(off), LAST, 1 - LAST)
        drawn = Z_hat.copy()
        drawn[at] = _between(Z_hat[at], spread, place[at], low, high)
        for block in model.net.blocks:
            part, f = usual[:, block.columns], block.head.f
            if f == "softmax":
                drawn[:, block.columns] = _levels(part, rng)
            elif f == "logistic" and not schema.squared[block.start]:
                drawn[:, block.columns] = place[:, block.columns] > 1 - part
            elif f == "exp":
                unit, width = schema.spread[block.columns], _spread(model)[block.columns]
                drawn[:, block.columns] = _counts(part * unit, width**2, rng) / unit
        return drawn

    return draw


def as_cells(model: Model, X: Matrix, rng: np.random.Generator) -> Matrix:
    """Return drawn rows, decoded, with whole numbers where the training rows had no others.

    Of the cells that have a rare level every such level has its share.
    """
    for j, column in enumerate(model.schema.columns):
        if column.whole:
            X[:, j] = np.clip(np.rint(X[:, j]), *np.rint(column.training_range))
        if column.rare:
            at = column.place_of(X[:, j]) == column.width - 1
            share = np.array(column.rare) / np.sum(column.rare)
            X[at, j] = rng.choice(column.levels_of(column.width - 1), int(at.sum()), p=share)
    return X


def _ends(schema: Schema) -> tuple[Floats, Floats]:
    """Return where draws of each encoded column end: whole numbers are rounded at both ends."""
    low, high = schema.extent
    half = schema.spread_out([0.5 / c.spread if c.whole else 0.0 for c in schema.columns])
    return low - half, high + half


def _linear(model: Model) -> Linear | None:
    return None if model.filling is None else model.filling.linear


def _spread(model: Model) -> Floats:
    """Return how far hidden cells usually are from what is expected of them, (d,)."""
    return model.residual if model.filling is None else model.filling.spread


def _open_share(linear: Linear, left: Floats) -> Floats:
    """Return how far cells are on the way from usual rows (0) to rows of which nothing is seen (1).

    ``(v - u) / (w - u)``, v the variance that the covariance leaves, u its mean in rows of which a
    fifth is hidden, w the variance where nothing is seen.
    """
    whole = np.diag(linear.covariance)
    return np.asarray(
        np.clip((left - linear.usual) / np.maximum(whole - linear.usual, 1e-12), 0, 1)
    )


def _unseen_share(seen: Floats) -> Floats:
    """Return the same by the number of hidden cells, where there is no covariance."""
    hidden = (seen == 0).mean(axis=1, keepdims=True)
    return np.asarray(np.broadcast_to(np.clip((hidden - USUAL) / (1 - USUAL), 0, 1), seen.shape))


def _spreads(model: Model, left: Floats, open_share: Floats) -> Floats:
    """Return how far each cell may be from what is expected, by what is seen of its row, (n, d).

    With the usual spread s, that around the mean w^(1/2), and r the open share::

        s sqrt(v / u) if v < u else sqrt(s^2 + r (w - s^2))
    """
    usual, linear = _spread(model), _linear(model)
    witness = None if model.filling is None else model.filling.witness
    whole, less = usual**2, np.ones(left.shape)
    if linear is not None:
        whole = np.diag(linear.covariance)
        less = np.minimum(left / np.maximum(linear.usual, 1e-300), 1)
    elif witness is not None:
        whole = witness.own**2
    wide = usual**2 + np.maximum(whole - usual**2, 0) * open_share
    return np.asarray(np.sqrt(wide * less))


def _between(mean: Floats, spread: Floats, place: Floats, low: Floats, high: Floats) -> Floats:
    """Return quantiles of variables with this mean and spread that stay between two ends.

    Beta distributions: much like normal ones far from both ends, skewed near one of them; nearer to
    it than they are wide, they are only so wide that no end is likelier than what lies beside it.
    """
    width = np.where(high > low, high - low, 1.0)
    m = np.clip((mean - low) / width, EDGE, 1 - EDGE)
    room, near = m * (1 - m), np.minimum(m, 1 - m)
    v = np.clip((spread / width) ** 2, 1e-12, room * near / (1 + near))
    more = room / v - 1
    return np.asarray(low + (high - low) * betaincinv(m * more, (1 - m) * more, place))


def _levels(shares: Floats, rng: np.random.Generator) -> Floats:
    """Draw one level a row, by the model's probabilities."""
    shares = np.maximum(shares, 0) / np.maximum(shares, 0).sum(axis=1, keepdims=True)
    level = (rng.random((len(shares), 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return np.asarray(np.eye(shares.shape[1])[np.minimum(level, shares.shape[1] - 1)])


def _counts(mean: Floats, dispersion: Floats, rng: np.random.Generator) -> Floats:
    """Draw counts whose variance is ``dispersion * mean``: negative binomial, Poisson at 1."""
    more = np.maximum(dispersion - 1, 1e-9)
    counts = rng.negative_binomial(np.maximum(mean, 1e-9) / more, 1 / (1 + more))
    return np.asarray(counts, np.float64)
