"""From raw rows to a fitted model: split, schema, start at PCA, training, honest selection.

Knows: the order of these steps. Must not know: scikit-learn's contract, containers, files.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from xhat.baseline import Baseline, fit_baseline
from xhat.calibration import (
    as_calibrated,
    codes_to_store,
    covariance,
    hide,
    store_codes,
    unseen,
)
from xhat.codepart import calibrate
from xhat.copies import copies
from xhat.crossfit import FOLDS, cross_fit, folds, in_encoded_units
from xhat.data.batches import dense, tiles
from xhat.errors import DataError, about_validation
from xhat.filler import Filler
from xhat.foldruns import FoldRuns, OnEpoch, epochs_between
from xhat.hidden import Hidden, settle
from xhat.maths.corruption import Masking
from xhat.maths.quantiles import repeated
from xhat.maths.types import Vector
from xhat.model import Model
from xhat.pca import fit_pca
from xhat.preparing import FARTHEST, Prepared, prepare
from xhat.sample import Sample
from xhat.settings import Choices, Request, settle_training
from xhat.sources import (
    Index,
    Source,
    Split,
    Subset,
    completed,
    everything_trains,
    split_rows,
    split_validation,
)
from xhat.spread import residual_spread
from xhat.train.checkpoint import Checkpoint
from xhat.train.loop import LoopState
from xhat.training import Taught, train_filler, train_network, with_seed
from xhat.verdict import Comparison, compare, identity_score, row_losses

#: With fewer unseen rows than this the residual spread is taken on all rows.
FEW = 30
#: Relative gain on the held-out rows that a network must have over PCA; less is within their noise.
GAIN = 0.005


@dataclass
class Fit:
    """A fitted model and what is known about how it came about."""

    model: Model
    baseline: Baseline
    choices: dict[str, str]
    verdict: Comparison | None = None
    history: dict[str, list[float]] = field(default_factory=dict)
    held_out_scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    epochs: int = 0
    best_epoch: int = 0
    interrupted: bool = False
    identity_score: float | None = None
    # Of partial_fit, between calls: its state, rows seen, and whether ``fit`` measured the scores.
    state: LoopState | None = field(default=None, repr=False)
    sample: Sample | None = field(default=None, repr=False)
    measured: bool = True


def fit(
    request: Request,
    source: Source,
    validation: Source | None,
    rng: np.random.Generator,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """Fit a model to the rows of ``source``; ``validation`` replaces the random held-out rows."""
    if checkpoint is not None:
        checkpoint.begin(rng)
    if validation is None and source.on_disk:
        split = everything_trains(source)
    elif validation is None:
        group = None if source.lazy else copies(dense(source.X))
        split = split_rows(source.n, request.validation_fraction, rng, group)
    else:
        split = split_validation(source, validation.n, rng)
    if validation is not None and not validation.observed(split.unseen):
        with about_validation(given=validation.own_choice):
            raise DataError(
                f"no cell of the {validation.n} held-out row{'s' * (validation.n > 1)} is observed:"
                " there is nothing to judge the model by, give rows with cells (X_val, "
                "--validation)"
            )
    ready = prepare(request, source, validation or source, split)
    if not _is_small(ready):
        return _fit_large(ready, rng, on_epoch, checkpoint)
    try:
        return _fit_small(ready, rng, on_epoch, checkpoint)
    except KeyboardInterrupt:  # while the folds were fitted: the model is the start
        ready.choices.said.setdefault("filler", "None (interrupted)")
        return _finish(ready, _stopped(ready, rng, on_epoch))


def _fit_large(
    ready: Prepared,
    rng: np.random.Generator,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None,
) -> Fit:
    """Train the model, and the filler before it where there are cells to complete, else after it.

    The filler's random numbers are not the model's, which are the same with and without it.
    """
    seed, trained = _seed(copy.deepcopy(rng)), []
    if not ready.missing:
        trained.append(train_network(ready, rng, on_epoch, checkpoint=checkpoint))
        trained[0].optimizer = None  # as large as two models, and of no use any more
    taught = Taught(None, [], interrupted=True)
    if not (trained and trained[0].interrupted):
        with suppress(KeyboardInterrupt):
            taught = train_filler(ready, seed, on_epoch, checkpoint)
    ready = _beside(ready, taught.filler)
    ready.choices.said.setdefault("filler", "None (interrupted)")
    if trained:
        trained[0].interrupted |= taught.interrupted
    elif taught.interrupted:
        trained.append(_stopped(ready, rng, on_epoch))
    else:
        trained.append(train_network(ready, rng, on_epoch, checkpoint=checkpoint))
    return _finish(ready, trained.pop(), taught.hidden)  # no name keeps it: it is large


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def _stopped(ready: Prepared, rng: np.random.Generator, on_epoch: OnEpoch) -> LoopState:
    """Return the start, of a fit that was interrupted before its first epoch."""
    state = train_network(ready, rng, on_epoch, stop_after=0)
    state.interrupted = True
    return state


def _beside(ready: Prepared, filler: Filler | None) -> Prepared:
    """Return what is prepared with a filler, which completes the rows that have missing cells."""
    if filler is None:
        return ready
    if not ready.missing:  # the same rows, and the same baseline, which takes its time
        beside = replace(ready, filler=filler)
        vars(beside)["baseline"] = ready.baseline
        return beside
    held_out = None if ready.held_out is None else completed(ready.held_out, filler)
    return replace(ready, filler=filler, rows=completed(ready.rows, filler), held_out=held_out)


def _is_small(ready: Prepared) -> bool:
    """Whether the epoch is chosen by cross-fitting: see crossfit.py."""
    request, held = ready.request, ready.held_out is not None
    small = request.exact(ready.source.n) and ready.others is ready.source and held
    return small and not request.lbfgs and request.stopping is None and ready.shape.net.linear_path


def _fit_small(
    ready: Prepared,
    rng: np.random.Generator,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None,
) -> Fit:
    """Choose the epoch on five folds, then train on all rows but those of the verdict.

    Only the last training has checkpoints: a resumed fit computes the folds anew.
    """
    request, source, net = ready.request, ready.source, ready.shape.net
    settled = Choices()
    how = settle_training(request, ready.size, net.size, exact=True, choices=settled)
    # Folds differ by a row: what is settled from their sizes must not differ.
    same = replace(request, n_components=net.k, hidden=net.hidden, epochs=how.epochs)
    seed = _seed(rng)
    pool = np.sort(np.concatenate([ready.split.train, ready.split.held_out]))
    final = prepare(same, source, source, Split(pool, pool[:0], ready.split.verdict))
    taught = train_filler(final, seed, on_epoch)
    if taught.interrupted:
        raise KeyboardInterrupt
    final = _beside(final, taught.filler)

    def part_of(split: Split) -> Prepared:
        if final.filler is not None and final.missing:  # it knows one scale
            part = final.again(same, split, final.filler)
        else:
            part = prepare(same, source, source, split, final.schema)
            part = replace(part, filler=final.filler)
        part.choices.said.update(ready.choices.said)
        return part

    runs = FoldRuns(part_of, with_seed(seed), epochs_between(net.size, FOLDS, how.epochs))
    cross = cross_fit(folds(pool, rng), runs, how.epochs, source)
    state = train_network(final, np.random.default_rng(seed), on_epoch, cross.epoch, checkpoint)
    said = {**final.choices.said, **ready.choices.said, "max_iter": settled.said["max_iter"]}
    how_found = f"cross-fitted in {FOLDS} folds of {len(cross.curve) - 1} epochs"
    if state.epoch < cross.epoch:  # by Ctrl-C or a callback: what the folds say is of a later one
        stopped = f"stopped in epoch {state.epoch} of {cross.epoch}, {how_found}"
        final.choices.said.update(said, selection=stopped)
        return _finish(final, state)
    model = final.model(state.monitor.best_theta) if cross.epoch else final.pca()
    model.residual = in_encoded_units(cross.residual, model)
    linear = covariance(model, source, pool)
    known = hide(model, linear, *source.subset(pool))
    hidden = cross.hidden or taught.hidden
    model.filling = settle(hidden, known, model.schema, model.residual, linear)
    model.code = as_calibrated(cross.code, model, source, pool)
    if cross.trained < FOLDS:
        how_found = f"nothing beat it in the first {cross.trained} of {FOLDS} folds"
    said["selection"] = f"epoch {cross.epoch}{'' if cross.epoch else ' (PCA)'}, {how_found}"
    is_pca = cross.epoch == 0
    verdict = (
        _verdict(final, model, is_pca=is_pca) if len(ready.split.verdict) else cross.comparison
    )
    history = {"loss": state.monitor.loss, "held_out_loss": cross.curve}
    result = Fit(
        model,
        final.baseline,
        said,
        replace(verdict, is_pca=is_pca),
        history,
        cross.scores,
        state.epoch,
        cross.epoch,
        state.interrupted,
    )
    if is_pca:
        _reestimate(final, result)
    return result


def _finish(ready: Prepared, state: LoopState, hidden: Sequence[Hidden] = ()) -> Fit:
    """Calibrate the score, take the verdict, and let the model be PCA if PCA won."""
    history = {"loss": state.monitor.loss, "held_out_loss": state.monitor.held_out}
    epochs, best_epoch, interrupted = state.epoch, state.monitor.best_epoch, state.interrupted
    model = ready.model(state.monitor.best_theta)
    del state  # three times as large as the model, and of no use any more
    is_pca = ready.shape.is_pca
    verdict = _verdict(ready, model, is_pca=is_pca)
    why = _pca_wins(ready, model.theta, verdict)
    if why:
        model, is_pca = ready.pca(), True
        verdict = _verdict(ready, model, is_pca=True)
        ready.choices.said["selection"] = f"PCA ({why})"
    _calibrate(ready, model, hidden)
    scores = np.empty(0)
    if len(ready.split.unseen):
        index, weight = ready.split.unseen, ready.others.weight
        scores = model.scores(Subset(ready.others.X, index))
        scores = repeated(scores, None if weight is None else weight[index])
    result = Fit(
        model,
        ready.baseline,
        ready.choices.said,
        verdict,
        history,
        scores,
        epochs,
        best_epoch,
        interrupted,
    )
    if model.net.k >= model.net.d:
        result.identity_score = identity_score(model, ready.source, ready.split.train)
    del model  # PCA once more makes another
    if is_pca and ready.others is ready.source and len(ready.split.held_out):
        _reestimate(ready, result)
    return result


def _pca_wins(ready: Prepared, theta: Vector, verdict: Comparison) -> str:
    """Return why the model is to be PCA; empty if it is not.

    The network's gain over PCA on the held-out rows may be within their noise, or a few rows far
    out, which it extrapolates to wildly, stand among the verdict's rows alone: these may overrule.

    The gain is the mean difference of the rows' losses, by weight; it must exceed GAIN of PCA's
    loss and one standard error of that mean. Picking the best of many epochs is otherwise enough
    to "win".
    """
    net, base = ready.shape.net, ready.baseline
    if not net.linear_path or ready.held_out is None:
        return ""
    judging = ready.objective.judging
    pca = row_losses(ready.engine, judging(base.net), base.theta, ready.held_out)
    gain = pca - row_losses(ready.engine, judging(), theta, ready.held_out)
    weight = ready.held_out.weight
    w = np.ones(len(gain)) if weight is None else weight.astype(np.float64)
    w /= w.sum()
    mean = float(w @ gain)
    error = np.sqrt(float(w @ (gain - mean) ** 2) * float(w @ w))
    if mean <= max(GAIN * float(w @ pca), error):
        return "nothing beat it on the held-out rows"
    # A network that learnt to fill cells is not there to copy those that are seen
    fills = isinstance(ready.objective.corruption, Masking)
    if not fills and len(ready.split.verdict) and verdict.xhat > (1 + GAIN) * verdict.pca:
        return f"the network had {verdict.ratio:.4g} times its loss on the rows of the verdict"
    return ""


def _calibrate(ready: Prepared, model: Model, hidden: Sequence[Hidden]) -> None:
    """Set the residual spread and the code's part: on unseen rows, on all where those are few.

    What folds of the filler said of cells hidden from them is better than either.
    """
    split, source = ready.split, ready.others
    index: Index = split.unseen
    if source.observed(index) < FEW:
        source, index = ready.source, split.train
        if ready.others is ready.source:
            index = np.sort(np.concatenate([split.train, split.unseen]))
    weight = None if source.weight is None else source.weight[index]
    rows = Subset(source.X, index)
    model.residual = residual_spread(model, rows, weight)
    linear = covariance(model, ready.source, split.train)
    known = hide(model, linear, *ready.source.subset(split.train))
    hidden = hidden or [hide(model, linear, rows, weight)]
    model.filling = settle(hidden, known, model.schema, model.residual, linear)
    m = codes_to_store(ready.source, split.train)
    model.code = store_codes(model, ready.source, split.train, m)
    if model.code is not None:
        model.code, _ = calibrate(model.code, [unseen(model, model.code, rows, weight)])


def _verdict(ready: Prepared, model: Model, *, is_pca: bool) -> Comparison:
    """Compare on the rows used for nothing else; smaller tables use less honest rows and say so."""
    split = ready.split
    index: Index
    if len(split.verdict):
        source, index, rows = (
            ready.others,
            split.verdict,
            "rows used neither for training nor for stopping",
        )
    elif len(split.held_out):
        source, index = ready.others, split.held_out
        rows = "held-out rows (optimistic: they also chose the epoch)"
    else:
        source, index = ready.source, split.train
        rows = "training rows (optimistic: nothing was held out)"
    return compare(model, ready.baseline, source, index, rows, is_pca=is_pca)


def _reestimate(ready: Prepared, result: Fit) -> None:
    """PCA once more, on all rows: the verdict has been taken."""
    source, schema, index = ready.source, ready.schema, ready.source.everything
    rows = source.walked(schema, index, np.float64, ready.filler)
    if any(np.abs(tile.X).max() > FARTHEST for tile in tiles(rows)):
        return  # squares of such held-out cells cannot be added up
    code, result.model.code = result.model.code and replace(result.model.code), None  # no rows
    baseline = fit_baseline(rows, fit_pca(rows, ready.baseline.net.k), schema.blocks)
    model = replace(result.model, net=baseline.net, theta=baseline.theta)
    result.baseline, result.model = baseline, model
    # Those of held-out rows were another PCA's: a column may now be rebuilt worse than there
    own = residual_spread(model, Subset(source.X, index), source.weight)
    model.residual = np.maximum(model.residual, own)
    if model.filling is not None:
        linear = covariance(model, source, index)
        model.filling = replace(model.filling, linear=linear)
    model.code = as_calibrated(code, model, source, ready.split.train)
