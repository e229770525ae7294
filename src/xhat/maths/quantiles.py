"""Quantiles of weighted values, where a weight is a number of copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xhat.maths.types import Vector

#: Weights above it are no numbers of copies any more.
MOST_COPIES = 2.0**31
#: Times the smallest weight, up to which whole multiples of it have the quantiles of copies.
MOST_TIMES = 1000.0
#: Values that stand for copies, at most.
MOST_VALUES = 100_000


def as_copies(weight: Vector) -> Vector:
    """Return weights > 0 as numbers of copies: whole numbers stay, others get mean 1.

    Weights of 0.01, 0.02, ..., 1 are those of 100 rows, not of 5,050: no row was seen twice.

    Examples
    --------
    >>> as_copies(np.array([1.0, 3.0])), as_copies(np.array([0.1, 0.3]))
    (array([1., 3.]), array([0.5, 1.5]))
    """
    if weight.max() <= MOST_COPIES and (weight == np.floor(weight)).all():
        return weight
    weight = weight / weight.max()
    return np.asarray(weight / weight.mean())


def _as_multiples(weight: Vector) -> Vector:
    """Return weights as copies; whole multiples of the smallest are, too: for quantiles alone."""
    copies = as_copies(weight)
    times = weight / weight.min()
    multiples = times.max() <= MOST_TIMES and (np.abs(times - np.round(times)) < 1e-9 * times).all()
    return np.round(times) if multiples and copies is not weight else copies


def repeated(values: npt.NDArray[np.float64], weight: Vector | None) -> npt.NDArray[np.float64]:
    """Return ascending values, each as often as its weight says; of very many copies a share.

    Fractions of a copy go to the neighbours: value i is the one at which the weights below add
    up to ``i + 1/2`` copies.

    Examples
    --------
    >>> repeated(np.array([2.0, 1.0]), np.array([2.0, 3.0]))
    array([1., 1., 1., 2., 2.])
    """
    if weight is None or not len(values):
        return np.sort(values)
    kept = weight > 0
    order = np.argsort(values[kept], kind="stable")
    cumulative = np.cumsum(as_copies(weight[kept])[order])
    total = float(cumulative[-1])
    count = int(min(max(round(total), 1), MOST_VALUES))
    at = np.searchsorted(cumulative, (np.arange(count) + 0.5) * (total / count), side="right")
    return np.asarray(values[kept][order][np.minimum(at, len(order) - 1)])


def weighted_quantile(values: npt.NDArray[np.float64], weight: Vector | None, q: float) -> float:
    """Return the q-quantile of values, each repeated ``weight`` times (linear interpolation).

    With weights of 1 this is ``numpy.percentile(values, 100 * q)``. See ``as_copies`` for weights
    that are no whole numbers; whole multiples of the smallest have the quantiles of copies.

    Examples
    --------
    >>> import numpy as np
    >>> weighted_quantile(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0]), 0.5)
    2.0
    >>> weighted_quantile(np.array([1.0, 2.0, 2.0, 4.0]), None, 0.5)
    2.0
    """
    if weight is None:
        return float(np.percentile(values, 100 * q))
    kept = weight > 0
    order = np.argsort(values[kept], kind="stable")
    ordered, cumulative = values[kept][order], np.cumsum(_as_multiples(weight[kept])[order])
    position = q * max(float(cumulative[-1]) - 1, 0.0)
    below = np.floor(position)
    # Index t of the repeated values lies in the run whose cumulative weight first exceeds t.
    left, right = np.minimum(
        np.searchsorted(cumulative, [below, below + 1], side="right"), len(ordered) - 1
    )
    fraction = position - below
    return float(ordered[left] + fraction * (ordered[right] - ordered[left]))
