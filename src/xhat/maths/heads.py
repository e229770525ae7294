"""Heads: the decoder's output function f and the loss, as one object on pre-activations.

Knows: a block of columns, A_hat in, losses and dA_hat out (docs/maths.md, equations 4 and 7 to 16).
Must not know: weights, layers, how a column came to have its head.

Merging f and the loss keeps the loss finite at any pre-activation (log-sum-exp, never the log of
a clipped probability) and reduces the gradient of every canonical pair to ``x_hat - x``.
A head covers a block of columns, so that later kinds (categories: softmax over the levels of one
column) fit the same interface: ``cell_loss`` returns one value per *table* column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, xlogy

from xhat.maths.activations import IDENTITY, SIGMOID, TANH, Activation
from xhat.maths.types import Matrix

#: Values that f can produce, as (low, high); the ends are limits and count as reachable.
RANGES: dict[str, tuple[float, float]] = {
    "linear": (-np.inf, np.inf),
    "logistic": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
}
_LINKS: dict[str, Activation] = {"linear": IDENTITY, "logistic": SIGMOID, "tanh": TANH}


class Head(Protocol):
    """What the objective needs of a pair (f, loss)."""

    @property
    def f(self) -> str:
        """Name of the output function: linear, logistic, tanh."""

    @property
    def range(self) -> tuple[float, float]:
        """Interval of values that f can produce."""

    def predict(self, A_hat: Matrix) -> Matrix:
        """Return ``x_hat = f(a_hat)``."""

    def cell_loss(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return the loss of every cell (rows, table columns of the block)."""

    def cell_grad(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return d(cell loss)/d(a_hat), before any averaging."""

    def cell_floor(self, X: Matrix) -> Matrix:
        """Return the loss at ``x_hat = x``: 0 for squared error, the entropy for cross-entropy."""


@dataclass(frozen=True)
class SquaredError:
    """Squared error ``(x_hat - x)**2`` with ``x_hat = f(a_hat)``.

    Parameters
    ----------
    f : {"linear", "logistic", "tanh"}
        Output function. Linear produces any value, logistic [0, 1], tanh [-1, 1].
    """

    f: str = "linear"

    def __post_init__(self) -> None:
        if self.f not in RANGES:
            raise ValueError(f"SquaredError(f={self.f!r}): f must be one of {', '.join(RANGES)}")

    @property
    def range(self) -> tuple[float, float]:
        """Interval of values that f can produce."""
        return RANGES[self.f]

    def predict(self, A_hat: Matrix) -> Matrix:
        """Return ``x_hat = f(a_hat)``."""
        return _LINKS[self.f].forward(A_hat)

    def cell_loss(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``(x_hat - x)**2`` per cell (equation 7)."""
        R = self.predict(A_hat) - X
        return R * R

    def cell_grad(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``2 (x_hat - x) f'(a_hat)`` per cell (equation 14)."""
        link = _LINKS[self.f]
        X_hat = link.forward(A_hat)
        if self.f == "linear":  # f' = 1
            return 2 * (X_hat - X)
        return 2 * (X_hat - X) * link.derivative(A_hat, X_hat)

    def cell_floor(self, X: Matrix) -> Matrix:
        """Return 0: a perfect reconstruction has no squared error."""
        return np.zeros_like(X)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Binary cross-entropy in nats with ``x_hat = s(a_hat)``, s the logistic function.

    Domain: x in [0, 1]. The loss ``-x log x_hat - (1 - x) log(1 - x_hat)`` is computed as
    ``max(a, 0) - x a + log(1 + exp(-|a|))``, finite for every finite a (equation 9); its smallest
    value over a is the entropy of x (equation 10).
    """

    @property
    def f(self) -> str:
        """Name of the output function."""
        return "logistic"

    @property
    def range(self) -> tuple[float, float]:
        """Interval of values that f can produce."""
        return RANGES["logistic"]

    def predict(self, A_hat: Matrix) -> Matrix:
        """Return ``x_hat = s(a_hat)``."""
        X_hat: Matrix = expit(A_hat)
        return X_hat

    def cell_loss(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return the cross-entropy per cell, in nats (equation 9)."""
        loss: Matrix = np.maximum(A_hat, 0) - X * A_hat + np.log1p(np.exp(-np.abs(A_hat)))
        return loss

    def cell_grad(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``x_hat - x`` per cell (equation 16): the textbook product, simplified."""
        return self.predict(A_hat) - X

    def cell_floor(self, X: Matrix) -> Matrix:
        """Return the entropy of x, which no x_hat can undercut: 0 at 0 and 1 (equation 10)."""
        floor: Matrix = -xlogy(X, X) - xlogy(1 - X, 1 - X)
        return floor


@dataclass(frozen=True)
class Softmax:
    """Cross-entropy in nats over the levels of *one* column, ``x_hat = softmax(a_hat)``.

    Domain: rows of X are one-hot, or all 0 for a level that is not known (no loss, no gradient).
    The loss ``log sum_m exp(a_m) - a_l`` of the observed level l stands in that level's cell, so
    that the cells of a row sum to it (equation 45).
    """

    @property
    def f(self) -> str:
        """Name of the output function."""
        return "softmax"

    @property
    def range(self) -> tuple[float, float]:
        """Interval of values that f can produce."""
        return 0.0, 1.0

    def predict(self, A_hat: Matrix) -> Matrix:
        """Return ``x_hat = softmax(a_hat)``."""
        E: Matrix = np.exp(A_hat - A_hat.max(axis=1, keepdims=True))
        X_hat: Matrix = E / E.sum(axis=1, keepdims=True)
        return X_hat

    def cell_loss(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``x_l (log sum_m exp(a_m) - a_l)`` per cell (equation 45)."""
        top = A_hat.max(axis=1, keepdims=True)
        log_sum = top + np.log(np.exp(A_hat - top).sum(axis=1, keepdims=True))
        loss: Matrix = X * (log_sum - A_hat)
        return loss

    def cell_grad(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``x_hat sum_m x_m - x`` per cell (equation 46): x_hat - x for one-hot rows."""
        grad: Matrix = self.predict(A_hat) * X.sum(axis=1, keepdims=True) - X
        return grad

    def cell_floor(self, X: Matrix) -> Matrix:
        """Return the entropy of x: 0 for one-hot rows."""
        floor: Matrix = -xlogy(X, X)
        return floor


@dataclass(frozen=True)
class Poisson:
    """Half the Poisson deviance of counts, in nats, with ``x_hat = exp(a_hat)``.

    Domain: x >= 0. Above ``limit`` exp continues linearly, so that nothing overflows
    (equations 47 to 49).

    Parameters
    ----------
    limit : float
        Pre-activation from which on f is linear: far above the logarithm of the training maximum.
    """

    limit: float = 30.0

    @property
    def f(self) -> str:
        """Name of the output function."""
        return "exp"

    @property
    def range(self) -> tuple[float, float]:
        """Interval of values that f can produce."""
        return 0.0, np.inf

    def predict(self, A_hat: Matrix) -> Matrix:
        """Return ``x_hat = exp(a)`` up to the limit, ``exp(limit) (1 + a - limit)`` above."""
        above = np.maximum(A_hat - self.limit, 0)
        X_hat: Matrix = np.exp(np.minimum(A_hat, self.limit)) * (1 + above)
        return X_hat

    def cell_loss(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``x log(x / x_hat) - x + x_hat`` per cell (equation 48)."""
        above = np.maximum(A_hat - self.limit, 0)
        log_x_hat = np.minimum(A_hat, self.limit) + np.log1p(above)
        loss: Matrix = xlogy(X, X) - X - X * log_x_hat + self.predict(A_hat)
        return loss

    def cell_grad(self, A_hat: Matrix, X: Matrix) -> Matrix:
        """Return ``f'(a) (1 - x / f(a))`` per cell: ``x_hat - x`` below the limit (49)."""
        above = np.maximum(A_hat - self.limit, 0)
        slope = np.exp(np.minimum(A_hat, self.limit))
        grad: Matrix = slope - X / (1 + above)
        return grad

    def cell_floor(self, X: Matrix) -> Matrix:
        """Return 0: the deviance of a perfect reconstruction."""
        return np.zeros_like(X)


@dataclass(frozen=True)
class Block:
    """One head over the encoded columns ``start <= j < stop``, its loss times ``weight``."""

    start: int
    stop: int
    head: Head
    weight: float = 1.0

    @property
    def columns(self) -> slice:
        """The block as a slice of the encoded matrix."""
        return slice(self.start, self.stop)


def predict(blocks: tuple[Block, ...], A_hat: Matrix) -> Matrix:
    """Return ``X_hat = f(A_hat)``, block by block (equation 4)."""
    return _join([b.head.predict(A_hat[:, b.columns]) for b in blocks])


def cell_loss(blocks: tuple[Block, ...], A_hat: Matrix, X: Matrix) -> Matrix:
    """Return the loss of every cell, block by block."""
    return _join(
        [_weighted(b, b.head.cell_loss(A_hat[:, b.columns], X[:, b.columns])) for b in blocks]
    )


def cell_grad(blocks: tuple[Block, ...], A_hat: Matrix, X: Matrix) -> Matrix:
    """Return d(cell loss)/d(a_hat) of every cell, block by block."""
    return _join(
        [_weighted(b, b.head.cell_grad(A_hat[:, b.columns], X[:, b.columns])) for b in blocks]
    )


def cell_floor(blocks: tuple[Block, ...], X: Matrix) -> Matrix:
    """Return the loss at ``x_hat = x`` of every cell, block by block."""
    return _join([_weighted(b, b.head.cell_floor(X[:, b.columns])) for b in blocks])


def _weighted(block: Block, cells: Matrix) -> Matrix:
    return cells if block.weight == 1 else cells * cells.dtype.type(block.weight)


def _join(parts: list[Matrix]) -> Matrix:
    """Blocks side by side; one block is returned as it is, without a copy."""
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def output_slope(head: Head, A_hat: Matrix) -> Matrix:
    """Return ``dx_hat/da_hat = f'(a_hat)``, the factor dh2/da2 of the chain (11)."""
    if isinstance(head, Poisson):
        slope: Matrix = np.exp(np.minimum(A_hat, head.limit))
        return slope
    if isinstance(head, Softmax):  # the diagonal of the Jacobian; levels also act on each other
        X_hat = head.predict(A_hat)
        return X_hat * (1 - X_hat)
    link = _LINKS[head.f]
    return link.derivative(A_hat, link.forward(A_hat))


def output_grad(head: Head, A_hat: Matrix, X: Matrix) -> Matrix:
    """Return ``dL/dx_hat``, the factor dL/dh2 of the chain (11), in the textbook form.

    ``2 (x_hat - x)`` for squared error, ``-x / x_hat + (1 - x) / (1 - x_hat)`` for cross-entropy
    (infinite where x_hat is exactly 0 or 1 and x is not: the reason why training uses the
    simplified product, 16).
    """
    X_hat = head.predict(A_hat)
    if isinstance(head, SquaredError):
        return 2 * (X_hat - X)
    if isinstance(head, Poisson):
        return 1 - X / X_hat
    one: Matrix = np.zeros_like(X_hat)  # x / x_hat, and 0 where x is 0, whatever x_hat
    zero: Matrix = np.zeros_like(X_hat)
    with np.errstate(divide="ignore"):
        np.divide(X, X_hat, out=one, where=X > 0)
        np.divide(1 - X, 1 - X_hat, out=zero, where=X < 1)
    return zero - one
