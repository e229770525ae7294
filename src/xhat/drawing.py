"""Draws of what missing cells may hold (docs/maths.md, 21).

Knows: a fitted model, what it expects of every cell. Must not know: containers, raw rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr

from xhat.hidden import Filling
from xhat.maths.types import Matrix
from xhat.model import Model

Floats = npt.NDArray[np.float64]
#: Share of the cells that is hidden from rows when spreads are measured, about, and rows asked.
USUAL, ASKED = 0.2, 256
#: Shares of the way between the ends of a column at which means and quantiles stop.
EDGE, LAST = 1e-3, 1e-12


def draw(model: Model, Z_hat: Floats, seen: Floats, rng: np.random.Generator) -> Floats:
    """Return one draw of every cell around what is expected there, within what a cell can be.

    Numbers lie between the smallest and the largest training value, as far from what is expected
    as the seen cells leave open, and go with each other and with 0/1 cells. Counts are negative
    binomial; levels have the model's probabilities.
    """
    spread, off = _spreads(model, seen), rng.normal(size=Z_hat.shape)
    filling = model.filling
    if filling is not None and filling.linear is not None:
        off = filling.linear.drawn(seen, rng) / np.sqrt(filling.linear.variances(seen))
    place = np.clip(ndtr(off), LAST, 1 - LAST)
    drawn = Z_hat.copy()
    at = np.nonzero((seen == 0) & model.schema.squared)
    low, high = (np.broadcast_to(end, seen.shape)[at] for end in model.schema.extent)
    drawn[at] = _between(Z_hat[at], spread[at], place[at], low, high)
    for block in model.net.blocks:
        part, f = Z_hat[:, block.columns], block.head.f
        if f == "softmax":
            part = np.maximum(part, 0) / np.maximum(part, 0).sum(axis=1, keepdims=True)
            level = (rng.random((len(part), 1)) > part.cumsum(axis=1)).sum(axis=1)
            drawn[:, block.columns] = np.eye(part.shape[1])[np.minimum(level, part.shape[1] - 1)]
        elif f == "logistic" and not model.schema.squared[block.start]:
            drawn[:, block.columns] = place[:, block.columns] > 1 - part
        elif f == "exp":
            unit, root = model.schema.spread[block.columns], _spread(model)[block.columns]
            drawn[:, block.columns] = _counts(part * unit, root**2, rng) / unit
    return drawn


def rare_levels(model: Model, X: Matrix, rng: np.random.Generator) -> Matrix:
    """Return drawn rows in which every rare level has its share of the cells that have one."""
    for j, column in enumerate(model.schema.columns):
        if column.rare:
            at = column.place_of(X[:, j]) == column.width - 1
            share = np.array(column.rare) / np.sum(column.rare)
            X[at, j] = rng.choice(column.levels_of(column.width - 1), int(at.sum()), p=share)
    return X


def _spread(model: Model) -> Floats:
    """Return how far hidden cells usually are from what is expected of them, (d,)."""
    return model.residual if model.filling is None else model.filling.spread


def _spreads(model: Model, seen: Floats) -> Floats:
    """Return how far each cell may be from what is expected, by what is seen of its row, (n, d).

    With v the variance that the covariance leaves, u its mean in rows such as those on which the
    usual spread s was measured, and w the variance where nothing is seen::

        s sqrt(v / u) if v < u else sqrt(s^2 + (w - s^2) (v - u) / (w - u))
    """
    usual, filling = _spread(model), model.filling
    if filling is None or filling.linear is None:
        return np.broadcast_to(usual, seen.shape)
    left = filling.linear.variances(seen)
    middle, whole = _usual_variances(filling), np.diag(filling.linear.covariance)
    more = np.clip((left - middle) / np.maximum(whole - middle, 1e-12), 0, 1)
    wide = usual**2 + np.maximum(whole - usual**2, 0) * more
    return np.asarray(np.sqrt(np.where(left < middle, usual**2 * left / middle, wide)))


def _usual_variances(filling: Filling) -> Floats:
    """Return the mean variance that rows leave of which a fifth is hidden, the cell among it."""
    assert filling.linear is not None
    seen = (np.random.default_rng(0).random((ASKED, len(filling.share))) > USUAL).astype(np.float64)
    hidden = 1 - seen
    left = (filling.linear.variances(seen) * hidden).sum(axis=0)
    return np.asarray(left / np.maximum(hidden.sum(axis=0), 1))


def _between(mean: Floats, spread: Floats, place: Floats, low: Floats, high: Floats) -> Floats:
    """Return quantiles of variables with this mean and spread that stay between two ends.

    Beta distributions: much like normal ones far from both ends, skewed near one of them; nearer to
    it than they are wide, they are only so wide that no end is likelier than what lies beside it.
    """
    width = np.where(high > low, high - low, 1.0)
    m = np.clip((mean - low) / width, EDGE, 1 - EDGE)
    room = m * (1 - m)
    near = np.minimum(m, 1 - m)
    v = np.clip((spread / width) ** 2, 1e-12, room * near / (1 + near))
    more = room / v - 1
    return np.asarray(low + (high - low) * betaincinv(m * more, (1 - m) * more, place))


def _counts(mean: Floats, dispersion: Floats, rng: np.random.Generator) -> Floats:
    """Draw counts whose variance is ``dispersion * mean``: negative binomial, Poisson at 1."""
    more = np.maximum(dispersion - 1, 1e-9)
    counts = rng.negative_binomial(np.maximum(mean, 1e-9) / more, 1 / (1 + more))
    return np.asarray(counts, np.float64)
