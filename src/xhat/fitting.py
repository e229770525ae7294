"""From raw rows to a fitted model: split, schema, start at PCA, training, honest selection.

Knows: the order of these steps. Must not know: scikit-learn's contract, containers, files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat import auto
from xhat.baseline import Baseline, fit_baseline, fit_pca, linear_network, principal_angles
from xhat.data.batches import TILE, DenseRows, LazyRows, Rows, dense
from xhat.data.columns import Heads, Kind, Schema, fit_schema, resolve_kinds
from xhat.data.statistics import column_statistics
from xhat.engines import choose
from xhat.engines.base import Engine, Optimizer
from xhat.errors import ParameterError
from xhat.maths import heads
from xhat.maths.corruption import Corruption
from xhat.maths.objective import Batch, Objective
from xhat.maths.params import Network, Views
from xhat.maths.penalties import Penalty
from xhat.maths.types import Integers, Matrix, Vector
from xhat.model import Model, residual_spread
from xhat.train.loop import LoopState, Plan, mean_loss, train, train_lbfgs
from xhat.train.monitor import EarlyStopping, Monitor
from xhat.train.optimizers import LBFGS
from xhat.train.schedules import Schedule
from xhat.verdict import Comparison

#: Rows that take part in stopping, and in the verdict, at most: more would not change either.
MAX_HELD_OUT, MAX_VERDICT = 20_000, 10_000
#: From this many rows on the verdict is taken on rows of its own.
OWN_VERDICT = 200


@dataclass(frozen=True)
class Request:
    """What the user fixed; None means "auto"."""

    n_components: int | None
    hidden: tuple[int, ...] | None
    linear_path: bool | None
    activation: tuple[str, str] | None
    heads: Heads
    penalties: tuple[Penalty, ...]
    corruption: Corruption | None
    tied: bool
    optimizer: Optimizer | LBFGS
    schedule: Schedule | None
    batch_size: int | None
    epochs: int | None
    validation_fraction: float
    stopping: EarlyStopping | None
    stop: bool
    engine: str


@dataclass(frozen=True)
class Source:
    """Raw rows with weights: a dense array, a memory map or a CSR matrix."""

    X: object
    names: list[str]
    weight: Vector | None = None
    lazy: bool = False

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])  # type: ignore[attr-defined]

    def rows(self, schema: Schema, index: Integers, dtype: npt.DTypeLike) -> Rows:
        """Return encoded rows; weights are scaled to mean 1 over them."""
        weight = None
        if self.weight is not None:
            weight = self.weight[index]
            weight = (weight / weight.mean()).astype(dtype)
        if self.lazy:
            return LazyRows(self.X, lambda X: schema.encode(X, dtype), index, weight)
        return DenseRows(Batch(schema.encode(self.X[index], dtype), weight))  # type: ignore[index]

    def tiles(self, index: Integers) -> Iterator[tuple[Matrix, Vector | None]]:
        """Walk raw rows and weights in fixed tiles."""
        for start in range(0, len(index), TILE):
            part = index[start : start + TILE]
            yield dense(self.X[part]), None if self.weight is None else self.weight[part]  # type: ignore[index]


@dataclass
class Fit:
    """A fitted model and what is known about how it came about."""

    model: Model
    baseline: Baseline
    verdict: Comparison | None
    history: dict[str, list[float]]
    choices: dict[str, str]
    held_out_scores: npt.NDArray[np.float64]
    epochs: int
    best_epoch: int
    interrupted: bool = False
    identity_score: float | None = None
    state: LoopState | None = field(default=None, repr=False)
    objective: Objective | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Split:
    """Row numbers used for training, for stopping, and for the verdict alone."""

    train: Integers
    held_out: Integers
    verdict: Integers


def split_rows(n: int, fraction: float, rng: np.random.Generator) -> Split:
    """Split rows at random; below OWN_VERDICT rows no row is set aside for the verdict."""
    order = rng.permutation(n) if fraction > 0 else np.arange(n)
    held = 0 if fraction <= 0 or n < 5 else min(max(1, round(fraction * n)), MAX_HELD_OUT)
    verdict = min(held, MAX_VERDICT) if n >= OWN_VERDICT else 0
    parts = np.split(order, [verdict, verdict + held])
    return Split(np.sort(parts[2]), np.sort(parts[1]), np.sort(parts[0]))


def fit(
    request: Request,
    source: Source,
    validation: Source | None,
    rng: np.random.Generator,
    on_epoch: Callable[[LoopState], None],
) -> Fit:
    """Fit a model to the rows of ``source``; ``validation`` replaces the random held-out rows."""
    if validation is None:
        split = split_rows(source.n, request.validation_fraction, rng)
        others = source
    else:
        half = split_rows(validation.n, 0.5 if validation.n >= OWN_VERDICT else 0.0, rng)
        split = Split(np.arange(source.n), half.train, half.held_out)
        others = validation
    schema = fit_schema(source.names, _kinds(request, source), lambda: source.tiles(split.train))
    _check_range(schema, source, split.train)
    _check_range(schema, others, np.concatenate([split.held_out, split.verdict]))

    setup = _Setup(request, source, others, split, schema)
    result = setup.train(rng, on_epoch)
    theta = result.monitor.best_theta
    model = Model(schema, setup.net, theta, np.ones(schema.center.size), setup.engine)
    return setup.finish(model, result)


def prepare(request: Request, source: Source, rng: np.random.Generator) -> Fit:
    """Return a model at its start, ready for partial_fit."""
    split = split_rows(source.n, 0.0, rng)
    schema = fit_schema(source.names, _kinds(request, source), lambda: source.tiles(split.train))
    _check_range(schema, source, split.train)
    setup = _Setup(request, source, source, split, schema)
    theta = setup.start(rng).astype(setup.dtype)
    assert not isinstance(request.optimizer, LBFGS)
    state = LoopState(
        theta, request.optimizer.init(setup.net, theta), rng, Monitor(None, theta.copy())
    )
    model = Model(schema, setup.net, theta, np.ones(schema.center.size), setup.engine)
    history = {"loss": state.monitor.loss, "held_out_loss": state.monitor.held_out}
    return Fit(
        model,
        setup.baseline,
        None,
        history,
        setup.choices,
        np.empty(0),
        0,
        0,
        state=state,
        objective=setup.objective,
    )


def _kinds(request: Request, source: Source) -> list[Kind]:
    everything = np.arange(source.n)
    statistics = column_statistics(lambda: source.tiles(everything), len(source.names))
    return resolve_kinds(source.names, request.heads, statistics)


def _check_range(schema: Schema, source: Source, index: Integers) -> None:
    for start in range(0, len(index), TILE):
        part = index[start : start + TILE]
        schema.check(dense(source.X[part]), int(part[0]))  # type: ignore[index]


class _Setup:
    """One fit in progress: everything settled before training, and the finishing touches."""

    def __init__(
        self, request: Request, source: Source, others: Source, split: Split, schema: Schema
    ) -> None:
        self.request, self.source, self.others = request, source, others
        self.split, self.schema = split, schema
        self.choices: dict[str, str] = {}
        n, d = len(split.train), len(schema.columns)
        self.exact = isinstance(request.optimizer, LBFGS) or (
            source.n <= auto.SMALL and request.batch_size is None
        )
        dtype = np.dtype(np.float64) if self.exact else np.dtype(np.float32)
        self.dtype = dtype
        self.choices["training dtype"] = (
            f"{dtype} ({'full batch' if self.exact else 'mini-batches'})"
        )
        self.rows = source.rows(schema, split.train, dtype)
        held = others.rows(schema, split.held_out, dtype) if len(split.held_out) else None
        self.held_out = held
        rank = self._rank(n, d)
        k = self._choose("n_components", request.n_components, lambda: auto.code_size(d, rank))
        self.net = self._network(n, d, k)
        self.objective = Objective(
            self.net,
            request.penalties,
            request.corruption,
            schema.low.astype(dtype),
            schema.high.astype(dtype),
        )
        for penalty in request.penalties:
            problem = penalty.needs(self.net)
            if problem is not None:
                raise ParameterError(problem)
        self.pca_rows = (
            source.rows(schema, split.train, np.float64) if not source.lazy else self.rows
        )
        pca_k = min(k, d)
        self.pca = fit_pca(self.pca_rows, pca_k)
        self.baseline = fit_baseline(self.pca_rows, self.pca, schema.blocks)
        optimizer = None if isinstance(request.optimizer, LBFGS) else request.optimizer
        try:
            self.engine, reason = choose(request.engine, self.objective, optimizer)
        except ValueError as error:
            raise ParameterError(str(error)) from None
        self.choices["engine"] = f"{self.engine.name} ({reason})"

    def _choose(self, name: str, asked: object, rule: Callable[[], tuple[object, str]]) -> Any:
        if asked is not None:
            self.choices[name] = f"{asked} (as asked)"
            return asked
        value, reason = rule()
        self.choices[name] = f"{value} ({reason})"
        return value

    def _rank(self, n: int, d: int) -> int:
        if self.request.n_components is not None or n > auto.SMALL:
            return d
        X = self.rows.take(np.arange(n)).X
        return max(1, int(np.linalg.matrix_rank(X - X.mean(axis=0))))

    def _network(self, n: int, d: int, k: int) -> Network:
        request = self.request
        # Beside an overcomplete code, layers would only help it to copy.
        shallow = k >= d and request.n_components is not None
        hidden = self._choose(
            "hidden",
            request.hidden,
            lambda: (
                ((), "an overcomplete code needs no layers to copy")
                if shallow
                else auto.hidden_widths(n, d)
            ),
        )
        pca = (
            request.hidden is None
            and not shallow
            and not hidden
            and request.linear_path is not False
            and not request.penalties
            and request.corruption is None
            and not request.tied
        )
        activation = self._choose(
            "activation", request.activation, lambda: auto.activations(hidden, pca=pca)
        )
        possible = bool(hidden) and k < d and activation[1] == "identity"
        path = self._choose(
            "linear_path",
            request.linear_path,
            lambda: (True, "starts at PCA") if possible else (False, "nothing to start at PCA"),
        )
        if path and not hidden:
            raise ParameterError(
                "linear_path=True needs hidden layers: without them W itself is the linear path; "
                "give hidden=(128,) or leave linear_path='auto'"
            )
        if path and activation[1] != "identity":
            raise ParameterError(
                f"linear_path=True needs a linear code, but the code's activation is "
                f"{activation[1]!r}; use activation=({activation[0]!r}, 'identity')"
            )
        if path and k >= d:
            raise ParameterError(
                f"linear_path=True with n_components={k} >= {d} columns would start at the "
                "identity; use fewer units or linear_path=False"
            )
        self.is_pca = pca and activation == ("identity", "identity")
        return Network(
            d,
            k,
            self.schema.blocks,
            tuple(hidden),
            *activation,
            tied=request.tied,
            linear_path=path,
        )

    def start(self, rng: np.random.Generator) -> Vector:
        """Return theta before training: at PCA with a linear path, else random with c at the mean."""
        net = self.net
        theta = np.zeros(net.size)
        if self.is_pca:
            return self.baseline.theta.copy()
        views, base = Views(net, theta), Views(self.baseline.net, self.baseline.theta)
        zero = ("W", "W_star") if net.linear_path else ()
        for name, view in views.items():
            if view.ndim == 2 and name not in (*zero, "P", "Q"):
                gain = (
                    2.0
                    if name not in ("W", "W_star") and net.activation in ("relu", "silu")
                    else 1.0
                )
                # Glorot and Bengio 2010; doubled variance for rectifiers (He et al. 2015)
                view[...] = rng.normal(0, np.sqrt(gain * 2 / sum(view.shape)), view.shape)
        views["c"][...] = Views(self.baseline.net, self.baseline.theta_mean)["c"]
        if net.linear_path:
            views["P"][...], views["b"][...] = base["W"], base["b"]
            if not net.tied:
                views["Q"][...] = base["W_star"]
            views["c"][...] = base["c"] - self._resting_output(views)
        return theta

    def _resting_output(self, views: Views) -> Vector:
        """What the decoder's layers add at code 0 while their inner weights rest (g(0) may be 1/2)."""
        net, below = self.net, np.zeros(self.net.k)
        for layer, g in enumerate(net.decoder_activations):
            W_star, c = views.decoder(layer)
            below = g.forward((W_star @ below + c)[None, :])[0]
        W_star, _ = views.decoder(net.depth - 1)
        output: Vector = W_star @ below
        return output

    def train(self, rng: np.random.Generator, on_epoch: Callable[[LoopState], None]) -> LoopState:
        """Train from the start; without anything to train the start is the result."""
        request, net = self.request, self.net
        theta = self.start(rng).astype(self.dtype)
        lbfgs = isinstance(request.optimizer, LBFGS)
        kind = "lbfgs" if lbfgs else type(request.optimizer).__name__.lower()
        n = self.rows.n
        size = self._choose(
            "batch_size",
            request.batch_size,
            lambda: auto.batch_size(n) if not self.exact else (n, "full batch"),
        )
        epochs = self._choose("max_iter", request.epochs, lambda: auto.epochs(n, size, kind))
        schedule = self._choose("learning_rate", request.schedule, lambda: auto.schedule(kind))
        stopping = None
        if request.stop and self.held_out is not None:
            stopping = self._choose("stopping", request.stopping, lambda: auto.stopping(epochs))
        monitor = Monitor(stopping, theta.copy())
        if self.is_pca:
            epochs = 0
            self.choices["max_iter"] = "0 (the model is PCA: nothing to train)"
        optimizer = None if lbfgs else request.optimizer
        state = LoopState(theta, optimizer.init(net, theta) if optimizer else None, rng, monitor)  # type: ignore[arg-type,union-attr]
        held = self.held_out if request.stop else None
        plan = Plan(
            self.engine,
            self.objective,
            optimizer,
            schedule,
            self.rows,
            held,  # type: ignore[arg-type]
            size,
            epochs,
            lambda j: self.schema.columns[j].name,
        )
        if lbfgs and epochs:
            assert isinstance(request.optimizer, LBFGS)
            return train_lbfgs(plan, request.optimizer, state, on_epoch)
        return train(plan, state, on_epoch)

    def finish(self, model: Model, state: LoopState) -> Fit:
        """Calibrate the score, take the verdict, and replace the model by PCA if PCA won."""
        pca_won = (
            self.net.linear_path and self.held_out is not None and state.monitor.best_epoch == 0
        )
        is_pca = self.is_pca or pca_won
        if pca_won:
            model = replace(model, net=self.baseline.net, theta=self.baseline.theta, _cast={})
            self.choices["selection"] = "PCA (nothing beat it on the held-out rows)"
        unseen = np.concatenate([self.split.held_out, self.split.verdict])
        source, index = (
            (self.others, unseen) if len(unseen) >= 30 else (self.source, self.split.train)
        )
        if 0 < len(unseen) < 30 and self.others is self.source:
            index = np.sort(np.concatenate([self.split.train, unseen]))
        weight = None if source.weight is None else source.weight[index]
        model.residual = residual_spread(model, _Subset(source.X, index), weight)
        scores = np.empty(0)
        if len(unseen):
            scores = np.sort(model.nats(_Subset(self.others.X, unseen)).sum(axis=1))
        verdict = self.verdict(model, is_pca=is_pca)
        if is_pca and self.others is self.source and len(self.split.held_out):
            self._reestimate(model)
        identity = (
            identity_score(model, self.source, self.split.train)
            if self.net.k >= self.net.d
            else None
        )
        history = {"loss": state.monitor.loss, "held_out_loss": state.monitor.held_out}
        return Fit(
            model,
            self.baseline,
            verdict,
            history,
            self.choices,
            scores,
            state.epoch,
            state.monitor.best_epoch,
            state.interrupted,
            identity,
            state,
        )

    def _reestimate(self, model: Model) -> None:
        """PCA and scaling once more, on training and stopping rows together."""
        index = np.sort(np.concatenate([self.split.train, self.split.held_out]))
        schema = fit_schema(
            self.source.names, _kinds(self.schema), lambda: self.source.tiles(index)
        )
        rows = self.source.rows(schema, index, np.float64)
        self.baseline = fit_baseline(rows, fit_pca(rows, self.baseline.net.k), schema.blocks)
        model.residual = np.maximum(model.residual * self.schema.spread / schema.spread, 1e-4)
        model.schema, model.net, model.theta = schema, self.baseline.net, self.baseline.theta
        model.forget_casts()

    def verdict(self, model: Model, *, is_pca: bool) -> Comparison:
        """Compare on the rows used for nothing else; smaller tables use less honest rows and say so."""
        if len(self.split.verdict):
            return compare(
                model,
                self.baseline,
                self.others,
                self.split.verdict,
                "rows used neither for training nor for stopping",
                is_pca=is_pca,
            )
        if len(self.split.held_out):
            return compare(
                model,
                self.baseline,
                self.others,
                self.split.held_out,
                "held-out rows (optimistic: they also chose the epoch)",
                is_pca=is_pca,
            )
        return compare(
            model,
            self.baseline,
            self.source,
            self.split.train,
            "training rows (optimistic: nothing was held out)",
            is_pca=is_pca,
        )


@dataclass(frozen=True)
class _Subset:
    """Some rows of a source, sliced as a whole would be."""

    X: object
    index: Integers

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.index), int(self.X.shape[1])  # type: ignore[attr-defined]

    def __getitem__(self, part: slice) -> object:
        return self.X[self.index[part]]  # type: ignore[index]


def compare(
    model: Model, baseline: Baseline, source: Source, index: Integers, rows: str, *, is_pca: bool
) -> Comparison:
    """Return the losses of mean, PCA and model on the same rows."""
    encoded = source.rows(model.schema, index, np.float64)
    engine: Engine = model.engine

    def loss(net: Network, theta: Vector) -> float:
        return mean_loss(engine, Objective(net), theta.astype(np.float64), encoded)

    angles = None
    blocks = model.net.blocks
    linear = model.net.depth == 1 and model.net.code_activation == "identity"
    if linear and all(b.head.f == "linear" for b in blocks):
        k = baseline.net.k
        views, base = model.views(), Views(baseline.net, baseline.theta)
        W_star, _ = views.decoder(0)
        angles = [float(a) for a in principal_angles(W_star.T[:k].astype(float), base["W_star"].T)]
    return Comparison(
        mean=loss(baseline.net, baseline.theta_mean),
        pca=loss(baseline.net, baseline.theta),
        xhat=loss(model.net, model.theta),
        n_components=model.net.k,
        n_rows=len(index),
        rows=rows,
        unit=_unit(model.schema),
        is_pca=is_pca,
        angles=angles,
    )


def _unit(schema: Schema) -> str:
    parts = []
    if schema.squared.any():
        scaled = (schema.spread[schema.squared] != 1).any()
        parts.append("squared error of " + ("standardised columns" if scaled else "raw values"))
    if not schema.squared.all():
        parts.append("cross-entropy in nats")
    return " + ".join(parts)


def identity_score(model: Model, source: Source, index: Integers) -> float:
    """Return how close the model is to copying: 1 = it rebuilds anything, 0 = no better than the mean.

    One minus the loss divided by the mean's, on training rows whose columns were shuffled
    independently: a model that learnt how columns go together cannot rebuild them, a copier can.
    """
    rng = np.random.default_rng(0)
    X = dense(source.X[index[:1000]]).copy()  # type: ignore[index]
    mean = X.mean(axis=0, keepdims=True).repeat(len(X), axis=0)
    for j in range(X.shape[1]):
        X[:, j] = rng.permutation(X[:, j])
    Z, M = model.schema.encode(X.astype(np.float64)), model.schema.encode(mean.astype(np.float64))
    theta = model.parameters(np.float64)
    Z_hat = _predict(model, theta, Z)
    error, spread = float(((Z_hat - Z) ** 2).sum()), float(((M - Z) ** 2).sum())
    return max(0.0, 1 - error / spread) if spread > 0 else 1.0


def _predict(model: Model, theta: Vector, Z: Matrix) -> Matrix:
    H = model.engine.encode(model.net, theta, Z)
    return heads.predict(model.net.blocks, model.engine.decode(model.net, theta, H))


__all__ = ["Fit", "Request", "Source", "Split", "compare", "fit", "linear_network", "split_rows"]
