"""J and its gradient against finite differences and an independent automatic differentiation.

The full product activation x head x depth x tied x linear path x mask x weights x penalty is
looped over inside the tests, with tiny networks: several thousand cases in seconds.
"""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest

import oracles
from oracles import Spec
from xhat.maths.corruption import Columns, Masking
from xhat.maths.heads import BinaryCrossEntropy, Block, SquaredError
from xhat.maths.objective import (
    Batch,
    Objective,
    decode,
    encode,
    loss_and_grad,
    reconstruct,
    row_losses,
)
from xhat.maths.params import Network, Views
from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code

# Reverse-mode differentiation makes rounding errors only; finite differences truncate as well.
AUTODIFF, DIFFERENCES = 1e-10, 1e-6

N, D, K = 3, 5, 2
DEPTHS = ((), (4,), (4, 3))
# (g of the hidden layers, g of the code); the mixed pairs only differ with a hidden layer.
ACTIVATIONS = (
    ("sigmoid", "sigmoid"),
    ("tanh", "tanh"),
    ("relu", "relu"),
    ("silu", "silu"),
    ("identity", "identity"),
    ("silu", "identity"),
    ("relu", "tanh"),
    ("tanh", "sigmoid"),
)
HEADS = {
    "linear": ("linear",) * D,
    "logistic": ("logistic",) * D,
    "tanh": ("tanh",) * D,
    "bce": ("bce",) * D,
    "mixed": ("linear", "linear", "bce", "bce", "bce"),
}
PENALTIES = {
    "none": (),
    "l2": (L2(0.3),),
    "l1": (L1Code(0.4),),
    "kl": (KLSparsity(rho=0.2, weight=0.7),),
    "contractive": (Contractive(0.5),),
}
STRENGTHS = {"l2": (0.3,), "l1": (0.4,), "kl": (0.7, 0.2), "contractive": (0.5,)}

every_activation = pytest.mark.parametrize("g", ACTIVATIONS, ids="-".join)
every_head = pytest.mark.parametrize("head", HEADS)


def head_of(column):
    return BinaryCrossEntropy() if column == "bce" else SquaredError(column)


@functools.cache
def network(spec):
    blocks, start = [], 0
    for column, run in itertools.groupby(spec.columns):
        stop = start + len(list(run))
        blocks.append(Block(start, stop, head_of(column)))
        start = stop
    return Network(
        spec.d, spec.k, tuple(blocks), spec.hidden, spec.g, spec.g_code, spec.tied, spec.linear_path
    )


def flatten(spec, p):
    """Return p as xhat's theta (or a gradient in p as a gradient in theta)."""
    net = network(spec)
    theta = np.full(net.size, np.nan)
    views = Views(net, theta)
    for name, array in oracles.flat_names(spec, p):
        views[name][...] = array
    assert not np.isnan(theta).any()  # the layout holds every parameter and nothing else
    return theta


def specs(g, head):
    for hidden, tied, linear_path in itertools.product(DEPTHS, (False, True), (False, True)):
        if hidden or g[0] == g[1]:
            yield Spec(HEADS[head], K, hidden, *g, tied, linear_path)


def penalties_for(spec):
    return {name: p for name, p in PENALTIES.items() if name != "kl" or spec.g_code == "sigmoid"}


def rows(spec, rng):
    """Return clean rows inside every head's range and, apart from them, what the encoder sees."""
    X = rng.uniform(0.05, 0.95, (N, spec.d))
    X[:, ::2] = np.round(X[:, ::2])  # exact zeros and ones, where textbooks meet log 0
    return X, rng.standard_normal((N, spec.d))


def weight_and_mask(rng):
    """Return weights (a batch's need not have mean 1) and a mask with cells of both kinds."""
    weight = rng.uniform(0.2, 2.0, N)
    mask = (rng.uniform(size=(N, D)) < 0.6).astype(float)
    mask[0, :2] = 0.0, 1.0
    return weight, mask


def preactivations(net, theta, X_tilde):
    views = Views(net, theta)
    enc = encode(net, views, X_tilde)
    return np.hstack([*enc.A, *decode(net, views, enc.H[-1]).A])


def draw(spec, margin):
    """Return rng, parameters and rows with every hidden pre-activation away from relu's kink.

    |h| of the L1 penalty has its kink at a = 0 as well.
    """
    net = network(spec)
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        p, (X, X_tilde) = oracles.draw_parameters(spec, rng), rows(spec, rng)
        seen = np.vstack([X, X_tilde])  # either may be given to the encoder
        if np.abs(preactivations(net, flatten(spec, p), seen)).min() > margin:
            return rng, p, X, X_tilde
    raise AssertionError(spec)


def closed_form(spec, penalties, theta, batch, X_tilde):
    grad = np.full_like(theta, np.nan)  # OUT: whatever is in it must be overwritten
    J = loss_and_grad(Objective(network(spec), penalties), theta, batch, grad, X_tilde)
    return J, grad


def slope_along(u, spec, penalties, theta, batch, X_tilde):
    def value(at):
        return closed_form(spec, penalties, at, batch, X_tilde)[0]

    return oracles.slope_along(value, theta, u)


def assert_blocks_close(spec, actual, expected, tolerance, case):
    """Compare parameter by parameter: no block may hide behind the norm of another."""
    net = network(spec)
    for (name, a), (_, e) in zip(
        Views(net, actual).items(), Views(net, expected).items(), strict=True
    ):
        error = np.linalg.norm(a - e) / max(np.linalg.norm(e), 1e-6)
        assert error < tolerance, (name, error, case)


@every_head
@every_activation
def test_autodiff(g, head):
    """Oracle (b): value and every gradient equal those of reverse-mode differentiation."""
    cases = 0
    for spec in specs(g, head):
        rng = np.random.default_rng(11)
        p = oracles.draw_parameters(spec, rng)
        theta = flatten(spec, p)
        X, X_tilde = rows(spec, rng)
        some_weight, some_mask = weight_and_mask(rng)
        for weight, mask in itertools.product((None, some_weight), (None, some_mask)):
            loss, dloss = autodiff_loss(p, spec, X, X_tilde, weight, mask)
            batch = Batch(X, weight, mask)
            for name, penalties in penalties_for(spec).items():
                expected, dexpected = loss, flatten(spec, dloss)
                if penalties:
                    value, dvalue = autodiff_penalty(spec, weight is None, name)
                    expected, dexpected = loss + value, dexpected + dvalue
                J, grad = closed_form(spec, penalties, theta, batch, X_tilde)
                case = spec, weight is None, mask is None, name
                assert abs(J - expected) <= AUTODIFF * abs(expected), case
                assert_blocks_close(spec, grad, dexpected, AUTODIFF, case)
                cases += 1
    assert cases >= 8 * 4 * len(penalties_for(spec))  # the loops did not run empty


def autodiff_loss(p, *case):
    return oracles.value_and_grad(lambda q: oracles.mean_loss(q, *case), p)


_penalties_seen = {}


def autodiff_penalty(spec, unweighted, name):
    """Return value and flat gradient of a penalty; it depends on neither head nor mask."""
    key = spec._replace(columns=()), unweighted, name
    if key not in _penalties_seen:
        rng = np.random.default_rng(11)  # the same draws as in test_autodiff
        p = oracles.draw_parameters(spec, rng)
        _, X_tilde = rows(spec, rng)
        weight = None if unweighted else weight_and_mask(rng)[0]
        value, dvalue = oracles.value_and_grad(
            lambda q: oracles.penalty(q, spec, X_tilde, weight, name, *STRENGTHS[name]), p
        )
        _penalties_seen[key] = value, flatten(spec, dvalue)
    return _penalties_seen[key]


@every_head
@every_activation
def test_finite_differences(g, head):
    """Oracle (a): u'grad equals the slope of J along a random u."""
    for spec in specs(g, head):
        rng, p, X, X_tilde = draw(spec, margin=2e-3)
        theta = flatten(spec, p)
        some_weight, some_mask = weight_and_mask(rng)
        for weight, mask in itertools.product((None, some_weight), (None, some_mask)):
            batch = Batch(X, weight, mask)
            for name, penalties in penalties_for(spec).items():
                u = rng.standard_normal(theta.size)
                u /= np.linalg.norm(u)
                _, grad = closed_form(spec, penalties, theta, batch, X_tilde)
                slope = slope_along(u, spec, penalties, theta, batch, X_tilde)
                assert abs(u @ grad - slope) < DIFFERENCES * abs(slope), (spec, name)


@every_activation
def test_penalties_add_up(g):
    """All of them at once; and None for X_tilde means that the encoder sees the clean rows."""
    for spec in specs(g, "mixed"):
        _, p, X, _ = draw(spec, margin=2e-3)
        penalties = tuple(q for many in penalties_for(spec).values() for q in many)
        theta = flatten(spec, p)
        u = np.random.default_rng(3).standard_normal(theta.size)
        u /= np.linalg.norm(u)
        J, grad = closed_form(spec, penalties, theta, Batch(X), None)
        slope = slope_along(u, spec, penalties, theta, Batch(X), None)
        assert abs(u @ grad - slope) < DIFFERENCES * abs(slope), spec
        alone, dalone = closed_form(spec, (), theta, Batch(X), X)
        parts = [closed_form(spec, (q,), theta, Batch(X), X) for q in penalties]
        assert J == pytest.approx(alone + sum(part - alone for part, _ in parts), rel=1e-12)
        np.testing.assert_allclose(
            grad, dalone + sum(dpart - dalone for _, dpart in parts), rtol=1e-9, atol=1e-12
        )


# Oracle (c): extremes.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_head
@every_activation
def test_extreme_preactivations_stay_finite(g, head, dtype):
    """Pre-activations of +-1e4 in every layer, through biases and through weights."""
    for spec in specs(g, head):
        net = network(spec)
        X, _ = rows(spec, np.random.default_rng(0))
        mask = np.ones_like(X)
        for through, (name, penalties) in itertools.product(
            ("biases", "weights"), penalties_for(spec).items()
        ):
            theta = extreme_theta(spec, through).astype(dtype)
            batch = Batch(X.astype(dtype), np.ones(N, dtype), mask.astype(dtype))
            grad = np.empty_like(theta)
            case = spec, through, name
            with np.errstate(all="raise", under="ignore"):
                A = preactivations(net, theta, batch.X)
                J = loss_and_grad(Objective(net, penalties), theta, batch, grad)
            assert A.min() < -9e3, case
            assert A.max() > 9e3, case
            assert np.isfinite(J), case
            assert np.isfinite(grad).all(), case


def extreme_theta(spec, through):
    """Return theta with pre-activations near +-1e4, both signs in every encoder layer."""
    p = oracles.draw_parameters(spec, np.random.default_rng(5), size=0.1)
    for key in ("b", "c"):
        for bias in p[key]:
            bias[:] = np.where(np.arange(bias.size) % 2, -1e4, 1e4) if through == "biases" else 0.0
    if through == "weights":
        first = p["W"][0]
        first[:] = np.where(np.arange(len(first)) % 2, -1e4, 1e4)[:, None]
        if spec.linear_path and not spec.hidden:
            p["P"][:] = 0.0
    return flatten(spec, p)


def test_extreme_outputs_reach_the_heads():
    """A_hat itself at +-1e4: the losses are the asymptotes, not infinities."""
    spec = Spec(("linear", "logistic", "tanh", "bce", "bce"), K)
    theta = flatten(spec, oracles.draw_parameters(spec, np.random.default_rng(0), size=0.0))
    net = network(spec)
    X = np.array([[0.0, 0.0, 0.0, 0.0, 1.0]])
    for sign in (1.0, -1.0):
        Views(net, theta)["c"][:] = sign * 1e4
        A_hat = decode(net, Views(net, theta), np.zeros((1, K))).A_hat
        expected = 1e8 + 1.0 + 1.0 + 1e4 if sign > 0 else 1e8 + 0.0 + 1.0 + 1e4
        assert row_losses(net, A_hat, X) == pytest.approx(expected, rel=1e-15)


# Properties.


def all_specs(*heads):
    for g, head in itertools.product(ACTIVATIONS, heads):
        yield from specs(g, head)


def example(spec, seed=2):
    rng = np.random.default_rng(seed)
    p = oracles.draw_parameters(spec, rng)
    return rng, p, flatten(spec, p), *rows(spec, rng)


def test_weight_is_repetition():
    """A row of weight k is the row repeated k times, for the loss and for every penalty."""
    repeats = np.array([1, 3, 2])
    weight = repeats * N / repeats.sum()  # mean 1
    for spec in all_specs("mixed"):
        rng, _, theta, X, X_tilde = example(spec)
        _, mask = weight_and_mask(rng)
        copied = np.repeat(np.arange(N), repeats)
        for penalties in penalties_for(spec).values():
            J, grad = closed_form(spec, penalties, theta, Batch(X, weight, mask), X_tilde)
            J2, grad2 = closed_form(
                spec, penalties, theta, Batch(X[copied], None, mask[copied]), X_tilde[copied]
            )
            assert J == pytest.approx(J2, rel=1e-12)
            np.testing.assert_allclose(grad, grad2, rtol=1e-9, atol=1e-12)


def test_row_of_weight_zero_changes_nothing_but_n():
    for spec in all_specs("mixed"):
        _, _, theta, X, X_tilde = example(spec)
        weight = np.array([1.0, 0.0, 1.0])
        kept = weight > 0
        for name, penalties in penalties_for(spec).items():
            J, grad = closed_form(spec, penalties, theta, Batch(X, weight * 1.5), X_tilde)
            J2, grad2 = closed_form(spec, penalties, theta, Batch(X[kept]), X_tilde[kept])
            assert J == pytest.approx(J2, rel=1e-12), name
            np.testing.assert_allclose(grad, grad2, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_batch_without_any_weight_is_finite(name):
    """Large tables keep their rows of weight 0; a batch may hold nothing else."""
    spec = Spec(HEADS["mixed"], K)
    _, _, theta, X, _ = example(spec)
    J, grad = closed_form(spec, PENALTIES[name], theta, Batch(X, np.zeros(N)), None)
    l2 = 0.3 * sum(float((W * W).sum()) for W in weight_matrices(spec, theta))
    assert J == pytest.approx(l2 if name == "l2" else 0.0)
    assert np.isfinite(grad).all()


def weight_matrices(spec, theta):
    return [array for name, array in Views(network(spec), theta).items() if name[0] == "W"]


def test_batches_add_up():
    """n J of a table is the sum of n_b J_b over its batches, and so is the gradient."""
    for spec in all_specs("mixed"):
        rng, _, theta, X, X_tilde = example(spec)
        weight, mask = weight_and_mask(rng)
        for name in ("none", "l1", "contractive"):  # means over rows
            J, grad = closed_form(spec, PENALTIES[name], theta, Batch(X, weight, mask), X_tilde)
            total, dtotal = 0.0, np.zeros_like(theta)
            for part in (slice(0, 1), slice(1, N)):
                n = len(X[part])
                batch = Batch(X[part], weight[part], mask[part])
                J_part, grad_part = closed_form(spec, PENALTIES[name], theta, batch, X_tilde[part])
                total += n * J_part
                dtotal += n * grad_part
            assert N * J == pytest.approx(total, rel=1e-12)
            np.testing.assert_allclose(N * grad, dtotal, rtol=1e-9, atol=1e-12)


def test_tied_is_untied_with_transposed_weights():
    """W* = W' (and Q = P'): the same J, and the gradients of the two uses add."""
    for spec in all_specs(*HEADS):
        if not spec.tied:
            continue
        _, p, theta, X, X_tilde = example(spec)
        untied = spec._replace(tied=False)
        q = {**p, "W_star": [W.T for W in p["W"][::-1]]}
        if spec.linear_path:
            q["Q"] = p["P"].T
        for name, penalties in penalties_for(spec).items():
            if name == "l2":  # counts a shared matrix once: see test_penalties.py
                continue
            J, grad = closed_form(spec, penalties, theta, Batch(X), X_tilde)
            J2, grad2 = closed_form(untied, penalties, flatten(untied, q), Batch(X), X_tilde)
            assert J == pytest.approx(J2, rel=1e-13)
            both = dict(Views(network(untied), grad2).items())
            for weight, mirror in zip(
                network(spec).encoder_names, network(untied).decoder_names[::-1], strict=True
            ):
                both[weight[0]] = both[weight[0]] + both[mirror[0]].T
            if spec.linear_path:
                both["P"] = both["P"] + both["Q"].T
            for block, array in Views(network(spec), grad).items():
                np.testing.assert_allclose(array, both[block], rtol=1e-9, atol=1e-12)


def test_masked_cell_changes_nothing():
    """Whatever stands in a cell that is not observed, J and its gradient keep their bits."""
    for spec in all_specs(*HEADS):
        rng, _, theta, X, X_tilde = example(spec)
        _, mask = weight_and_mask(rng)
        other = np.where(mask == 0, 1 - X + 0.5, X)
        for penalties in penalties_for(spec).values():
            J, grad = closed_form(spec, penalties, theta, Batch(X, None, mask), X_tilde)
            J2, grad2 = closed_form(spec, penalties, theta, Batch(other, None, mask), X_tilde)
            assert J == J2
            assert (grad == grad2).all()
            J3, _ = closed_form(spec, penalties, theta, Batch(other), X_tilde)
            assert J3 != J  # without the mask it does


def test_row_losses_are_the_objective_row_by_row():
    for spec in all_specs(*HEADS):
        rng, _, theta, X, _ = example(spec)
        weight, mask = weight_and_mask(rng)
        net, views = network(spec), Views(network(spec), theta)
        A_hat = decode(net, views, encode(net, views, X).H[-1]).A_hat
        losses = row_losses(net, A_hat, X, mask)
        J, _ = closed_form(spec, (), theta, Batch(X, weight, mask), None)
        assert J == pytest.approx(losses @ weight / N, rel=1e-13)


def test_reconstruction_applies_each_head():
    """x_hat of each row and column, against the oracle's own forward pass."""
    for spec in all_specs(*HEADS):
        _, p, theta, X, _ = example(spec)
        X_hat = reconstruct(network(spec), Views(network(spec), theta), X)
        for i, x in enumerate(X):
            a_hat = oracles.output(p, spec, oracles.code(p, spec, x))
            expected = [oracles.OUTPUTS[f](a) for f, a in zip(spec.columns, a_hat, strict=True)]
            np.testing.assert_allclose(X_hat[i], expected, rtol=1e-12, atol=1e-15)


def test_theta_and_data_are_only_read():
    spec = Spec(HEADS["mixed"], K, (4,), linear_path=True)
    rng, _, theta, X, X_tilde = example(spec)
    weight, mask = weight_and_mask(rng)
    for array in (theta, X, X_tilde, weight, mask):
        array.flags.writeable = False  # writing to one of them now raises
    for penalties in PENALTIES.values():
        closed_form(spec, penalties, theta, Batch(X, weight, mask), X_tilde)


def test_float32_is_worked_in_float32():
    """No step of the forward pass, the heads or the penalties widens to float64."""
    for spec in all_specs("mixed"):
        rng, _, theta, X, X_tilde = example(spec)
        weight, mask = weight_and_mask(rng)
        net, narrow = network(spec), theta.astype(np.float32)
        views = Views(net, narrow)
        enc = encode(net, views, X.astype(np.float32))
        dec = decode(net, views, enc.H[-1])
        arrays = [*enc.A, *enc.H, *dec.A, *dec.H, dec.A_hat]
        for block in net.blocks:
            a, x = dec.A_hat[:, block.columns], X[:, block.columns].astype(np.float32)
            head = block.head
            arrays += [head.predict(a), head.cell_loss(a, x), head.cell_grad(a, x)]
            arrays += [head.cell_floor(x)]
        assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
        batch = Batch(*(z.astype(np.float32) for z in (X, weight, mask)))
        assert batch.row_scale().dtype == np.float32
        for penalties in penalties_for(spec).values():
            J, grad = closed_form(spec, penalties, theta, Batch(X, weight, mask), X_tilde)
            J32, grad32 = closed_form(spec, penalties, narrow, batch, X_tilde.astype(np.float32))
            assert grad32.dtype == np.float32
            assert J32 == pytest.approx(J, rel=1e-5)
            assert np.linalg.norm(grad32 - grad) < 1e-5 * np.linalg.norm(grad)


def test_corrupted_input_clean_target():
    """The objective hands the corruption its key, counters and ranges; without one, x itself."""
    spec = Spec(HEADS["linear"], K)
    _, _, theta, X, _ = example(spec)
    batch, counters = Batch(X), np.arange(N, dtype=np.uint64) + np.uint64(5)
    columns = Columns(np.zeros(D), np.ones(D), np.zeros(D), np.arange(D))
    denoising = Objective(network(spec), (), Masking(0.5), columns)
    X_tilde, same = denoising.shown(batch, 5, 1)
    assert same is batch
    assert ((X_tilde == 0) & (X != 0)).any()
    np.testing.assert_array_equal(X_tilde, Masking(0.5).apply(X, 1, counters, columns))
    assert Objective(network(spec)).shown(batch, 5, 1) == (X, batch)
    net, views = network(spec), Views(network(spec), theta)
    X_hat = reconstruct(net, views, X_tilde)
    J = loss_and_grad(denoising, theta, batch, np.empty_like(theta), X_tilde)
    assert J == pytest.approx(((X_hat - X) ** 2).sum() / N, rel=1e-13)
    emphatic = replace(denoising, corruption=Masking(0.5, visible=0.2))
    weight = np.where(Masking(0.5).apply(np.ones_like(X), 1, counters, columns) == 0, 1, 0.2)
    mask = (np.arange(N * D).reshape(N, D) % 3 > 0).astype(float)
    for observed, counts in ((None, weight), (mask, mask * weight)):
        _, weighed = emphatic.shown(Batch(X, None, observed), 5, 1)
        J = loss_and_grad(emphatic, theta, weighed, np.empty_like(theta), X_tilde)
        assert J == pytest.approx((counts * (X_hat - X) ** 2).sum() / N, rel=1e-13)


def test_what_held_out_rows_are_judged_by():
    """The clean loss; with emphasis, what is trained. Penalties never count."""
    spec, other = Spec(HEADS["linear"], K), network(Spec(HEADS["linear"], K + 1))
    columns = Columns(np.zeros(D), np.ones(D), np.zeros(D), np.arange(D))
    for noise, kept in ((None, False), (Masking(0.5), False), (Masking(0.5, 0.9), True)):
        judged = Objective(network(spec), (L2(),), noise, columns).judging()
        assert judged == Objective(network(spec), (), noise if kept else None, columns)
    assert judged.judging(other).net == other


# The layout of theta.


def test_views_cover_theta_once():
    for spec in all_specs("linear"):
        net = network(spec)
        theta = np.zeros(net.size)
        for name in net.shapes:
            Views(net, theta)[name][...] += 1.0
        assert (theta == 1).all()


def test_tied_decoder_is_a_view_of_the_encoder():
    spec = Spec(HEADS["linear"], K, (4,), tied=True, linear_path=True)
    net = network(spec)
    views = Views(net, np.zeros(net.size))
    views["W1"][...] = np.arange(20.0).reshape(4, D)
    views["P"][...] = np.arange(10.0).reshape(K, D)
    np.testing.assert_array_equal(views.decoder(1)[0], np.arange(20.0).reshape(4, D).T)
    np.testing.assert_array_equal(views.Q, np.arange(10.0).reshape(K, D).T)
    assert set(net.shapes) == {"W1", "b1", "W", "b", "c1", "c", "P"}
