"""Quantiles of weighted values, where a weight is a number of copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xhat.maths.types import Vector


def weighted_quantile(values: npt.NDArray[np.float64], weight: Vector | None, q: float) -> float:
    """Return the q-quantile of values, each repeated ``weight`` times (linear interpolation).

    With weights of 1 this is ``numpy.percentile(values, 100 * q)``.

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
    ordered, cumulative = values[kept][order], np.cumsum(weight[kept][order])
    position = q * (cumulative[-1] - 1)
    below = np.floor(position)
    # Index t of the repeated values lies in the run whose cumulative weight first exceeds t.
    left, right = np.minimum(
        np.searchsorted(cumulative, [below, below + 1], side="right"), len(ordered) - 1
    )
    fraction = position - below
    return float(ordered[left] + fraction * (ordered[right] - ordered[left]))
