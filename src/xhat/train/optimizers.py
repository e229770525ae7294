"""Optimisers: init and update with explicit state, on the flat vector theta.

Knows: theta, its gradient, the learning rate of one step.
Must not know: the model, the data, schedules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xhat.engines.base import OptimizerState
from xhat.fields import require, settle
from xhat.maths.params import Network, Views
from xhat.maths.types import Vector

#: Constants up to here are finite in single precision, and so is what a step makes of them.
MOST = 1e30
#: Steps over which the running mean of the gradient's norm is taken, about.
NORM_STEPS = 100


@dataclass(frozen=True)
class Adam:
    """Adam with decoupled weight decay.

    ``mu <- beta1 mu + (1 - beta1) g``, ``nu <- beta2 nu + (1 - beta2) g**2``,
    ``theta <- theta - lr mu_hat / (sqrt(nu_hat) + eps)`` with the bias-corrected moments.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1)
        Decay of the first and second moment.
    eps : float > 0
        Added to the root of the second moment.
    weight_decay : float >= 0
        Each step also multiplies the weight matrices (not biases, not the linear path) by
        ``1 - lr * weight_decay`` (Loshchilov and Hutter, ICLR 2019).
    clip : float >= 0
        A gradient whose norm is more than ``clip`` times the running mean of the norms (of what
        was kept of them, over some 100 steps) is scaled down to that, so that a few rows far out
        do not undo what others taught (Pascanu et al., ICML 2013, with a threshold that follows
        the training). More than 1, or 0: never.

    References
    ----------
    Kingma and Ba, ICLR 2015, algorithm 1.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        most = f"{MOST:g}]"
        settle(self, beta1="[0, 1)", beta2="[0, 1)", eps=f"(0, {most}")
        settle(self, weight_decay=f"[0, {most}", clip=f"[0, {most}")
        require(
            self.clip == 0 or self.clip > 1,  # at most 1, the mean could only fall
            f"Adam(clip={self.clip!r}): clip must be 0 (never) or more than 1",
        )

    def init(self, net: Network, theta: Vector) -> OptimizerState:
        """Return zero moments."""
        slots = {"mu": np.zeros_like(theta), "nu": np.zeros_like(theta)}
        if self.clip:
            slots["norm"] = np.zeros(1)
        return OptimizerState(0, slots, _decayed(net, theta) if self.weight_decay else None)

    def update(
        self, theta: Vector, grad: Vector, state: OptimizerState, learning_rate: float
    ) -> None:
        """Take one step in place."""
        state.step += 1
        mu, nu = state.slots["mu"], state.slots["nu"]
        if self.clip:
            grad = grad * grad.dtype.type(self._factor(grad, state.slots["norm"]))
        if state.decay is not None:
            theta *= 1 - (learning_rate * self.weight_decay) * state.decay
        mu *= self.beta1
        mu += (1 - self.beta1) * grad
        nu *= self.beta2
        nu += (1 - self.beta2) * grad * grad
        rate = learning_rate / (1 - self.beta1**state.step)
        root = np.sqrt(nu) * (1 / np.sqrt(1 - self.beta2**state.step))
        theta -= theta.dtype.type(rate) * mu / (root + theta.dtype.type(self.eps))

    def _factor(self, grad: Vector, mean: Vector) -> float:
        """Return what the gradient is multiplied by; the mean of the norms goes on."""
        norm = float(np.linalg.norm(grad.astype(np.float64)))
        if mean[0] == 0 and np.isfinite(norm):
            mean[0] = norm
        most = self.clip * float(mean[0])
        mean += (min(norm, most) - mean) / NORM_STEPS
        return 1.0 if norm <= most else most / norm


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with (Nesterov) momentum.

    ``v <- momentum v + g``; ``theta <- theta - lr v``, or with Nesterov
    ``theta <- theta - lr (g + momentum v)``.

    Parameters
    ----------
    momentum : float in [0, 1)
        Decay of the velocity.
    nesterov : bool
        Look ahead (Sutskever et al., ICML 2013).
    """

    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        settle(self, momentum="[0, 1)")

    def init(self, net: Network, theta: Vector) -> OptimizerState:
        """Return zero velocity."""
        return OptimizerState(0, {"v": np.zeros_like(theta)})

    def update(
        self, theta: Vector, grad: Vector, state: OptimizerState, learning_rate: float
    ) -> None:
        """Take one step in place."""
        state.step += 1
        v = state.slots["v"]
        v *= self.momentum
        v += grad
        step = grad + self.momentum * v if self.nesterov else v
        theta -= theta.dtype.type(learning_rate) * step


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the full batch (scipy), in float64.

    Parameters
    ----------
    memory : int >= 1
        Pairs kept.
    tol : float >= 0
        Stops when the largest entry of the gradient falls below it.
    """

    memory: int = 20
    tol: float = 1e-10

    def __post_init__(self) -> None:
        settle(self, memory="[1, 1000]", tol="[0, inf]")


OPTIMIZERS = {"adam": Adam, "sgd": SGD, "lbfgs": LBFGS}


def _decayed(net: Network, theta: Vector) -> Vector:
    decay = np.zeros_like(theta)
    for name, view in Views(net, decay).items():
        if name.startswith("W"):
            view[...] = 1
    return decay
