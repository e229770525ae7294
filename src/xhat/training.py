"""One network trained on prepared rows, and the filler: another one, trained on hidden cells.

Knows: prepared rows, the training loop. Must not know: which model is kept, scores, verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from xhat import auto
from xhat.crossfit import FOLDS, CrossFit, cross_fit, folds
from xhat.filler import Filler
from xhat.fingerprint import fingerprint
from xhat.foldruns import FoldRuns, OnEpoch, Training, epochs_between
from xhat.hidden import Hidden
from xhat.maths.corruption import Masking
from xhat.preparing import Prepared
from xhat.progress import Progress
from xhat.settings import Choices, Request, settle_training
from xhat.train.checkpoint import Checkpoint
from xhat.train.loop import LoopState, Plan, train, train_lbfgs
from xhat.train.monitor import Monitor
from xhat.train.optimizers import LBFGS, Adam


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


def with_seed(seed: int) -> Training:
    """Return the training of every fold: from the same random numbers."""

    def train_fold(
        part: Prepared, epochs: int, on_epoch: OnEpoch, begun: LoopState | None
    ) -> LoopState:
        return train_network(part, np.random.default_rng(seed), on_epoch, epochs, begun=begun)

    return train_fold


@dataclass(frozen=True)
class Taught:
    """A filler, if there is one, and how its training went.

    Attributes
    ----------
    filler : Filler or None
    hidden : list of Hidden
        What its like said of cells of rows held out from them, for small tables.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    filler: Filler | None
    hidden: list[Hidden]
    interrupted: bool = False


def train_filler(
    ready: Prepared, seed: int, on_epoch: OnEpoch, checkpoint: Checkpoint | None = None
) -> Taught:
    """Return a network that learnt to say hidden cells.

    None where the model itself learns that, and where the rows lack no cell and are sparse or the
    model has no hidden layers; auto.filler knows more reasons, and the choices say which it was.
    Of a small table five folds choose the epoch (crossfit.py), as the model's, and of these there
    is no checkpoint.
    """
    request, schema = ready.request, ready.schema
    if isinstance(request.corruption, Masking):
        return _without(ready, "the model itself hides cells")
    if ready.shape.is_pca or not (ready.shape.net.hidden or ready.missing):
        return _without(ready, "a model without hidden layers")
    if scipy.sparse.issparse(ready.source.X) and not ready.missing:
        return _without(ready, "sparse rows")
    n, d = ready.rows.n, len(schema.columns)
    how, reason = auto.filler(n, d, schema.d, ready.missing)
    if how is None:
        return _without(ready, reason)
    asked = ready.again(_wish(request, how))
    epochs = _epochs(asked, request, how)
    asked = replace(asked, request=replace(asked.request, epochs=epochs))
    said = f"{how.corruption}, {how.n_components} unit{'s' * (how.n_components != 1)}, "
    in_folds = asked.held_out is None and asked.request.exact(ready.source.n)
    if in_folds and not ready.source.on_disk:
        filler, cross = _cross_fitted(asked, seed)
        ready.choices.said["filler"] = f"{said}epoch {cross.epoch} of {epochs} ({reason})"
        return Taught(filler, cross.hidden)
    told = on_epoch.filler(epochs, asked) if isinstance(on_epoch, Progress) else lambda _: None
    kept = None if checkpoint is None else checkpoint.filler()
    state = train_network(asked, np.random.default_rng(seed), told, checkpoint=kept)
    best = state.monitor.best_epoch
    ready.choices.said["filler"] = f"{said}epoch {best} of {epochs} ({reason})"
    filler = Filler(schema, asked.shape.net, state.monitor.best_theta, asked.engine)
    return Taught(filler, [], state.interrupted)


def _cross_fitted(asked: Prepared, seed: int) -> tuple[Filler, CrossFit]:
    """Return the filler of all rows of a small table, and what five folds said."""
    net = asked.shape.net
    same = replace(asked.request, hidden=net.hidden)  # folds differ by a row
    epochs = same.epochs or 1
    every = epochs_between(net.size, FOLDS, epochs)
    runs = FoldRuns(lambda split: asked.again(same, split), with_seed(seed), every)
    splits = folds(np.asarray(asked.split.train), np.random.default_rng(seed))
    cross = cross_fit(splits, runs, epochs, asked.source)
    if not cross.epoch:
        base = asked.baseline
        return Filler(asked.schema, base.net, base.theta, asked.engine), cross
    state = train_network(asked, np.random.default_rng(seed), lambda _: None, cross.epoch)
    if state.interrupted:
        raise KeyboardInterrupt
    return Filler(asked.schema, net, state.monitor.best_theta, asked.engine), cross


def _epochs(whole: Prepared, request: Request, how: auto.Filling) -> int:
    """Return its share of the usual epochs, or of the model's, if these were given and are less."""
    exact, weights = whole.request.exact(whole.source.n), whole.shape.net.size
    usual = settle_training(
        whole.request, whole.size, weights, exact=exact, choices=Choices()
    ).epochs
    if request.epochs is not None:
        usual = min(usual, request.epochs)
    return max(1, round(how.share * usual))


def _without(ready: Prepared, reason: str) -> Taught:
    ready.choices.said["filler"] = f"None ({reason})"
    return Taught(None, [])


def _wish(request: Request, how: auto.Filling) -> Request:
    """Return what is asked for of the filler: all by the rules, but for the widths of its layers.

    These are the model's, so that a small model has a small one beside it.
    """
    return replace(
        request,
        n_components=how.n_components,
        hidden=request.hidden or None,
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
