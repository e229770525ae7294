"""Textbook architectures by name, with the figures they must reach (benchmarks/quality.py).

Each recipe returns an unfitted Autoencoder; every parameter can be overridden.
"""

from __future__ import annotations

from typing import Any

from xhat.data.kinds import Binary
from xhat.estimator import Autoencoder
from xhat.train.optimizers import Adam
from xhat.train.schedules import OneCycle


def hinton2006(**parameters: Any) -> Autoencoder:
    """784-1000-500-250-30, for images with pixels in [0, 1]; logistic output and cross-entropy.

    Hinton and Salakhutdinov (Science 313, 2006, 504) fine-tune by cross-entropy, too, and report a
    squared error of 3.00 per MNIST test image after layer-by-layer pretraining. Here the linear
    path takes the place of the pretraining. Cross-entropy and weight decay were chosen on 6,000 of
    the training images.

    Examples
    --------
    >>> hinton2006().hidden
    (1000, 500, 250)
    """
    defaults: dict[str, Any] = {
        "n_components": 30,
        "hidden": (1000, 500, 250),
        "heads": Binary(),
        "activation": ("silu", "identity"),
        "batch_size": 128,
        "max_iter": 40,
        "stopping": None,  # the loss falls most at the end, as the rate decays
        "optimizer": Adam(weight_decay=0.35),
        "learning_rate": OneCycle(1e-3),
        "validation_fraction": 0.02,
    }
    return Autoencoder(**{**defaults, **parameters})


def keras_blog(**parameters: Any) -> Autoencoder:
    """784-32-784 with a logistic output and cross-entropy, for pixels in [0, 1].

    "Building autoencoders in Keras" reaches about 0.03 nats per pixel above the floor after 50
    epochs of a relu code; here the code is relu as well. Rate and epochs were chosen on 6,000 of
    the training images.

    Examples
    --------
    >>> keras_blog().n_components
    32
    """
    defaults: dict[str, Any] = {
        "n_components": 32,
        "hidden": (),
        "linear_path": False,
        "activation": "relu",
        "heads": Binary(),
        "batch_size": 128,
        "max_iter": 100,
        "stopping": None,  # at its highest rate the loss stands still: the decay has to come
        "learning_rate": OneCycle(2e-2),
        "validation_fraction": 0.02,
    }
    return Autoencoder(**{**defaults, **parameters})
