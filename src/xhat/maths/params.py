"""One flat parameter vector theta with named views W1, b1, ..., W, b, ..., W_star, c, P, Q.

Knows: the shapes of the network and where each parameter lies in theta.
Must not know: how theta is computed or updated.

One vector makes an optimiser one loop, L-BFGS direct and the model file two arrays. A view is
never a copy: writing to it writes to theta. docs/decisions/0003 says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xhat.maths.activations import ACTIVATIONS, Activation
from xhat.maths.heads import Block
from xhat.maths.types import Vector


@dataclass(frozen=True)
class Network:
    """The shape of an autoencoder ``h = g(W x + b)``, ``x_hat = f(W* h + c)``, of any depth.

    Parameters
    ----------
    d : int
        Encoded columns.
    k : int
        Units of the code.
    blocks : tuple of Block
        Heads; together they cover the d columns in order.
    hidden : tuple of int
        Widths of the layers between x and h; mirrored between h and x_hat.
    activation : str
        g of the hidden layers.
    code_activation : str
        g of the code layer.
    tied : bool
        Whether each decoder matrix is the transpose of its encoder matrix (equation 24).
    linear_path : bool
        Whether ``P x`` is added to the code's and ``Q h`` to the output's pre-activation
        (equations 25 to 28).
    """

    d: int
    k: int
    blocks: tuple[Block, ...]
    hidden: tuple[int, ...] = ()
    activation: str = "sigmoid"
    code_activation: str = "sigmoid"
    tied: bool = False
    linear_path: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from x to h: ``(d, *hidden, k)``."""
        return (self.d, *self.hidden, self.k)

    @property
    def depth(self) -> int:
        """Number of encoder layers (and of decoder layers)."""
        return len(self.hidden) + 1

    @cached_property
    def encoder_activations(self) -> tuple[Activation, ...]:
        """One g per encoder layer, the code's last."""
        hidden = (ACTIVATIONS[self.activation],) * len(self.hidden)
        return (*hidden, ACTIVATIONS[self.code_activation])

    @cached_property
    def decoder_activations(self) -> tuple[Activation, ...]:
        """One g per hidden decoder layer; the output layer's f belongs to the heads."""
        return (ACTIVATIONS[self.activation],) * len(self.hidden)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in the order of theta.

        Encoder layers are ``W1, b1, ...``, the last is ``W, b``; decoder layers ``W1_star, c1,
        ...``, the last is ``W_star, c``; the linear path is P (k, d) and Q (d, k).
        """
        shapes: dict[str, tuple[int, ...]] = {}
        up = self.sizes
        for layer in range(self.depth):
            weight, bias = self.encoder_names[layer]
            shapes[weight] = (up[layer + 1], up[layer])
            shapes[bias] = (up[layer + 1],)
        down = up[::-1]
        for layer in range(self.depth):
            weight, bias = self.decoder_names[layer]
            if not self.tied:
                shapes[weight] = (down[layer + 1], down[layer])
            shapes[bias] = (down[layer + 1],)
        if self.linear_path:
            shapes["P"] = (self.k, self.d)
            if not self.tied:
                shapes["Q"] = (self.d, self.k)
        return shapes

    @cached_property
    def encoder_names(self) -> tuple[tuple[str, str], ...]:
        """(weight, bias) name of each encoder layer."""
        inner = tuple((f"W{i + 1}", f"b{i + 1}") for i in range(len(self.hidden)))
        return (*inner, ("W", "b"))

    @cached_property
    def decoder_names(self) -> tuple[tuple[str, str], ...]:
        """(weight, bias) name of each decoder layer."""
        inner = tuple((f"W{i + 1}_star", f"c{i + 1}") for i in range(len(self.hidden)))
        return (*inner, ("W_star", "c"))

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Position of each parameter in theta."""
        offsets, position = {}, 0
        for name, shape in self.shapes.items():
            offsets[name] = position
            position += int(np.prod(shape))
        return offsets

    @cached_property
    def size(self) -> int:
        """Length of theta."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())


class Views:
    """Named views of a flat vector laid out as a network's theta (or its gradient).

    Parameters
    ----------
    net : Network
        The layout.
    theta : ndarray of shape (net.size,)
        The vector; views share its memory.

    Examples
    --------
    >>> import numpy as np
    >>> from xhat.maths.heads import Block, SquaredError
    >>> net = Network(d=3, k=2, blocks=(Block(0, 3, SquaredError()),))
    >>> theta = np.zeros(net.size)
    >>> Views(net, theta)["b"][:] = 1.0
    >>> theta.sum()
    np.float64(2.0)
    """

    def __init__(self, net: Network, theta: Vector) -> None:
        assert theta.shape == (net.size,), (theta.shape, net.size)
        self.net = net
        self._views = {
            name: theta[net.offsets[name] : net.offsets[name] + int(np.prod(shape))].reshape(shape)
            for name, shape in net.shapes.items()
        }

    def __getitem__(self, name: str) -> Vector:
        return self._views[name]

    def items(self) -> list[tuple[str, Vector]]:
        """(name, view) in the order of theta."""
        return list(self._views.items())

    def encoder(self, layer: int) -> tuple[Vector, Vector]:
        """Return (W, b) of an encoder layer."""
        weight, bias = self.net.encoder_names[layer]
        return self._views[weight], self._views[bias]

    def decoder(self, layer: int) -> tuple[Vector, Vector]:
        """Return (W*, c) of a decoder layer; with tied weights W* is a transposed view of W."""
        weight, bias = self.net.decoder_names[layer]
        if self.net.tied:
            mirror, _ = self.net.encoder_names[self.net.depth - 1 - layer]
            return self._views[mirror].T, self._views[bias]
        return self._views[weight], self._views[bias]

    @property
    def P(self) -> Vector:
        """The encoder's linear path (k, d)."""
        return self._views["P"]

    @property
    def Q(self) -> Vector:
        """The decoder's linear path (d, k)."""
        return self._views["P"].T if self.net.tied else self._views["Q"]
