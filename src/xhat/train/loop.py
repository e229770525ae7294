"""The training loop: epochs of runs, held-out loss, best parameters; and L-BFGS.

Knows: an engine (through its protocol), rows, a schedule, a monitor.
Must not know: estimators, files, how a batch is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from xhat.data.batches import Rows, rows_per_run, tiles
from xhat.engines.base import Engine, Optimizer, OptimizerState, Run
from xhat.errors import CheckpointError, TrainingError
from xhat.maths import heads
from xhat.maths.objective import Objective, decode, encode
from xhat.maths.params import Views
from xhat.maths.types import Vector
from xhat.train.monitor import Monitor
from xhat.train.optimizers import LBFGS
from xhat.train.schedules import Schedule

#: Seconds an engine may keep control before progress, Ctrl-C and checkpoints get their turn.
RUN_SECONDS = 0.03


@dataclass
class LoopState:
    """All that a fit in progress consists of; saving it whole makes an exact resume possible."""

    theta: Vector
    optimizer: OptimizerState | None  # None: L-BFGS keeps its own
    rng: np.random.Generator
    monitor: Monitor
    epoch: int = 0
    interrupted: bool = False
    stopped: bool = False
    # The epoch in progress: its generator at the start, steps taken, their losses.
    epoch_generator: dict[str, Any] | None = None
    step: int = 0
    losses: list[npt.NDArray[np.float64]] = field(default_factory=list)
    # Steps of the next run: found on the way, and of no influence on what comes out.
    steps_per_run: int = 1


@dataclass(frozen=True)
class Plan:
    """What a fit does in every epoch."""

    engine: Engine
    objective: Objective
    optimizer: Optimizer | LBFGS
    schedule: Schedule
    rows: Rows
    held_out: Rows | None
    batch_size: int
    epochs: int
    column_names: Callable[[int], str]
    stop_after: int | None = None  # epochs of the schedule that are really run
    #: Called between two runs of steps, where the state is whole: checkpoints.
    on_run: Callable[[LoopState], None] | None = None


def train(plan: Plan, state: LoopState, on_epoch: Callable[[LoopState], None]) -> LoopState:
    """Run epochs to the plan's end or early stopping; Ctrl-C ends it with the best so far."""
    try:
        if state.epoch == 0 and not state.monitor.held_out:
            held_out = _held_out_loss(plan, state.theta)
            state.monitor.record(0, None, held_out, state.theta)
        last = plan.epochs if plan.stop_after is None else min(plan.stop_after, plan.epochs)
        while state.epoch < last and not state.stopped:
            loss = _epoch(plan, state)
            state.epoch += 1
            theta = state.monitor.judged(state.epoch, state.theta)
            held_out = _held_out_loss(plan, theta)
            state.stopped = state.monitor.record(state.epoch, loss, held_out, theta)
            on_epoch(state)
            if plan.on_run is not None:
                plan.on_run(state)
    except KeyboardInterrupt:
        state.interrupted = True
    return state


def _epoch(plan: Plan, state: LoopState) -> float:
    """One pass over the rows in a fresh order; returns the mean batch loss."""
    n, size = plan.rows.n, min(plan.batch_size, plan.rows.n)
    if state.epoch_generator is not None:  # resumed within the epoch: the same order again
        state.rng.bit_generator.state = state.epoch_generator
    state.epoch_generator = dict(state.rng.bit_generator.state)
    # One batch with everything needs no order, and keeps its sums in the same order every epoch.
    order = np.arange(n) if size == n else plan.rows.order(state.rng)
    key = int(state.rng.integers(2**63))
    steps = -(-n // size)
    if state.step > steps:
        raise CheckpointError(
            f"the checkpoint stands at step {state.step} of an epoch of {steps} steps: to start "
            "anew, give another folder"
        )
    first_step, total = state.epoch * steps, plan.epochs * steps
    losses, step = state.losses, state.step
    most = steps if plan.rows.resident is not None else max(1, rows_per_run(plan.rows) // size)
    while step < steps:
        count = min(state.steps_per_run, steps - step)
        index = order[step * size : (step + count) * size]
        rates = plan.schedule.rates(first_step + step, count, total)
        began = time.perf_counter()
        losses.append(_run(plan, state, index, rates, key, step * size))
        if not np.isfinite(losses[-1][-1]):
            _refuse_divergence(plan, state, index, size, step, losses[-1])
        state.step = step = step + count
        if plan.on_run is not None:
            plan.on_run(state)
        seconds = max(time.perf_counter() - began, 1e-6)
        # Runs grow to RUN_SECONDS; their length changes nothing but the time between two returns.
        longest = min(most, 2 * state.steps_per_run, int(count * RUN_SECONDS / seconds))
        state.steps_per_run = max(1, longest)
    sizes = np.minimum(size, n - size * np.arange(steps))
    state.epoch_generator, state.step, state.losses = None, 0, []
    return float(np.concatenate(losses) @ sizes / n)


def _run(
    plan: Plan,
    state: LoopState,
    index: npt.NDArray[np.intp],
    rates: npt.NDArray[np.float64],
    key: int,
    first: int,
) -> npt.NDArray[np.float64]:
    data, order = plan.rows.resident, index
    if data is None:
        data, order = plan.rows.take(index), np.arange(len(index))
    size = min(plan.batch_size, plan.rows.n)
    run = Run(data, order, size, rates, key, first)
    assert not isinstance(plan.optimizer, LBFGS)
    assert state.optimizer is not None
    return plan.engine.run(plan.objective, plan.optimizer, state.theta, state.optimizer, run)


def _held_out_loss(plan: Plan, theta: Vector) -> float | None:
    return (
        None
        if plan.held_out is None
        else mean_loss(plan.engine, plan.objective, theta, plan.held_out)
    )


def mean_loss(engine: Engine, objective: Objective, theta: Vector, rows: Rows) -> float:
    """Return the weighted mean loss of rows by which they are judged (see Objective.judging)."""
    objective = objective.judging()
    if rows.resident is not None:
        return engine.loss(objective, theta, rows.resident)
    total, weights, first = 0.0, 0.0, 0
    for tile in tiles(rows):
        weight = float(len(tile.X) if tile.weight is None else tile.weight.sum())
        total += weight * engine.loss(objective, theta, tile, first) if weight else 0.0
        weights += weight
        first += len(tile.X)
    return total / weights


def _refuse_divergence(
    plan: Plan,
    state: LoopState,
    index: npt.NDArray[np.intp],
    size: int,
    step: int,
    losses: npt.NDArray[np.float64],
) -> None:
    """Raise with epoch, batch and the column to blame: the largest loss in the failing batch."""
    bad = len(losses) - 1
    batch = plan.rows.take(index[bad * size : (bad + 1) * size])
    net = plan.objective.net
    views = Views(net, state.theta)
    with np.errstate(all="ignore"):
        A_hat = decode(net, views, encode(net, views, batch.X).H[-1]).A_hat
        cells = np.nan_to_num(heads.cell_loss(net.blocks, A_hat, batch.X), nan=np.inf)
        column = int(np.argmax(cells.max(axis=0)))
    raise TrainingError(
        f"the loss stopped being finite in epoch {state.epoch + 1}, batch {step + bad + 1}; the "
        f"largest loss is in column {plan.column_names(column)!r}: lower learning_rate, or give "
        "that column Real(scale='robust')"
    )


def train_lbfgs(plan: Plan, state: LoopState, on_epoch: Callable[[LoopState], None]) -> LoopState:
    """Minimise over all rows at once with scipy's L-BFGS-B; one iteration counts as an epoch."""
    batch = plan.rows.resident or plan.rows.take(np.arange(plan.rows.n))
    grad = np.empty_like(state.theta)
    method = plan.optimizer
    assert isinstance(method, LBFGS)

    def fun(theta: Vector) -> tuple[float, Vector]:
        J = plan.engine.loss_and_grad(plan.objective, theta, batch, grad)
        return J, grad.copy()

    def callback(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        state.theta[:] = intermediate_result.x
        state.epoch += 1
        held_out = _held_out_loss(plan, state.theta)
        loss = float(intermediate_result.fun)
        state.stopped = state.monitor.record(state.epoch, loss, held_out, state.theta)
        on_epoch(state)
        if state.stopped:
            raise StopIteration

    state.monitor.record(0, None, _held_out_loss(plan, state.theta), state.theta)
    options = {
        "maxiter": plan.epochs,
        "maxcor": method.memory,
        "gtol": method.tol,
        "ftol": 0.0,
        "maxfun": 20 * plan.epochs,
    }
    try:
        scipy.optimize.minimize(
            fun, state.theta.copy(), jac=True, method="L-BFGS-B", callback=callback, options=options
        )
    except KeyboardInterrupt:
        state.interrupted = True
    return state
