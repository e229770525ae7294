"""Learning-rate schedules: a number per step, known before training starts.

Knows: the step and the number of steps. Must not know: losses, parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xhat.fields import settle

#: The interval of a learning rate.
RATE = "(0, inf)"


class Schedule(Protocol):
    """What the loop needs of a schedule."""

    def rates(self, first: int, count: int, total: int) -> npt.NDArray[np.float64]:
        """Return the learning rates of steps ``first .. first + count - 1`` of ``total``."""


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    rate: float = 1e-3

    def __post_init__(self) -> None:
        settle(self, rate=RATE)

    def rates(self, first: int, count: int, total: int) -> npt.NDArray[np.float64]:
        """Return ``rate`` for every step."""
        return np.full(count, self.rate)


@dataclass(frozen=True)
class Cosine:
    """From ``rate`` down to 0 along half a cosine (Loshchilov and Hutter, ICLR 2017)."""

    rate: float = 1e-3

    def __post_init__(self) -> None:
        settle(self, rate=RATE)

    def rates(self, first: int, count: int, total: int) -> npt.NDArray[np.float64]:
        """Return ``rate (1 + cos(pi t)) / 2`` with t from 0 to 1."""
        t = (first + np.arange(count)) / max(total, 1)
        return np.asarray(self.rate * 0.5 * (1 + np.cos(np.pi * t)))


@dataclass(frozen=True)
class OneCycle:
    """Up from ``rate / 25`` to ``rate`` in the first ``warmup`` of the steps, then down to 0.

    Parameters
    ----------
    rate : float > 0
        The peak.
    warmup : float in (0, 1)
        Share of the steps on the way up.

    Notes
    -----
    Both legs are half cosines; 25 is the usual starting divisor (Smith and Topin, 2018, as
    implemented by fastai and PyTorch).
    """

    rate: float = 2e-3
    warmup: float = 0.1

    def __post_init__(self) -> None:
        settle(self, rate=RATE, warmup="(0, 1)")

    def rates(self, first: int, count: int, total: int) -> npt.NDArray[np.float64]:
        """Return the rates of the two legs."""
        t = (first + np.arange(count) + 1) / max(total, 1)
        low = self.rate / 25
        up = low + (self.rate - low) * 0.5 * (1 - np.cos(np.pi * t / self.warmup))
        down = self.rate * 0.5 * (1 + np.cos(np.pi * (t - self.warmup) / (1 - self.warmup)))
        return np.where(t < self.warmup, up, down)
