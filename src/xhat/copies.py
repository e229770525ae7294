"""Rows that are copies of each other: they belong on the same side of a split.

Knows: raw rows. Must not know: models, splits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.optimize

from xhat.maths.types import Integers, Matrix

#: Rows hashed at a time: their cells stay in cache.
TILE = 4096
#: Groups whose sizes vary so many times as much as those of a draw with replacement are natural.
UNEVEN = 1.5
#: Different rows that are asked whether some column tells most of them apart.
ASKED = 10_000


def copies(X: Matrix) -> Integers | None:
    """Return the number of each row's group of equal rows, or None where there is nothing to group.

    Rows that are equal because few values are common will be met among new rows too: those are not
    grouped. Copies that were made (each row three times, or a draw with replacement) would tell
    nothing of new rows on the other side of a split. They are known by two signs: some column has
    mostly different values, and the groups are of even size: of a draw with replacement it is a
    Poisson variable without its zeros, of a few common rows it varies far more.

    Examples
    --------
    >>> X = np.array([[0.25, 1], [0.5, 1], [0.25, 1], [0.75, 1]])
    >>> copies(X).tolist()
    [0, 1, 0, 2]
    >>> copies(X[[0, 1, 3]]) is copies(np.ones((9, 2))) is None
    True
    """
    _, first, group, sizes = np.unique(
        _hashes(X), return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) == len(X) or sizes.var() > UNEVEN * _variance(float(sizes.mean())):
        return None
    if has_few_values(X[first]):
        return None
    order = np.argsort(np.argsort(first))  # groups in the order of their first rows
    return np.asarray(order[group.ravel()])


def has_few_values(X: Matrix) -> bool:
    """Return whether no column tells most of some different rows apart.

    Examples
    --------
    >>> has_few_values(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    True
    """
    some = X[:: -(-len(X) // ASKED)]
    return len(some) < 2 or not any(2 * len(np.unique(column)) > len(some) for column in some.T)


def _variance(mean: float) -> float:
    """Return the variance of a Poisson variable without its zeros that has this mean, above 1.

    With the rate r the mean is r / (1 - exp(-r)) and the variance mean (1 + r - mean).

    Examples
    --------
    >>> round(_variance(1 / (1 - np.exp(-1.0))), 4)
    0.6613
    """
    rate = scipy.optimize.brentq(lambda r: r / -np.expm1(-r) - mean, 1e-12, mean)
    return float(mean * (1 + rate - mean))


def _hashes(X: Matrix) -> npt.NDArray[np.uint64]:
    """Return 64 bits of every row: equal ones for equal rows; a missing cell equals another."""
    found = np.zeros(len(X), dtype=np.uint64)
    odd = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: Knuth's multiplier
    for start in range(0, len(X), TILE):
        part = found[start : start + TILE]
        cells = X[start : start + TILE].astype(np.float64) + 0.0  # -0 is 0
        cells[np.isnan(cells)] = np.nan
        for column in np.ascontiguousarray(cells.T).view(np.uint64):
            part ^= column
            part *= odd
            part ^= part >> np.uint64(29)
    return found
