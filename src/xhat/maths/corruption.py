"""Corruptions: x -> x_tilde, what a denoising autoencoder sees instead of the clean row.

Knows: how each cell is drawn. Must not know: the loss, which is always against the clean row.

Randomness is counter-based: every cell's number is a hash of (key, row counter, column), so that
the noise does not depend on batch size, thread or engine, and an interrupted fit resumes exactly.
The hash is SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xhat.fields import require, settle
from xhat.maths.types import Integers, Matrix, Vector

_Words = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, SplitMix64's increment
#: The interval of a probability per cell.
PROBABILITY = "[0, 1)"


def _mix(z: _Words) -> _Words:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(key: int, counters: _Words, d: int) -> npt.NDArray[np.float64]:
    """Return uniform numbers in [0, 1), one per (row counter, column).

    Parameters
    ----------
    key : int
        64-bit key; another key gives unrelated numbers.
    counters : ndarray of uint64, shape (n,)
        One counter per row.
    d : int
        Columns.

    Examples
    --------
    >>> import numpy as np
    >>> both = uniform(7, np.arange(2, dtype=np.uint64), 3)
    >>> bool((uniform(7, np.array([1], dtype=np.uint64), 3) == both[1:]).all())
    True
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        rows = _mix(np.uint64(key) + (counters + np.uint64(1)) * _GOLDEN)
        columns = (np.arange(d, dtype=np.uint64) + np.uint64(1)) * _GOLDEN
        z = _mix(rows[:, None] + columns)
    return np.asarray((z >> np.uint64(11)) * 2.0**-53)  # the 53 high bits, as NumPy does


@dataclass(frozen=True)
class Columns:
    """What a corruption may know of the encoded columns.

    Attributes
    ----------
    low, high : ndarray of shape (d,)
        Training range.
    fill : ndarray of shape (d,)
        What stands for a hidden cell: the training mean.
    group : ndarray of intp, shape (d,)
        Number of the table column; the levels of one category are hidden together.
    """

    low: Vector
    high: Vector
    fill: Vector
    group: Integers


class Corruption(Protocol):
    """What the objective needs of a corruption."""

    def apply(self, X: Matrix, key: int, counters: _Words, columns: Columns) -> Matrix:
        """Return x_tilde in a new array."""


@dataclass(frozen=True)
class Masking:
    """Set each cell to 0 with probability p: the mean of a standardised column (equation 37).

    Parameters
    ----------
    p : float in [0, 1)
        Probability per cell.
    visible : float in [0, 1]
        What the loss of a cell that stays visible counts, beside 1 of a hidden one (emphasised
        denoising): the less, the more is learnt of filling cells in, and the less of
        copying them.

    References
    ----------
    Vincent et al., JMLR 11 (2010) 3371, sections 3.3 and 4.2.
    """

    p: float = 0.25
    visible: float = 1.0

    def __post_init__(self) -> None:
        settle(self, p=PROBABILITY, visible="[0, 1]")
        require(
            self.p > 0 or self.visible > 0,
            "Masking(p=0, visible=0): no cell would count; one of them must be > 0",
        )

    def apply(self, X: Matrix, key: int, counters: _Words, columns: Columns) -> Matrix:
        """Return x_tilde."""
        hidden = self._hidden(key, counters, columns)
        return np.where(hidden, columns.fill, X)

    def emphasis(self, X: Matrix, key: int, counters: _Words, columns: Columns) -> Matrix:
        """Return what each cell's loss counts: 1 where it is hidden, else ``visible``."""
        hidden = self._hidden(key, counters, columns)
        return np.where(hidden, X.dtype.type(1), X.dtype.type(self.visible))

    def _hidden(self, key: int, counters: _Words, columns: Columns) -> npt.NDArray[np.bool_]:
        group = columns.group
        hidden = uniform(key, counters, int(group[-1]) + 1) < self.p
        return hidden if len(group) == hidden.shape[1] else hidden[:, group]


@dataclass(frozen=True)
class Gaussian:
    """Add normal noise of standard deviation sigma, in the encoded columns' scale (equation 38).

    Parameters
    ----------
    sigma : float >= 0
        Standard deviation (of standardised columns: in units of the column's own).
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        settle(self, sigma="[0, inf)")

    def apply(self, X: Matrix, key: int, counters: _Words, columns: Columns) -> Matrix:
        """Return x_tilde; normal numbers by Box and Muller from two hashed uniforms."""
        d = X.shape[1]
        u = uniform(key, counters, 2 * d)
        noise = np.sqrt(-2 * np.log1p(-u[:, :d])) * np.cos(2 * np.pi * u[:, d:])
        X_tilde: Matrix = X + (self.sigma * noise).astype(X.dtype)
        return X_tilde


@dataclass(frozen=True)
class SaltAndPepper:
    """Set each cell, with probability p, to the column's training minimum or maximum: a fair coin.

    Equation 39 of docs/maths.md.

    Parameters
    ----------
    p : float in [0, 1)
        Probability per cell.
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        settle(self, p=PROBABILITY)

    def apply(self, X: Matrix, key: int, counters: _Words, columns: Columns) -> Matrix:
        """Return x_tilde: below p/2 the minimum, below p the maximum."""
        u = uniform(key, counters, X.shape[1])
        pepper = np.where(u < self.p / 2, columns.low, columns.high).astype(X.dtype)
        return np.where(u < self.p, pepper, X)
