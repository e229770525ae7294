"""One activation name: the code's where there are no layers, else that of layers round a line."""

import numpy as np
import pytest

from xhat import Autoencoder, Gaussian, KLSparsity, ParameterError

X = np.random.default_rng(0).normal(size=(60, 5))


def fitted(k, rows=60, **parameters):
    given = {"max_iter": 1, "random_state": 0, "validation_fraction": 0} | parameters
    return Autoencoder(k, **given).fit(X[:rows])


@pytest.mark.parametrize(
    ("k", "rows", "hidden", "pair"),
    [
        (3, 30, "auto", ("relu", "relu")),  # too few rows for a layer
        (20, 60, "auto", ("relu", "relu")),  # overcomplete: no layer either
        (3, 60, (), ("relu", "relu")),
        (3, 60, "auto", ("relu", "identity")),
        (3, 30, (4,), ("relu", "identity")),
    ],
)
def test_one_name_is_the_codes_without_layers(k, rows, hidden, pair):
    ae = fitted(k, rows, hidden=hidden, activation="relu", corruption=Gaussian())
    assert ae.choices_["activation"] == f"{pair} (as asked)"
    assert bool(ae.transform(X).min() >= 0) is (pair[1] == "relu")


def test_a_pair_is_kept():
    assert fitted(3, 30, activation=["silu", "tanh"])._fit.model.net.code_activation == "tanh"


@pytest.mark.parametrize(
    ("parameters", "ways"),
    [
        (
            {"activation": "sigmoid"},
            [{"activation": ("sigmoid", "sigmoid")}, {"hidden": (), "activation": "sigmoid"}],
        ),
        ({"hidden": (4,)}, [{"activation": ("silu", "sigmoid")}]),
        ({"hidden": (), "activation": "tanh"}, [{"activation": "sigmoid"}]),
    ],
)
def test_the_ways_out_of_a_code_without_activity_are_ways_out(parameters, ways):
    """The advice was what had been given."""
    with pytest.raises(ParameterError, match="KLSparsity needs a code in") as caught:
        fitted(3, penalty=KLSparsity(), **parameters)
    for way in ways:
        for name, value in way.items():
            assert f"{name}={value!r}" in str(caught.value)
        fitted(3, penalty=KLSparsity(), **(parameters | way))


def test_the_ways_out_of_a_path_round_a_code_that_is_not_linear():
    given = {"penalty": KLSparsity(), "activation": ("silu", "sigmoid"), "hidden": (4,)}
    with pytest.raises(ParameterError, match="use linear_path=False or activation="):
        fitted(3, linear_path=True, **given)
    assert fitted(3, linear_path=False, **given)._fit.model.net.code_activation == "sigmoid"
