"""One network trained on prepared rows, and the filler: another one, trained on hidden cells.

Knows: prepared rows, the training loop. Must not know: which model is kept, scores, verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from xhat import auto
from xhat.filler import Filler
from xhat.fingerprint import fingerprint
from xhat.foldruns import OnEpoch
from xhat.maths.corruption import Masking
from xhat.preparing import Prepared
from xhat.progress import Progress
from xhat.settings import Choices, Request, settle_training
from xhat.sources import Split
from xhat.train.checkpoint import Checkpoint
from xhat.train.loop import LoopState, Plan, train, train_lbfgs
from xhat.train.monitor import Monitor
from xhat.train.optimizers import LBFGS, Adam

#: Share of the rows of a small table that choose the filler's epoch: it has no folds.
HELD_OUT = 0.2


def train_network(
    ready: Prepared,
    rng: np.random.Generator,
    on_epoch: OnEpoch,
    stop_after: int | None = None,
    checkpoint: Checkpoint | None = None,
    begun: LoopState | None = None,
) -> LoopState:
    """Train from the start; where the model is PCA by rule, the start is the result.

    Cross-fitting runs the first ``stop_after`` epochs of schedules and never stops earlier; it goes
    on from ``begun``, a state of the same training.
    """
    request, net = ready.request, ready.shape.net
    exact = request.exact(ready.source.n)
    how = settle_training(request, ready.size, net.size, exact=exact, choices=ready.choices)
    theta = ready.start(rng)
    epochs = 0 if ready.shape.is_pca else how.epochs
    if ready.shape.is_pca:
        ready.choices.said["max_iter"] = "0 (the model is PCA: nothing to train)"
    stopping = how.stopping if ready.held_out is not None else None
    if how.stopping is not None and stop_after is not None:
        stopping = replace(how.stopping, patience=how.epochs + 1)
    monitor = Monitor(stopping, theta.copy())
    plan = Plan(
        ready.engine,
        ready.objective,
        request.optimizer,
        how.schedule,
        ready.rows,
        ready.held_out,
        how.batch_size,
        epochs,
        lambda j: ready.schema.columns[ready.schema.group[j]].name,
        stop_after,
        checkpoint,
    )
    lbfgs = isinstance(request.optimizer, LBFGS)
    slots = None if isinstance(request.optimizer, LBFGS) else request.optimizer.init(net, theta)
    state, run = begun or LoopState(theta, slots, rng, monitor), train_lbfgs if lbfgs else train
    if checkpoint is not None:
        checkpoint.restore(state, fingerprint(request, ready.sources, ready.engine))
    if isinstance(on_epoch, Progress):
        on_epoch.begin(state, epochs if stop_after is None else min(epochs, stop_after), ready)
    if not state.stopped:
        state = run(plan, state, on_epoch)
    if checkpoint is not None and not state.interrupted:
        checkpoint.finish(state)
    return state


@dataclass(frozen=True)
class Taught:
    """A filler, if there is one, the rows that it knows, and whether Ctrl-C ended its training."""

    filler: Filler | None
    split: Split
    interrupted: bool = False


def train_filler(ready: Prepared, rng: np.random.Generator) -> Taught:
    """Return a network that learnt to say hidden cells.

    None where the model itself learns that, is as shallow as asked for, or reads sparse rows; the
    choices say why.
    """
    request, schema = ready.request, ready.schema
    if isinstance(request.corruption, Masking):
        return _without(ready, "the model itself hides cells")
    if request.hidden == () or ready.shape.is_pca:
        return _without(ready, "a model without hidden layers")
    if scipy.sparse.issparse(ready.source.X):
        return _without(ready, "sparse rows")
    n, d = ready.rows.n, len(schema.columns)
    how, reason = auto.filler(n, d, schema.d, ready.missing)
    if how is None:
        return _without(ready, reason)
    wish = _wish(request, how)
    split = ready.split
    if ready.others is ready.source and request.exact(ready.source.n):
        split = _in_two(ready, rng)
    asked = ready.again(wish, split)
    usual = settle_training(
        wish,
        asked.size,
        asked.shape.net.size,
        exact=wish.exact(ready.source.n),
        choices=Choices(),
    ).epochs
    if request.epochs is not None:
        usual = min(usual, request.epochs)
    epochs = max(1, round(how.share * usual))
    asked = replace(asked, request=replace(asked.request, epochs=epochs))
    state = train_network(asked, rng, lambda _: None)
    filler = Filler(schema, asked.shape.net, state.monitor.best_theta, asked.engine)
    said = f"{how.corruption}, {how.n_components} units, epoch {state.monitor.best_epoch} of "
    ready.choices.said["filler"] = f"{said}{epochs} ({reason})"
    return Taught(filler, split, state.interrupted)


def _without(ready: Prepared, reason: str) -> Taught:
    ready.choices.said["filler"] = f"None ({reason})"
    return Taught(None, ready.split)


def _wish(request: Request, how: auto.Filling) -> Request:
    """Return what is asked for of the filler: all by the rules, whatever the model's own wishes."""
    return replace(
        request,
        n_components=how.n_components,
        hidden=None,
        linear_path=None,
        activation=None,
        penalties=(),
        corruption=how.corruption,
        tied=False,
        optimizer=Adam(),
        optimizer_given=False,
        schedule=None,
        batch_size=None,
        epochs=None,
        stopping=None,
        fills=True,
    )


def _in_two(ready: Prepared, rng: np.random.Generator) -> Split:
    """Split the rows of a small table that are not the verdict's."""
    split = ready.split
    pool = rng.permutation(np.concatenate([split.train, split.held_out]))
    held = min(max(1, round(HELD_OUT * len(pool))), len(pool) - 1)
    return Split(np.sort(pool[held:]), np.sort(pool[:held]), split.verdict)
