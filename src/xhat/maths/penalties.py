"""Penalties: what makes an overcomplete code useful. Value and gradient live in one object.

Knows: the forward pass and the weights. Must not know: the loss, optimisers, data.

Each penalty adds its gradient where it enters the network: to the parameters, to the code
(``extra.dH``) or to the pre-activation of an encoder layer (``extra.dA``); the objective's one
backward pass carries it on (docs/maths.md, equations 29 to 36). Strengths are Python's floats: a
NumPy float64 scalar (out of np.logspace, say) would widen float32 arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from xhat.fields import settle
from xhat.maths.params import Network, Views
from xhat.maths.types import Matrix, Vector

#: The interval of a penalty's weight.
STRENGTH = "[0, inf)"


@dataclass
class EncoderPass:
    """What the encoder computed for one batch: A and H per layer, the code last."""

    X_tilde: Matrix
    A: list[Matrix]
    H: list[Matrix]


@dataclass
class Extra:
    """Where penalties add their gradients."""

    grad: Views
    dH: Matrix | float = 0.0
    dA: dict[int, Matrix] = field(default_factory=dict)


class Penalty(Protocol):
    """What the objective needs of a penalty."""

    def needs(self, net: Network) -> str | None:
        """Return why this penalty does not fit the network, or None."""

    def add(self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra) -> float:
        """Add the gradient to ``extra`` and return the value; ``row`` is the weight of each row."""


@dataclass(frozen=True)
class L2:
    """``weight * sum W**2`` over all weight matrices; biases and the linear path are free.

    With a linear path the penalty therefore shrinks the model towards PCA (equation 29).
    """

    weight: float = 1e-4

    def __post_init__(self) -> None:
        settle(self, weight=STRENGTH)

    def needs(self, net: Network) -> str | None:
        """Any network will do."""
        return None

    def add(self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra) -> float:
        """Add ``2 weight W`` to each dW (equation 29)."""
        value, weight = 0.0, self.weight
        for name, W in views.items():
            if name.startswith("W"):
                value += weight * float(np.vdot(W, W))
                extra.grad[name][...] += 2 * weight * W
        return value


@dataclass(frozen=True)
class L1Code:
    """``weight * mean over rows of sum_j |h_j|``: few active units (equation 30)."""

    weight: float = 1e-3

    def __post_init__(self) -> None:
        settle(self, weight=STRENGTH)

    def needs(self, net: Network) -> str | None:
        """Any network will do."""
        return None

    def add(self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra) -> float:
        """Add ``weight sign(h)`` to dH (equation 30; 0 at h = 0)."""
        H, weight = enc.H[-1], self.weight
        extra.dH = extra.dH + weight * row[:, None] * np.sign(H)
        return weight * float(row @ np.abs(H).sum(axis=1))


@dataclass(frozen=True)
class KLSparsity:
    """``weight * sum_j KL(rho || rho_hat_j)``, rho_hat_j the mean activity of unit j (equation 31).

    Parameters
    ----------
    rho : float in (0, 1)
        Target activity.
    weight : float >= 0
        Strength.

    Notes
    -----
    rho_hat is taken over the batch, and the code must lie in (0, 1): sigmoid units.
    """

    rho: float = 0.05
    weight: float = 1.0

    def __post_init__(self) -> None:
        settle(self, weight=STRENGTH, rho="(0, 1)")

    def needs(self, net: Network) -> str | None:
        """Sigmoid code units alone have an activity in (0, 1)."""
        if net.code_activation == "sigmoid":
            return None
        way = "activation='sigmoid'"
        if net.hidden:  # beside layers a single name is theirs, and the code stays linear
            way = f"activation=({net.activation!r}, 'sigmoid'), hidden=() with {way},"
        return (
            f"KLSparsity needs a code in (0, 1), but the code's activation is "
            f"{net.code_activation!r}; use {way} or penalty=L1Code()"
        )

    def add(self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra) -> float:
        """Add ``weight (-rho / rho_hat + (1 - rho) / (1 - rho_hat))`` to dH (equation 31)."""
        if not row.any():  # rows of weight 0 alone have no mean activity
            return 0.0
        mean_row = row / row.sum()
        # A unit saturated to the last bit would divide by 0; eps keeps value and slope finite.
        eps = np.finfo(enc.H[-1].dtype).eps
        rho_hat = np.clip(mean_row @ enc.H[-1], eps, 1 - eps)
        rho, weight = self.rho, self.weight
        slope = -rho / rho_hat + (1 - rho) / (1 - rho_hat)
        extra.dH = extra.dH + weight * mean_row[:, None] * slope
        kl = rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))
        return weight * float(kl.sum())


@dataclass(frozen=True)
class Contractive:
    """``weight * mean over rows of ||dh/dx||_F**2``, the exact Jacobian at any depth.

    References
    ----------
    Rifai et al., ICML 2011, equation 7 for one sigmoid layer; docs/maths.md, equations 32 to 36.
    """

    weight: float = 0.1

    def __post_init__(self) -> None:
        settle(self, weight=STRENGTH)

    def needs(self, net: Network) -> str | None:
        """Any network will do."""
        return None

    def add(self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra) -> float:
        """Add the gradient through the weights and through each g'(a)."""
        if net.depth == 1 and not net.linear_path:
            return self._add_one_layer(net, views, enc, row, extra)
        return self._add_layers(net, views, enc, row, extra)

    def _add_one_layer(
        self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra
    ) -> float:
        g, A, H = net.encoder_activations[0], enc.A[0], enc.H[0]
        W, _ = views.encoder(0)
        dW, _ = extra.grad.encoder(0)
        slope = g.derivative(A, H)
        norms = (W * W).sum(axis=1)  # ||W_j||**2
        weighted = self.weight * row[:, None] * slope
        _add_dA(extra, 0, 2 * weighted * g.second(A, H) * norms)  # (34)
        dW += 2 * (weighted * slope).sum(axis=0)[:, None] * W  # (35)
        return float(((weighted * slope) @ norms).sum())  # (33)

    def _add_layers(
        self, net: Network, views: Views, enc: EncoderPass, row: Vector, extra: Extra
    ) -> float:
        slopes: list[Matrix] = []
        U: list[Matrix] = []  # U_l = W_l J_(l-1) (+ P at the code)
        J: list[Matrix] = []  # J_l = g'(A_l) U_l
        for layer, g in enumerate(net.encoder_activations):
            W, _ = views.encoder(layer)
            u = np.broadcast_to(W, (len(row), *W.shape)) if layer == 0 else W @ J[-1]
            if net.linear_path and layer == net.depth - 1:
                u = u + views.P
            slopes.append(g.derivative(enc.A[layer], enc.H[layer]))
            U.append(u)
            J.append(slopes[-1][:, :, None] * u)
        value = self.weight * float(row @ (J[-1] * J[-1]).sum(axis=(1, 2)))
        dJ = 2 * self.weight * row[:, None, None] * J[-1]
        for layer in reversed(range(net.depth)):  # (36)
            g = net.encoder_activations[layer]
            _add_dA(extra, layer, g.second(enc.A[layer], enc.H[layer]) * (dJ * U[layer]).sum(2))
            dU = slopes[layer][:, :, None] * dJ
            if net.linear_path and layer == net.depth - 1:
                extra.grad.P[...] += dU.sum(axis=0)
            W, _ = views.encoder(layer)
            dW, _ = extra.grad.encoder(layer)
            if layer == 0:
                dW += dU.sum(axis=0)
            else:
                dW += np.tensordot(dU, J[layer - 1], axes=([0, 2], [0, 2]))
                dJ = W.T @ dU
        return value


def _add_dA(extra: Extra, layer: int, dA: Matrix) -> None:
    extra.dA[layer] = extra.dA[layer] + dA if layer in extra.dA else dA
