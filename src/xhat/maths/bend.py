"""The asinh scale of heavy-tailed columns: straight near the median and outside the training range.

Knows: numbers of one column. Must not know: schemas, what else a column is divided by.

With ``u = (x - median) / s``, s the interquartile range / 1.349, the bent value is ``asinh(u)``
between the training extremes (Johnson 1949) and the tangent there beyond them, so that an absurd
value is as absurd as on a straight scale, only in the units of the extreme's neighbourhood
(docs/maths.md, equations 55 and 56).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Bend(NamedTuple):
    """Where a scale is bent.

    Attributes
    ----------
    median : float
        Of the training rows; there the slope is steepest.
    unit : float > 0
        Interquartile range / 1.349: equal to the standard deviation for normal values.
    """

    median: float
    unit: float

    def bent(self, x: npt.ArrayLike, low: float, high: float) -> Floats:
        """Return the bent values; ``low`` and ``high`` are the training extremes, bent.

        Examples
        --------
        >>> scale = Bend(median=10.0, unit=2.0)
        >>> scale.bent([10.0, 12.0, 10_000.0], 0.0, 3.0).round(3).tolist()
        [0.0, 0.881, 498.148]
        """
        u = (np.asarray(x, np.float64) - self.median) / self.unit
        inside = np.clip(u, np.sinh(low), np.sinh(high))
        return np.asarray(np.arcsinh(inside) + (u - inside) / np.hypot(1, inside))  # (55)

    def straight(self, t: npt.ArrayLike, low: float, high: float) -> Floats:
        """Return the numbers whose bent values are t: the inverse."""
        t = np.asarray(t, np.float64)
        inside = np.clip(t, low, high)
        u = np.sinh(inside)
        return np.asarray((u + (t - inside) * np.hypot(1, u)) * self.unit + self.median)  # (56)
