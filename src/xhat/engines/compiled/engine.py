"""The compiled engine: the equations of maths.objective in C++ kernels (kernels.cpp).

Knows: how a network, its penalties and an optimiser become the plain numbers of a plan.
Must not know: how anything is computed. Importing this module needs the built extension.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.engines.base import Cells, Floats, Optimizer, OptimizerState, Run
from xhat.engines.compiled import _kernels
from xhat.engines.threads import thread_limit
from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
from xhat.maths.heads import BinaryCrossEntropy, Head, Poisson, Softmax, SquaredError
from xhat.maths.objective import Batch, Objective
from xhat.maths.params import Network
from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code
from xhat.maths.types import Matrix, Vector

# The numbers of plan.hpp's enums.
_ACTIVATIONS = {"sigmoid": 0, "tanh": 1, "relu": 2, "silu": 3, "identity": 4}
_SQUARED = {"linear": 0, "logistic": 1, "tanh": 2}
_HEADS: dict[type, int] = {BinaryCrossEntropy: 3, Softmax: 4, Poisson: 5}
_CORRUPTIONS: dict[type, tuple[int, str]] = {
    Masking: (1, "p"),
    Gaussian: (2, "sigma"),
    SaltAndPepper: (3, "p"),
}
_PENALTIES = (L2, L1Code, KLSparsity, Contractive)
# By full name: engines may not import xhat.train, and a user's subclass may differ.
_OPTIMIZERS = {"xhat.train.optimizers.Adam": 1, "xhat.train.optimizers.SGD": 2}

#: Multiply-adds below which a step stays on one thread: the waits of a step cost more.
SPLIT_STEP = 50_000
#: Seconds below which a run does: starting a thread costs some 50 microseconds.
SPLIT_SECONDS = 0.001
#: Multiply-adds from which a gradient over all rows is split.
SPLIT_SUM = 4_000_000
#: Multiply-adds from which inference is split.
SPLIT_INFERENCE = 10_000_000
#: Every so many runs, the number of threads not in use is tried again.
TRY_AGAIN = 24
MOST_PACES = 100
#: Stored rows whose distances from a row stay in registers.
CHUNK = 64


class Pace:
    """One thread or all: decided by what the last runs of the same shape took.

    The number of threads changes no byte of the result, so it may follow the clock: with the other
    core busy, a second thread makes a small step slower.
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}  # per row, by number of threads
        self.runs = 0

    def is_short(self, rows: int) -> bool:
        """Return whether a run over some rows ends before a second thread would be of use."""
        return min(self.seconds.values(), default=0.0) * rows < SPLIT_SECONDS

    def choose(self, limit: int, rows: int) -> int:
        """Return the number of threads for a run over some rows."""
        if limit == 1 or self.is_short(rows):
            return 1
        self.runs += 1
        if limit not in self.seconds:
            return limit
        best, other = sorted((1, limit), key=lambda threads: self.seconds[threads])
        # Not worth another look if it was far slower; then more rarely.
        wait = TRY_AGAIN if self.seconds[other] < 2 * self.seconds[best] else 8 * TRY_AGAIN
        return other if self.runs % wait == 0 else best

    def record(self, threads: int, rows: int, seconds: float) -> None:
        """Remember how long a run took."""
        self.seconds[threads] = seconds / max(rows, 1)


class CompiledEngine:
    """The C++ implementation of the Engine protocol."""

    name = "compiled"

    def __init__(self) -> None:
        self._paces: dict[tuple[object, ...], Pace] = {}

    def refuses(self, objective: Objective, optimizer: Optimizer | None) -> str | None:
        """Return what the kernels do not know, in words, or None."""
        kind = _full_name(optimizer)
        if optimizer is not None and kind not in _OPTIMIZERS:
            return f"it knows Adam and SGD, not {kind}"
        return next(_problems(objective), None)

    def describe(self) -> str:
        """Return the instruction set and the number of threads."""
        threads = thread_limit()
        return f"{_kernels.instruction_set()}, {threads} thread{'s' if threads > 1 else ''}"

    def run(
        self,
        objective: Objective,
        optimizer: Optimizer,
        theta: Vector,
        state: OptimizerState,
        run: Run,
    ) -> npt.NDArray[np.float64]:
        """Take one step per batch (see Engine.run)."""
        reason = self.refuses(objective, optimizer)
        assert reason is None, reason
        numbers: dict[str, float] = {"optimizer": _OPTIMIZERS[_full_name(optimizer)]}
        for field in ("beta1", "beta2", "eps", "weight_decay", "clip", "momentum", "nesterov"):
            numbers[field] = float(getattr(optimizer, field, 0.0))
        plan = _plan(objective, theta, numbers)
        slots = [state.slots[name] for name in ("mu", "nu", "v") if name in state.slots]
        losses = np.empty(len(run.learning_rates))
        rows = len(run.order)
        size = min(run.batch_size, rows)
        if len(self._paces) > MOST_PACES:  # a long sweep over shapes
            self._paces.clear()
        pace = self._paces.setdefault((objective.net, size, theta.dtype.char), Pace())
        large = 3 * size * objective.net.size >= SPLIT_STEP and not pace.is_short(rows)
        threads = pace.choose(thread_limit() if large else 1, rows)
        began = time.perf_counter()
        done = plan.run(
            theta,
            *_rows(run.data, theta),
            np.ascontiguousarray(run.order, np.int64),
            run.batch_size,
            run.learning_rates,
            run.key % 2**64,
            run.first,
            state.step,
            slots[0],
            slots[1] if len(slots) > 1 else None,
            state.decay,
            state.slots.get("norm"),
            losses,
            threads,
        )
        pace.record(threads, rows, time.perf_counter() - began)
        finite = bool(done) and bool(np.isfinite(losses[done - 1]))
        state.step += done if finite else done - 1
        return losses[:done]

    def loss_and_grad(
        self, objective: Objective, theta: Vector, batch: Batch, grad: Vector
    ) -> float:
        """Return J and write its gradient (see Engine.loss_and_grad)."""
        reason = next(_problems(objective), None)
        assert reason is None, reason
        plan = _plan(objective, theta, {})
        threads = thread_limit() if 3 * len(batch.X) * objective.net.size >= SPLIT_SUM else 1
        return plan.loss_and_grad(theta, *_rows(batch, theta), grad, threads)

    def encode(self, net: Network, theta: Vector, X: Matrix) -> Matrix:
        """Return the codes, every output summed in one fixed order."""
        return _infer(net, theta, X, 0, net.depth)

    def decode(self, net: Network, theta: Vector, H: Matrix) -> Matrix:
        """Return the output pre-activations, every output summed in one fixed order."""
        return _infer(net, theta, H, net.depth, 2 * net.depth)

    def loss(self, objective: Objective, theta: Vector, batch: Batch, first: int = 0) -> float:
        """Return the (weighted) mean loss, summed over fixed tiles in float64."""
        plan = _plan(objective, theta, {})
        threads = _inference_threads(len(batch.X), objective.net)
        total, weights = plan.loss(theta, *_rows(batch, theta), first, threads)
        return total / weights

    def cells(
        self,
        net: Network,
        theta: Vector,
        batch: Batch,
        wanted: Cells,
        codes: Matrix | None = None,
    ) -> Floats:
        """Return the loss of every cell (see Engine.cells)."""
        out = np.empty((len(batch.X), net.d))
        if len(out):
            X, _, mask = _rows(batch, theta)
            low, high = (
                None if bound is None else np.ascontiguousarray(bound, theta.dtype)
                for bound in (wanted.low, wanted.high)
            )
            plan = _plan(Objective(net), theta, {})
            threads = _inference_threads(len(out), net)
            factor, excess = wanted.factor, wanted.excess
            plan.cells(theta, X, mask, low, high, factor, out, codes, net.depth, excess, threads)
        return out

    def nearest(self, X: Matrix, stored: Matrix, sets: int) -> Floats:
        """Return the squared distances to the nearest of each set (see Engine.nearest)."""
        out = np.empty((len(X), sets))
        if len(X):
            chunks = stored.reshape(-1, min(len(stored), CHUNK), stored.shape[1]).swapaxes(1, 2)
            rows, P = (np.ascontiguousarray(part, X.dtype) for part in (X, chunks))
            _kernels.nearest(rows, P, out, X.dtype.char)
        return out


def _full_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _problems(objective: Objective) -> Iterator[str]:
    """Yield what the kernels do not know."""
    net = objective.net
    if 2 * net.depth > _kernels.MAX_LAYERS:
        yield f"it knows up to {_kernels.MAX_LAYERS // 2} layers, the network has {net.depth}"
    for block in net.blocks:
        if _head(block.head) is None:
            yield f"it does not know the head {_full_name(block.head)}"
    for penalty in objective.penalties:
        if type(penalty) not in _PENALTIES:
            yield f"it does not know the penalty {_full_name(penalty)}"
        if type(penalty) is Contractive and (net.depth > 1 or net.linear_path):
            yield "the contractive penalty of several layers is the reference engine's"
    if sum(type(penalty) is KLSparsity for penalty in objective.penalties) > 1:
        yield "it knows one KLSparsity at a time"
    if objective.corruption is not None and type(objective.corruption) not in _CORRUPTIONS:
        yield f"it does not know the corruption {_full_name(objective.corruption)}"


def _head(head: Head) -> int | None:
    if type(head) is SquaredError:
        return _SQUARED[head.f]
    return _HEADS.get(type(head))


@lru_cache(64)
def _graph(net: Network) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Return the kernels' graph, nodes x .. h .. a_hat, its matrices and edges, and the blocks."""
    up, k = net.sizes, net.depth
    widths = (*up, *up[-2::-1])
    biases = [name for _, name in (*net.encoder_names, *net.decoder_names)]
    g = [a.name for a in (*net.encoder_activations, *net.decoder_activations)]
    codes = [_ACTIVATIONS[name] for name in g] + [_ACTIVATIONS["identity"]]
    nodes = [(net.d, -1, _ACTIVATIONS["identity"])]
    nodes += [
        (width, net.offsets[bias], code)
        for width, bias, code in zip(widths[1:], biases, codes, strict=True)
    ]
    names = [name for name, shape in net.shapes.items() if len(shape) == 2]
    matrices = [
        (net.offsets[name], net.shapes[name][0], net.shapes[name][1], int(name.startswith("W")))
        for name in names
    ]
    edges = [(names.index(W), v, v + 1, 0) for v, (W, _) in enumerate(net.encoder_names)]
    for v, (W_star, _) in enumerate(net.decoder_names):
        mirror = net.encoder_names[k - 1 - v][0] if net.tied else W_star
        edges.append((names.index(mirror), k + v, k + v + 1, int(net.tied)))
    if net.linear_path:
        edges.append((names.index("P"), 0, k, 0))
        edges.append((names.index("P" if net.tied else "Q"), k, 2 * k, int(net.tied)))
    blocks = []
    for block in net.blocks:
        head = _head(block.head)
        assert head is not None
        limit = block.head.limit if isinstance(block.head, Poisson) else 0.0
        blocks.append((block.start, block.stop, head, block.weight, limit))
    return nodes, matrices, edges, blocks


def _plan(objective: Objective, theta: Vector, numbers: dict[str, float]) -> _kernels.Plan:
    """Turn the objective into what the kernels carry out."""
    columns = None
    if objective.corruption is not None:
        kind, field = _CORRUPTIONS[type(objective.corruption)]
        numbers |= {"corruption": kind, "strength": getattr(objective.corruption, field)}
        numbers |= {"visible": getattr(objective.corruption, "visible", 1.0)}
        assert objective.columns is not None
        low, high, fill = (
            np.ascontiguousarray(values, theta.dtype)
            for values in (objective.columns.low, objective.columns.high, objective.columns.fill)
        )
        columns = low, high, fill, np.ascontiguousarray(objective.columns.group, np.int64)
    numbers |= _penalties(objective)
    return _kernels.Plan(*_graph(objective.net), numbers, columns, theta.dtype.char)


def _penalties(objective: Objective) -> dict[str, float]:
    numbers = {"l2": 0.0, "l1_code": 0.0, "contractive": 0.0, "kl_weight": 0.0, "kl_rho": 0.0}
    for penalty in objective.penalties:
        if isinstance(penalty, L2):
            numbers["l2"] += penalty.weight
        elif isinstance(penalty, L1Code):
            numbers["l1_code"] += penalty.weight
        elif isinstance(penalty, Contractive):
            numbers["contractive"] += penalty.weight
        elif isinstance(penalty, KLSparsity):
            numbers |= {"kl_weight": penalty.weight, "kl_rho": penalty.rho}
    return numbers


def _rows(batch: Batch, theta: Vector) -> tuple[Matrix, Vector | None, Matrix | None]:
    """X, weight and mask as the kernels take them; a copy only where type or order differ."""
    weight = None if batch.weight is None else np.ascontiguousarray(batch.weight, theta.dtype)
    mask = None if batch.mask is None else np.ascontiguousarray(batch.mask, theta.dtype)
    return np.ascontiguousarray(batch.X, theta.dtype), weight, mask


def _infer(net: Network, theta: Vector, rows: Matrix, origin: int, to: int) -> Matrix:
    plan = _plan(Objective(net), theta, {})
    width = (*net.sizes, *net.sizes[-2::-1])[to]
    out = np.empty((len(rows), width), theta.dtype)
    if len(rows):
        threads = _inference_threads(len(rows), net)
        plan.infer(theta, np.ascontiguousarray(rows, theta.dtype), out, origin, to, threads)
    return out


def _inference_threads(rows: int, net: Network) -> int:
    return thread_limit() if rows * net.size >= SPLIT_INFERENCE else 1
