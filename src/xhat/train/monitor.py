"""What is kept of a fit while it runs: history, the best parameters, when to stop.

Knows: losses per epoch. Must not know: engines, data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xhat.fields import settle
from xhat.maths.types import Vector


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the held-out loss has not improved for ``patience`` epochs.

    Parameters
    ----------
    patience : int >= 1
        Epochs without improvement that are tolerated.
    min_delta : float >= 0
        Relative improvement that counts.
    averaging : float >= 0
        What is judged and kept is the running mean of the parameters over about so many epochs
        (Polyak and Juditsky 1992); up to 1: the parameters at the epoch's end.
    """

    patience: int = 20
    min_delta: float = 0.0
    averaging: float = 0.0

    def __post_init__(self) -> None:
        settle(self, patience="[1, inf)", min_delta="[0, inf]", averaging="[0, inf)")


@dataclass
class Monitor:
    """Best parameters so far and the losses that led there.

    Without held-out rows the last parameters are the best ones: the training loss of a mini-batch
    run is no fair judge between epochs.
    """

    stopping: EarlyStopping | None
    best_theta: Vector
    best_epoch: int = 0
    best_loss: float = np.inf
    loss: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    average: Vector | None = None

    def judged(self, epoch: int, theta: Vector) -> Vector:
        """Return the parameters to judge and keep after an epoch: a running mean, if asked for."""
        if self.stopping is None or self.stopping.averaging <= 1:
            return theta
        if self.average is None:
            self.average = theta.copy()
        self.average += (theta - self.average) / min(epoch, self.stopping.averaging)
        return self.average

    def latest(self, theta: Vector) -> Vector:
        """Return what was judged last, of a training that stands at ``theta``."""
        return theta if self.average is None else self.average

    def record(self, epoch: int, loss: float | None, held_out: float | None, theta: Vector) -> bool:
        """Take in one epoch; return True if training should stop."""
        if loss is not None:
            self.loss.append(loss)
        if held_out is None:
            self.best_theta[:] = theta
            self.best_epoch = epoch
            return False
        self.held_out.append(held_out)
        margin = self.stopping.min_delta if self.stopping is not None else 0.0
        if held_out < self.best_loss * (1 - margin) or not np.isfinite(self.best_loss):
            self.best_loss, self.best_epoch = held_out, epoch
            self.best_theta[:] = theta
        return self.stopping is not None and epoch - self.best_epoch >= self.stopping.patience
