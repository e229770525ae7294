"""Sample weights as repetition: merging equal rows, and quantiles of weighted values.

Up to auto.SMALL rows, zero-weight rows are dropped and identical rows merged with summed weights in
sorted order, so that weight k equals k copies exactly and copies cannot leak over the split.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xhat.auto import SMALL
from xhat.data.batches import dense
from xhat.fitting import Source
from xhat.maths.types import Vector


def merge_rows(source: Source) -> Source:
    """Return the source with zero-weight rows dropped and, if small, equal rows merged."""
    X, weight = source.X, source.weight
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        X, weight = X[kept], weight[kept]  # type: ignore[index]
    if X.shape[0] > SMALL:  # type: ignore[attr-defined]
        return replace(source, X=X, weight=weight)
    rows, inverse = np.unique(dense(X), axis=0, return_inverse=True)
    weights = np.ones(len(inverse)) if weight is None else weight
    merged = np.bincount(inverse.ravel(), weights=weights)
    return replace(source, X=rows, weight=merged, lazy=False)


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
