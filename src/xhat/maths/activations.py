"""The activation g and its first two derivatives.

Knows: one pre-activation array A in, one array out, element by element.
Must not know: layers, heads, losses.

The derivative is given A and H = g(A), so that each activation takes whichever is cheaper and
stabler: sigmoid and tanh need H alone (docs/maths.md, equations 5 and 6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from xhat.maths.types import Matrix


@dataclass(frozen=True)
class Activation:
    """An elementwise activation g.

    Attributes
    ----------
    name : str
        The name users give.
    forward : callable
        ``A -> g(A)``.
    derivative : callable
        ``(A, H) -> g'(A)`` with ``H = g(A)``.
    second : callable
        ``(A, H) -> g''(A)``, needed by the contractive penalty alone.
    """

    name: str
    forward: Callable[[Matrix], Matrix]
    derivative: Callable[[Matrix, Matrix], Matrix]
    second: Callable[[Matrix, Matrix], Matrix]

    def __reduce__(self) -> tuple[Callable[[str], Activation], tuple[str]]:
        return activation_named, (self.name,)  # functions do not pickle, names do


def activation_named(name: str) -> Activation:
    """Return the activation users call ``name``."""
    return ACTIVATIONS[name]


def _silu_derivative(A: Matrix, H: Matrix) -> Matrix:
    s: Matrix = expit(A)
    return s + H * (1 - s)


def _silu_second(A: Matrix, _H: Matrix) -> Matrix:
    s: Matrix = expit(A)
    return s * (1 - s) * (2 + A * (1 - 2 * s))


SIGMOID = Activation(
    "sigmoid", expit, lambda _A, H: H * (1 - H), lambda _A, H: H * (1 - H) * (1 - 2 * H)
)
TANH = Activation("tanh", np.tanh, lambda _A, H: 1 - H * H, lambda _A, H: -2 * H * (1 - H * H))
RELU = Activation(
    "relu",
    lambda A: np.maximum(A, 0),
    lambda A, _H: (A > 0).astype(A.dtype),  # 0 at the kink
    lambda A, _H: np.zeros_like(A),
)
SILU = Activation("silu", lambda A: A * expit(A), _silu_derivative, _silu_second)
IDENTITY = Activation(
    "identity", lambda A: A, lambda A, _H: np.ones_like(A), lambda A, _H: np.zeros_like(A)
)

ACTIVATIONS: dict[str, Activation] = {g.name: g for g in (SIGMOID, TANH, RELU, SILU, IDENTITY)}
