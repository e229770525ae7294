"""Parameters before training: at PCA where there is a linear path, else random.

Knows: the network and the baseline. Must not know: data, training.
"""

from __future__ import annotations

import numpy as np

from xhat.baseline import Baseline
from xhat.maths.params import Network, Views
from xhat.maths.types import Vector


def start(net: Network, baseline: Baseline, rng: np.random.Generator, spread: float) -> Vector:
    """Return theta before training, float64.

    With a linear path P, Q and c are PCA's (for non-linear heads: the head's decoder on the PCA
    codes) and the last layers W and W_star are zero, so that the start *is* the baseline. Without
    one, c gives the mean and all matrices are random.

    The biases of hidden layers are uniform on ``+-spread / sqrt(inputs)``: units bend at different
    places of the data, not all of them at the mean.
    """
    theta = np.zeros(net.size)
    views, base = Views(net, theta), Views(baseline.net, baseline.theta)
    zero = ("W", "W_star") if net.linear_path else ()
    biases = dict((*net.encoder_names[:-1], *net.decoder_names[:-1]))
    for name, view in views.items():
        if view.ndim == 2 and name not in (*zero, "P", "Q"):
            view[...] = rng.normal(0, np.sqrt(_variance(net, name, view)), view.shape)
            bias = biases.get(name)
            if spread and bias is not None:
                views[bias][...] = rng.uniform(-1, 1, view.shape[0]) * spread / view.shape[1] ** 0.5
    views["c"][...] = baseline.mean
    if net.linear_path:
        views["P"][...], views["b"][...] = base["W"], base["b"]
        if not net.tied:
            views["Q"][...] = base["W_star"]
        views["c"][...] = base["c"] - _resting_output(net, views)
    return theta


def _variance(net: Network, name: str, view: Vector) -> float:
    """Glorot and Bengio (2010): 2 / (in + out); doubled before rectifiers (He et al. 2015)."""
    rectified = name not in ("W", "W_star") and net.activation in ("relu", "silu")
    return (4.0 if rectified else 2.0) / sum(view.shape)


def _resting_output(net: Network, views: Views) -> Vector:
    """Return what the decoder's layers add at code 0: g(0) is 1/2 for the sigmoid."""
    below = np.zeros(net.k)
    for layer, g in enumerate(net.decoder_activations):
        W_star, c = views.decoder(layer)
        below = g.forward((W_star @ below + c)[None, :])[0]
    W_star, _ = views.decoder(net.depth - 1)
    output: Vector = W_star @ below
    return output
