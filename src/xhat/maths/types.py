"""Array aliases used all over the package; rows are samples, arrays are C-ordered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating[Any]]  # two axes, float32 or float64
Vector = npt.NDArray[np.floating[Any]]  # one axis, float32 or float64
Integers = npt.NDArray[np.intp]
