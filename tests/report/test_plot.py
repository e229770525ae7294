"""Every picture returns the Axes it was given, with named axes and the numbers of the library."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")
import matplotlib.pyplot as plt

from xhat import Autoencoder, ParameterError, plot
from xhat.sweep import Sweep


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_loss(cases, ax):
    ae, _, _ = cases["digits"]
    assert plot.loss(ae, ax=ax) is ax
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), ae.loss_curve_)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss per row")


def test_codes(cases, ax):
    ae, X, _ = cases["penguins"]
    assert plot.codes(ae, X, units=(0, 2), ax=ax) is ax
    np.testing.assert_allclose(
        ax.collections[0].get_offsets(), np.asarray(ae.transform(X))[:, [0, 2]]
    )
    assert ax.get_ylabel() == "code2"


def test_scores(cases, ax):
    ae, X, _ = cases["digits"]
    plot.scores(ae, X, false_alarm_rate=0.1, ax=ax)
    assert ax.lines[0].get_xdata()[0] == ae.threshold(0.1)
    assert sum(p.get_height() for p in ax.patches) == len(X)


def test_reconstruction(cases, ax):
    ae, X, _ = cases["digits"]
    assert plot.reconstruction(ae, X, row=3, ax=ax) is ax
    assert len(ax.get_yticks()) == 64
    plt.close(plot.reconstruction(ae, X, image_shape=(8, 8)).figure)
    with pytest.raises(ParameterError, match="does not hold"):
        plot.reconstruction(ae, X, image_shape=(8, 9))
    plt.close("all")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"row": -1}, "row=-1: expected a whole number from 0 to 399"),
        ({"row": 400}, "row=400: expected a whole number from 0 to 399"),
        ({"row": 1.5}, "row=1.5: expected a whole number from 0 to 399"),
        ({"row": 400, "image_shape": (8, 8)}, "row=400: expected a whole number"),
        ({"count": 0, "image_shape": (8, 8)}, "count=0: expected a whole number >= 1"),
        ({"image_shape": (-8, -8)}, r"image_shape=\(-8, -8\): expected \(height, width\)"),
        ({"image_shape": (8.0, 8)}, r"image_shape=\(8.0, 8\): expected \(height, width\)"),
        ({"image_shape": 64}, r"image_shape=64: expected \(height, width\)"),
    ],
    ids=str,
)
def test_rows_that_are_not_there_are_refused(cases, given, message):
    ae, X, _ = cases["digits"]
    with pytest.raises(ParameterError, match=message):
        plot.reconstruction(ae, X, **given)
    plt.close("all")


def test_units_and_sweep(cases, ax):
    ae, _, _ = cases["digits"]
    assert plot.units(ae, ax=ax).images[0].get_array().shape == (6, 64)
    plt.close(plot.units(ae, image_shape=(8, 8)).figure)
    curve = Sweep([1, 2], [2.0, 1.0], [3.0, 2.0], 4.0, 2, "why", "rows", "unit")
    drawn = plot.sweep(curve)
    np.testing.assert_array_equal(drawn.lines[1].get_ydata(), [3, 2])
    plt.close("all")
    with pytest.raises(ParameterError, match="categories"):
        plot.units(cases["penguins"][0])


def test_dollars_in_names_are_no_mathematics():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["$a_$", "b"])
    ax = plot.reconstruction(Autoencoder(1, random_state=0, max_iter=2).fit(X), X, row=3)
    ax.figure.canvas.draw()
