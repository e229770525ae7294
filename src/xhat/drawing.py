"""Draws of what missing cells may hold (docs/maths.md, 21).

Knows: a fitted model, what it expects of every cell. Must not know: containers, raw rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr

from xhat.linear import Linear
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
    binomial; levels have the model's probabilities.
    """
    linear, at = _linear(model), np.nonzero((seen == 0) & model.schema.squared)
    left = None if linear is None else linear.left(seen)
    variances = np.ones(seen.shape) if left is None else left.variances()
    spread = _spreads(model, variances)[at]
    low, high = (np.broadcast_to(end, seen.shape)[at] for end in model.schema.extent)
    root = np.sqrt(np.where(variances > 0, variances, 1))

    def draw(rng: np.random.Generator) -> Floats:
        off = rng.normal(size=seen.shape) if left is None else left.drawn(rng) / root
        place = np.clip(ndtr(off), LAST, 1 - LAST)
        drawn = Z_hat.copy()
        drawn[at] = _between(Z_hat[at], spread, place[at], low, high)
        for block in model.net.blocks:
            part, f = Z_hat[:, block.columns], block.head.f
            if f == "softmax":
                drawn[:, block.columns] = _levels(part, rng)
            elif f == "logistic" and not model.schema.squared[block.start]:
                drawn[:, block.columns] = place[:, block.columns] > 1 - part
            elif f == "exp":
                unit, width = model.schema.spread[block.columns], _spread(model)[block.columns]
                drawn[:, block.columns] = _counts(part * unit, width**2, rng) / unit
        return drawn

    return draw


def rare_levels(model: Model, X: Matrix, rng: np.random.Generator) -> Matrix:
    """Return drawn rows in which every rare level has its share of the cells that have one."""
    for j, column in enumerate(model.schema.columns):
        if column.rare:
            at = column.place_of(X[:, j]) == column.width - 1
            share = np.array(column.rare) / np.sum(column.rare)
            X[at, j] = rng.choice(column.levels_of(column.width - 1), int(at.sum()), p=share)
    return X


def _linear(model: Model) -> Linear | None:
    return None if model.filling is None else model.filling.linear


def _spread(model: Model) -> Floats:
    """Return how far hidden cells usually are from what is expected of them, (d,)."""
    return model.residual if model.filling is None else model.filling.spread


def _spreads(model: Model, left: Floats) -> Floats:
    """Return how far each cell may be from what is expected, by what is seen of its row, (n, d).

    With v the variance that the covariance leaves, u its mean in rows such as those on which the
    usual spread s was measured, and w the variance where nothing is seen::

        s sqrt(v / u) if v < u else sqrt(s^2 + (w - s^2) (v - u) / (w - u))
    """
    usual, linear = _spread(model), _linear(model)
    if linear is None:
        return np.broadcast_to(usual, left.shape)
    middle, whole = linear.usual, np.diag(linear.covariance)
    more = np.clip((left - middle) / np.maximum(whole - middle, 1e-12), 0, 1)
    wide = usual**2 + np.maximum(whole - usual**2, 0) * more
    near = usual**2 * left / np.maximum(middle, 1e-300)
    return np.asarray(np.sqrt(np.where(left < middle, near, wide)))


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
