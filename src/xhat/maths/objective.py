"""THE page: h = g(W x + b), x_hat = f(W* h + c), the objective J and its gradient in theta.

Knows: one batch, the parameters, the equations of docs/maths.md (numbers in the comments).
Must not know: optimisers, engines, files. Forward and backward mirror each other line by line;
a fast engine computes the same quantities under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xhat.maths import heads
from xhat.maths.corruption import Columns, Corruption, Masking
from xhat.maths.params import Network, Views
from xhat.maths.penalties import EncoderPass, Extra, Penalty
from xhat.maths.types import Matrix, Vector


@dataclass(frozen=True)
class Objective:
    """What is minimised: the network's mean loss plus its penalties.

    Parameters
    ----------
    net : Network
        The model.
    penalties : tuple of Penalty
        Added to the mean loss.
    corruption : Corruption or None
        Applied to what the encoder sees; the loss is against the clean row.
    columns : Columns or None
        Range, mean and group of each encoded column, for the corruption.
    """

    net: Network
    penalties: tuple[Penalty, ...] = ()
    corruption: Corruption | None = None
    columns: Columns | None = None

    def shown(self, batch: Batch, first: int = 0, key: int = 0) -> tuple[Matrix, Batch]:
        """Return x_tilde (without a corruption: x itself) and the batch with emphasis in its mask.

        ``first`` is the counter of the first row.
        """
        noise, X = self.corruption, batch.X
        if noise is None:
            return X, batch
        assert self.columns is not None
        counters = np.arange(len(X), dtype=np.uint64) + np.uint64(first)
        X_tilde = noise.apply(X, key, counters, self.columns)
        if not self.emphatic:
            return X_tilde, batch
        weight = noise.emphasis(X, key, counters, self.columns)  # type: ignore[attr-defined]
        return X_tilde, replace(batch, mask=weight if batch.mask is None else weight * batch.mask)

    @property
    def emphatic(self) -> bool:
        """Whether hidden cells count more than visible ones."""
        return isinstance(self.corruption, Masking) and self.corruption.visible < 1

    def judging(self, net: Network | None = None) -> Objective:
        """Return what held-out rows are judged by, of ``net`` instead of this one if it is given.

        The loss of clean rows, without penalties; but where filling hidden cells is what is learnt
        (emphasis), cells are hidden there too.
        """
        corruption = self.corruption if self.emphatic else None
        return Objective(net or self.net, (), corruption, self.columns)


@dataclass(frozen=True)
class Batch:
    """Encoded rows: X (n, d), their weights (n,) and the mask of observed cells (n, d)."""

    X: Matrix
    weight: Vector | None = None
    mask: Matrix | None = None

    def row_scale(self) -> Vector:
        """Return weight / n: with weights of mean 1 over the data, an unbiased batch mean."""
        n = self.X.shape[0]
        if self.weight is None:
            return np.full(n, 1 / n, dtype=self.X.dtype)
        return self.weight / self.X.dtype.type(n)


def encode(net: Network, views: Views, X: Matrix) -> EncoderPass:
    """Compute ``A_l = H_(l-1) W_l' + b_l`` and ``H_l = g(A_l)`` up to the code (1, 2, 23).

    Parameters
    ----------
    net : Network
    views : Views
        Parameters.
    X : ndarray of shape (n, d)
        What the encoder sees (possibly corrupted).
    """
    A: list[Matrix] = []
    H: list[Matrix] = []
    below = X
    for layer, g in enumerate(net.encoder_activations):
        W, b = views.encoder(layer)
        a = below @ W.T + b  # (1)
        if net.linear_path and layer == net.depth - 1:
            a = a + X @ views.P.T  # (25)
        below = g.forward(a)  # (2)
        A.append(a)
        H.append(below)
    return EncoderPass(X, A, H)


@dataclass
class DecoderPass:
    """What the decoder computed: A and H of its hidden layers, and A_hat."""

    A: list[Matrix]
    H: list[Matrix]
    A_hat: Matrix


def decode(net: Network, views: Views, H: Matrix) -> DecoderPass:
    """Compute the decoder up to the pre-activation ``A_hat = H W*' + c`` (3, 23, 26)."""
    A_star: list[Matrix] = []
    H_star: list[Matrix] = []
    below = H
    for layer, g in enumerate(net.decoder_activations):
        W_star, c = views.decoder(layer)
        A_star.append(below @ W_star.T + c)  # (23)
        below = g.forward(A_star[-1])
        H_star.append(below)
    W_star, c = views.decoder(net.depth - 1)
    A_hat = below @ W_star.T + c  # (3)
    if net.linear_path:
        A_hat = A_hat + H @ views.Q.T  # (26)
    return DecoderPass(A_star, H_star, A_hat)


def reconstruct(net: Network, views: Views, X: Matrix) -> Matrix:
    """Return ``X_hat = f(A_hat)`` of rows X (equation 4)."""
    return heads.predict(net.blocks, decode(net, views, encode(net, views, X).H[-1]).A_hat)


def row_losses(net: Network, A_hat: Matrix, X: Matrix, mask: Matrix | None = None) -> Vector:
    """Return each row's loss: the sum over observed cells (equations 7 to 9)."""
    cells = heads.cell_loss(net.blocks, A_hat, X)
    rows: Vector = (cells if mask is None else cells * mask).sum(axis=1)
    return rows


def loss_and_grad(
    objective: Objective,
    theta: Vector,
    batch: Batch,
    grad: Vector,
    X_tilde: Matrix | None = None,
) -> float:
    """Return J and write dJ/dtheta into ``grad``.

    ``J = sum_i scale_i loss(x_i, x_hat_i) + penalties`` with ``scale_i = weight_i / n``, times
    the mask, cell by cell (equation 13).

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (net.size,)
        Parameters.
    batch : Batch
        Clean rows, their weights and mask.
    grad : ndarray of shape (net.size,)
        OUT: the gradient.
    X_tilde : ndarray of shape (n, d) or None
        The corrupted rows; None: the clean ones.

    Returns
    -------
    float
        The objective J of this batch.
    """
    net, X = objective.net, batch.X
    views, grads = Views(net, theta), Views(net, grad)
    grad[:] = 0
    row = batch.row_scale()
    scale = row[:, None] if batch.mask is None else row[:, None] * batch.mask

    enc = encode(net, views, X if X_tilde is None else X_tilde)
    H = enc.H[-1]
    dec = decode(net, views, H)
    J = float((heads.cell_loss(net.blocks, dec.A_hat, X) * scale).sum())  # (13)

    extra = Extra(grads)
    for penalty in objective.penalties:
        J += penalty.add(net, views, enc, row, extra)

    dA_hat = heads.cell_grad(net.blocks, dec.A_hat, X) * scale  # (14), (16)
    dH = _decoder_backward(net, views, grads, H, dec, dA_hat) + extra.dH
    _encoder_backward(net, views, grads, enc, dH, extra)
    return J


def _decoder_backward(
    net: Network, views: Views, grads: Views, H: Matrix, dec: DecoderPass, dA_hat: Matrix
) -> Matrix:
    """Add the decoder's gradients and return dJ/dH."""
    dA = dA_hat
    for layer in reversed(range(net.depth)):
        W_star, _ = views.decoder(layer)
        dW_star, dc = grads.decoder(layer)
        below = dec.H[layer - 1] if layer else H
        dW_star += dA.T @ below  # (17)
        dc += dA.sum(axis=0)  # (18)
        dH = dA @ W_star  # (19)
        if layer:
            g = net.decoder_activations[layer - 1]
            dA = dH * g.derivative(dec.A[layer - 1], dec.H[layer - 1])  # (20)
    if net.linear_path:
        dQ = grads.Q
        dQ += dA_hat.T @ H  # (27)
        dH = dH + dA_hat @ views.Q  # (27)
    return dH


def _encoder_backward(
    net: Network, views: Views, grads: Views, enc: EncoderPass, dH: Matrix, extra: Extra
) -> None:
    """Add the encoder's gradients."""
    for layer in reversed(range(net.depth)):
        g = net.encoder_activations[layer]
        dA = dH * g.derivative(enc.A[layer], enc.H[layer])  # (20)
        if layer in extra.dA:
            dA = dA + extra.dA[layer]
        if net.linear_path and layer == net.depth - 1:
            dP = grads.P
            dP += dA.T @ enc.X_tilde  # (28)
        W, _ = views.encoder(layer)
        dW, db = grads.encoder(layer)
        below = enc.H[layer - 1] if layer else enc.X_tilde
        dW += dA.T @ below  # (21)
        db += dA.sum(axis=0)  # (22)
        dH = dA @ W if layer else dH  # (19)
