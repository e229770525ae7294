"""Penalties: values by hand, special cases, refusals. Gradients are in test_gradients.py."""

import numpy as np
import pytest

from xhat.maths.heads import Block, SquaredError
from xhat.maths.objective import Batch, Objective, encode, loss_and_grad
from xhat.maths.params import Network, Views
from xhat.maths.penalties import L2, Contractive, Extra, KLSparsity, L1Code

D, K = 3, 2


def network(**choices):
    return Network(D, K, (Block(0, D, SquaredError()),), **choices)


def draw(net, n=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(net.size), rng.standard_normal((n, D))


def evaluate(penalty, net, theta, X, row=None):
    """Return a penalty's value, its gradient in theta through no loss, and what it handed on."""
    row = np.full(len(X), 1 / len(X)) if row is None else row
    views, grads = Views(net, theta), Views(net, np.zeros_like(theta))
    extra = Extra(grads)
    value = penalty.add(net, views, encode(net, views, X), row, extra)
    return value, grads, extra


def penalised(penalties, net, theta, X):
    grad = np.empty_like(theta)
    J = loss_and_grad(Objective(net, penalties), theta, Batch(X), grad)
    return J, grad


def test_l2_by_hand():
    """3 times the sum of squares of W and W*; biases and the linear path are free."""
    net = network(linear_path=True, code_activation="identity")
    theta = np.zeros(net.size)
    views = Views(net, theta)
    views["W"][0, 0], views["W_star"][1, 1] = 2.0, 1.0
    for free in ("b", "c", "P", "Q"):
        views[free][...] = 7.0
    value, grads, _ = evaluate(L2(3.0), net, theta, np.zeros((1, D)))
    assert value == 3 * (4 + 1)
    assert grads["W"].tolist() == [[12, 0, 0], [0, 0, 0]]
    assert grads["W_star"].sum() == grads["W_star"][1, 1] == 6
    assert all((grads[free] == 0).all() for free in ("b", "c", "P", "Q"))


def test_l2_counts_every_matrix_and_a_shared_one_once():
    for tied, count in ((False, 4), (True, 2)):
        net = network(hidden=(4,), tied=tied)
        theta = np.zeros(net.size)
        for name, view in Views(net, theta).items():
            if name.startswith("W"):
                view.flat[0] = 1.0
        assert evaluate(L2(1.0), net, theta, np.zeros((1, D)))[0] == count


def test_l1_by_hand():
    """Codes (1, -3) and (0, 2): mean of 4 and 2."""
    net = network(code_activation="identity")
    theta = np.zeros(net.size)
    Views(net, theta)["W"][...] = [[1, 0, 0], [0, 1, 0]]
    X = np.array([[1.0, -3.0, 9.0], [0.0, 2.0, 9.0]])
    value, _, extra = evaluate(L1Code(0.5), net, theta, X)
    assert value == 0.5 * 3
    assert extra.dH.tolist() == [[0.25, -0.25], [0, 0.25]]  # 0 at h = 0


def test_kl_by_hand():
    """W = 0 makes every activity s(b): KL is 0 at the target, known elsewhere."""
    net = network()
    theta = np.zeros(net.size)
    b = Views(net, theta)["b"]
    b[:] = np.log(0.1 / 0.9)
    value, _, extra = evaluate(KLSparsity(rho=0.1), net, theta, np.ones((5, D)))
    assert value == pytest.approx(0, abs=1e-15)
    assert np.abs(extra.dH).max() < 1e-14
    b[:] = np.log(0.5 / 0.5), np.log(0.1 / 0.9)
    value, _, extra = evaluate(KLSparsity(rho=0.1, weight=2.0), net, theta, np.ones((5, D)))
    assert value == pytest.approx(2 * (0.1 * np.log(0.1 / 0.5) + 0.9 * np.log(0.9 / 0.5)))
    # d KL / d rho_hat = -0.1 / 0.5 + 0.9 / 0.5 = 1.6, spread over 5 rows, times the weight.
    np.testing.assert_allclose(extra.dH[:, 0], 2 * 1.6 / 5, rtol=1e-14)


@pytest.mark.parametrize("rho", [0.05, 0.5, 0.9])
def test_kl_is_smallest_at_the_target(rho):
    net = network()
    theta = np.zeros(net.size)

    def at(activity):
        Views(net, theta)["b"][:] = np.log(activity / (1 - activity))
        return evaluate(KLSparsity(rho), net, theta, np.ones((1, D)))[0]

    activities = np.linspace(0.01, 0.99, 99)
    values = [at(activity) for activity in activities]
    assert activities[int(np.argmin(values))] == pytest.approx(rho, abs=0.006)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [-1e4, 1e4])
def test_kl_of_saturated_units_is_large_but_finite(bias, dtype):
    """All units off or all on, to the last bit: the slope points back and is finite."""
    net = network()
    theta = np.zeros(net.size, dtype)
    Views(net, theta)["b"][:] = bias
    with np.errstate(all="raise", under="ignore"):
        value, _, extra = evaluate(
            KLSparsity(0.3), net, theta, np.ones((2, D), dtype), np.full(2, 0.5, dtype)
        )
    assert 1 < value < 100
    assert np.isfinite(extra.dH).all()
    assert (np.sign(extra.dH) == np.sign(bias)).all()


def test_contractive_of_a_linear_code_is_the_norm_of_w():
    """g(a) = a: dh/dx = W for every row, dOmega/dW = 2 W and no g'' anywhere."""
    net = network(code_activation="identity")
    theta, X = draw(net)
    W = Views(net, theta)["W"]
    value, grads, extra = evaluate(Contractive(0.5), net, theta, X)
    assert value == pytest.approx(0.5 * (W**2).sum())
    np.testing.assert_allclose(grads["W"], W, rtol=1e-14)
    assert (extra.dA[0] == 0).all()


def test_contractive_of_two_linear_layers_is_the_norm_of_their_product():
    net = network(hidden=(4,), activation="identity", code_activation="identity", linear_path=True)
    theta, X = draw(net)
    views = Views(net, theta)
    J = views["W"] @ views["W1"] + views["P"]
    value, grads, _ = evaluate(Contractive(1.0), net, theta, X)
    assert value == pytest.approx((J**2).sum())
    np.testing.assert_allclose(grads["P"], 2 * J, rtol=1e-12)
    np.testing.assert_allclose(grads["W"], 2 * J @ views["W1"].T, rtol=1e-12)
    np.testing.assert_allclose(grads["W1"], 2 * views["W"].T @ J, rtol=1e-12)


def test_contractive_of_one_sigmoid_unit_by_hand():
    """W = (w, 0, 0), a = log 3, h = 3/4: h' = 3/16, h'' = h' (1 - 2 h) = -3/32."""
    net = Network(D, 1, (Block(0, D, SquaredError()),))
    theta = np.zeros(net.size)
    w = 2.0
    Views(net, theta)["W"][0, 0] = w
    X = np.array([[np.log(3) / w, 5.0, 5.0]])
    value, grads, extra = evaluate(Contractive(1.0), net, theta, X)
    assert value == pytest.approx((3 / 16) ** 2 * w**2)
    assert extra.dA[0][0, 0] == pytest.approx(2 * (3 / 16) * (-3 / 32) * w**2)
    np.testing.assert_allclose(grads["W"], [[2 * (3 / 16) ** 2 * w, 0, 0]], rtol=1e-14)


@pytest.mark.parametrize("g", ["sigmoid", "tanh", "silu"])
def test_contractive_one_layer_is_several_layers_with_one(g):
    """The closed form of one layer and the recursion agree (equations 33 to 36)."""
    net = network(code_activation=g)
    theta, X = draw(net)
    row = np.array([0.1, 0.2, 0.3, 0.4])
    views = Views(net, theta)
    results = []
    for method in (Contractive._add_one_layer, Contractive._add_layers):
        extra = Extra(Views(net, np.zeros_like(theta)))
        value = method(Contractive(0.7), net, views, encode(net, views, X), row, extra)
        results.append((value, extra.grad["W"], extra.dA[0]))
    for one, several in zip(*results, strict=True):
        np.testing.assert_allclose(one, several, rtol=1e-12)


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("make", [L2, L1Code, lambda w: KLSparsity(0.2, w), Contractive])
def test_weights_of_penalties_are_linear(make, hidden):
    """Two penalties of weight 0.3 are one of 0.6, and one of 0 is none."""
    net = network(hidden=hidden)
    theta, X = draw(net)
    none, twice, once, zero = (
        penalised(penalties, net, theta, X)
        for penalties in ((), (make(0.3), make(0.3)), (make(0.6),), (make(0.0),))
    )
    assert twice[0] == pytest.approx(once[0], rel=1e-13)
    np.testing.assert_allclose(twice[1], once[1], rtol=1e-11, atol=1e-14)
    assert zero[0] == none[0]
    np.testing.assert_array_equal(zero[1], none[1])
    assert once[0] > none[0]  # and no penalty is negative


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize(
    ("plain", "numpy"),
    [
        (L2(0.3), L2(np.float64(0.3))),
        (L1Code(0.3), L1Code(np.float64(0.3))),
        (KLSparsity(0.2, 0.3), KLSparsity(np.float64(0.2), np.float64(0.3))),
        (Contractive(0.3), Contractive(np.float64(0.3))),
    ],
    ids=["l2", "l1", "kl", "contractive"],
)
def test_numpy_numbers_do_not_widen_float32(plain, numpy, hidden):
    """A weight out of np.logspace is a float64, which would carry float32 arrays along."""
    net = network(hidden=hidden)
    theta, X = (z.astype(np.float32) for z in draw(net))
    row = np.full(len(X), 0.25, np.float32)
    _, _, extra = evaluate(numpy, net, theta, X, row)
    handed_on = [*extra.dA.values(), *([extra.dH] if np.ndim(extra.dH) else [])]
    assert {z.dtype for z in handed_on} <= {np.dtype(np.float32)}
    J, grad = penalised((plain,), net, theta, X)
    J2, grad2 = penalised((numpy,), net, theta, X)
    assert J == J2
    np.testing.assert_array_equal(grad, grad2)


def test_only_kl_is_choosy_about_the_code():
    for g in ("sigmoid", "tanh", "relu", "silu", "identity"):
        net = network(code_activation=g, activation="sigmoid")
        assert all(p.needs(net) is None for p in (L2(), L1Code(), Contractive()))
        reason = KLSparsity().needs(net)
        if g == "sigmoid":
            assert reason is None
        else:
            assert f"{g!r}" in reason
            assert "L1Code" in reason


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("penalty", [L2, L1Code, KLSparsity, Contractive])
def test_invalid_weight_is_refused(penalty, weight):
    with pytest.raises(ValueError, match=rf"{penalty.__name__}\(weight={weight!r}\)"):
        penalty(weight=weight)


@pytest.mark.parametrize("rho", [0.0, 1.0, -0.1, 1.5, np.nan])
def test_invalid_rho_is_refused(rho):
    with pytest.raises(ValueError, match=rf"KLSparsity\(rho={rho!r}\).*\(0, 1\)"):
        KLSparsity(rho=rho)
