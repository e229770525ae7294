"""Independent oracles for closed-form gradients: finite differences and reverse-mode autodiff.

Nothing here calls xhat. The objective is written once more, from the mathematics and row by row,
as the textbook does (``W @ x + b``), with its own dictionary of parameters and with unstable
textbook forms where the package uses stable ones.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import grad, jacobian


class Spec(NamedTuple):
    """An autoencoder in words: widths, activations, one head name per column."""

    columns: tuple[str, ...]  # linear | logistic | tanh (squared error) or bce, one per column
    k: int
    hidden: tuple[int, ...] = ()
    g: str = "sigmoid"
    g_code: str = "sigmoid"
    tied: bool = False
    linear_path: bool = False

    @property
    def d(self):
        return len(self.columns)

    @property
    def sizes(self):
        return (self.d, *self.hidden, self.k)


ACTIVATIONS = {
    "sigmoid": lambda a: 1 / (1 + anp.exp(-a)),
    "tanh": anp.tanh,
    "relu": lambda a: anp.where(a > 0, a, 0.0 * a),
    "silu": lambda a: a / (1 + anp.exp(-a)),
    "identity": lambda a: 1.0 * a,
}
OUTPUTS = {
    "linear": ACTIVATIONS["identity"],
    "logistic": ACTIVATIONS["sigmoid"],
    "tanh": anp.tanh,
    "bce": ACTIVATIONS["sigmoid"],
}


def draw_parameters(spec, rng, size=0.5):
    """Return random parameters: lists of matrices and biases from the bottom up."""
    up, down = spec.sizes, spec.sizes[::-1]

    def matrices(widths):
        return [size * rng.standard_normal((above, below)) for below, above in pairwise(widths)]

    def biases(widths):
        return [0.3 * rng.standard_normal(above) for above in widths[1:]]

    p = {"W": matrices(up), "b": biases(up), "c": biases(down)}
    if not spec.tied:
        p["W_star"] = matrices(down)
    if spec.linear_path:
        p["P"] = size * rng.standard_normal((spec.k, spec.d))
        if not spec.tied:
            p["Q"] = size * rng.standard_normal((spec.d, spec.k))
    return p


def code(p, spec, x):
    """Return h(x) of one row."""
    h = x
    for layer, (W, b) in enumerate(zip(p["W"], p["b"], strict=True)):
        a = anp.dot(W, h) + b
        last = layer == len(spec.hidden)
        if last and spec.linear_path:
            a = a + anp.dot(p["P"], x)
        h = ACTIVATIONS[spec.g_code if last else spec.g](a)
    return h


def output(p, spec, h):
    """Return the output pre-activation a_hat(h) of one row."""
    stars = [W.T for W in p["W"][::-1]] if spec.tied else p["W_star"]
    z = h
    for layer, (W_star, c) in enumerate(zip(stars, p["c"], strict=True)):
        a = anp.dot(W_star, z) + c
        z = ACTIVATIONS[spec.g](a) if layer < len(spec.hidden) else a
    if spec.linear_path:
        z = z + anp.dot(p["P"].T if spec.tied else p["Q"], h)
    return z


def cells(spec, a_hat, x):
    """Return the loss of each cell of one row, in textbook form."""
    losses = []
    for j, column in enumerate(spec.columns):
        x_hat = OUTPUTS[column](a_hat[j])
        if column == "bce":
            losses.append(-x[j] * anp.log(x_hat) - (1 - x[j]) * anp.log(1 - x_hat))
        else:
            losses.append((x_hat - x[j]) ** 2)
    return anp.array(losses)


def mean_loss(p, spec, X, X_tilde, weight=None, mask=None):
    """Return ``1/n sum_i weight_i sum_j mask_ij loss(x_ij, x_hat_ij)``."""
    total = 0.0
    for i, x in enumerate(X):
        row = cells(spec, output(p, spec, code(p, spec, X_tilde[i])), x)
        if mask is not None:
            row = row * mask[i]
        total = total + anp.sum(row) * (1.0 if weight is None else weight[i])
    return total / len(X)


def penalty(p, spec, X_tilde, weight, kind, strength, rho=0.05):
    """Return one penalty: l2, l1, kl or contractive (see docs/maths.md, section 11)."""
    n = len(X_tilde)
    weight = np.ones(n) if weight is None else weight
    if kind == "l2":
        matrices = p["W"] + p.get("W_star", [])
        return strength * sum(anp.sum(W**2) for W in matrices)
    if kind == "l1":
        rows = [anp.sum(anp.abs(code(p, spec, x))) for x in X_tilde]
        return strength * sum(w * row for w, row in zip(weight, rows, strict=True)) / n
    if kind == "kl":
        total = sum(w * code(p, spec, x) for w, x in zip(weight, X_tilde, strict=True))
        activity = total / np.sum(weight)
        off = (1 - rho) * anp.log((1 - rho) / (1 - activity))
        return strength * anp.sum(rho * anp.log(rho / activity) + off)
    if kind == "contractive":
        rows = [anp.sum(jacobian(lambda x: code(p, spec, x))(x) ** 2) for x in X_tilde]
        return strength * sum(w * row for w, row in zip(weight, rows, strict=True)) / n
    raise ValueError(kind)


def value_and_grad(function, p):
    """Return ``function(p)`` and its gradient, a dictionary like p, by reverse-mode autodiff."""
    return float(function(p)), grad(function)(p)


def flat_names(spec, p):
    """Yield (xhat's name, array) for every array of a dictionary like p."""
    last = len(spec.hidden)
    for key, arrays in p.items():
        if key in ("P", "Q"):
            yield key, arrays
            continue
        for layer, array in enumerate(arrays):
            stem, star = (key[0], "_star") if key == "W_star" else (key, "")
            yield f"{stem}{'' if layer == last else layer + 1}{star}", array


def slope_along(function, theta, u, step=1e-4):
    """Return the derivative of ``function`` at theta along u, by the 4-point central formula."""

    def at(t):
        return function(theta + t * u)

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
