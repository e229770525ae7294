"""partial_fit: schema, scale and start from the first rows, then one pass of steps per call."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from xhat import auto
from xhat.calibration import codes_to_store, covariance, hide, store_codes, unseen
from xhat.codepart import calibrate
from xhat.engines import choose
from xhat.engines.base import Engine, Optimizer
from xhat.errors import ParameterError
from xhat.fitting import Fit
from xhat.hidden import settle
from xhat.maths.objective import Objective
from xhat.model import Model
from xhat.preparing import prepare
from xhat.sample import Sample
from xhat.settings import Request
from xhat.sources import Source, Subset, split_rows
from xhat.spread import residual_spread
from xhat.train.loop import LoopState, Plan, train
from xhat.train.monitor import Monitor
from xhat.train.optimizers import LBFGS
from xhat.train.schedules import Constant

#: Rows per step where "auto" cannot know how many rows will come.
BATCH = 128
#: Adam's usual rate; a schedule would need to know the number of calls.
RATE = Constant(1e-3)
#: Rows that must have been seen before what ``fit`` measured on held-out rows is measured anew.
ENOUGH = 200


def begin(request: Request, source: Source, rng: np.random.Generator) -> Fit:
    """Return a model at its start (PCA of the first rows, where there is a linear path)."""
    request = replace(
        request,
        validation_fraction=0.0,
        batch_size=request.batch_size or BATCH,
        optimizer_given=True,  # the rules are for fits that know how many steps they take
    )
    split = split_rows(source.n, 0.0, rng)
    ready = prepare(request, source, source, split, alone=True)
    ready.choices.said["filler"] = "None (partial_fit alone)"
    model = ready.model(ready.start(rng))
    return Fit(model, ready.baseline, ready.choices.said, measured=False)


def advance(fit: Fit, request: Request, source: Source, rng: np.random.Generator) -> Fit:
    """Train one epoch on the rows; a fitted or loaded model goes on from its parameters.

    What is returned is new: if anything is refused or interrupted, ``fit`` is what it was.
    """
    if isinstance(request.optimizer, LBFGS):
        raise ParameterError(
            "partial_fit takes steps on parts of the data: use optimizer='adam' or 'sgd'"
        )
    model, schema = fit.model, fit.model.schema
    objective = _objective(model, request, source)
    engine, reason = _engine(request, objective)
    source.check(schema, source.everything)
    state = _state(fit, request.optimizer, rng)
    plan = Plan(
        engine,
        objective,
        request.optimizer,
        request.schedule or RATE,
        source.rows(schema, source.everything, state.theta.dtype, model.filler),
        None,
        request.batch_size or BATCH,
        state.epoch + 1,
        lambda j: schema.columns[schema.group[j]].name,
    )
    train(plan, state, lambda _: None)
    if state.interrupted:
        raise KeyboardInterrupt
    after = replace(
        fit,
        model=replace(model, theta=state.theta.copy(), engine=engine),
        choices={**fit.choices, "engine": f"{engine.name} ({reason})"},
        verdict=None,
        history={**fit.history, "loss": [*fit.history.get("loss", []), state.monitor.loss[-1]]},
        held_out_scores=np.empty(0),
        epochs=state.epoch,
        best_epoch=state.epoch,
        state=state,
        sample=Sample.of(source.X) if fit.sample is None else fit.sample.with_more(source.X),
    )
    if (sample := measured_on(after)) is not None:
        _measure(after, replace(source, X=sample))
    return after


def _objective(model: Model, request: Request, source: Source) -> Objective:
    """Return what is minimised: penalty and corruption may have been given since the last call."""
    for penalty in request.penalties:
        if (problem := penalty.needs(model.net)) is not None:
            raise ParameterError(problem)
    corruption = request.corruption
    if corruption is None and model.rounds == 1:  # it was fitted to fill cells, and goes on so
        # By the rule of larger tables: these rows may be a small part of all
        corruption, _ = auto.hiding(auto.SMALL, model.net.d, max(_missing(source), auto.HIDING))
    ranges = model.schema.ranges(model.theta.dtype)
    return Objective(model.net, request.penalties, corruption, ranges)


def _engine(request: Request, objective: Objective) -> tuple[Engine, str]:
    """Return the engine for this call and why: that of the last one may not know the objective."""
    assert not isinstance(request.optimizer, LBFGS)
    try:
        return choose(request.engine, objective, request.optimizer)
    except ValueError as error:
        raise ParameterError(str(error)) from None


def _state(fit: Fit, optimizer: Optimizer, rng: np.random.Generator) -> LoopState:
    """Return a state to go on from; another optimiser than in the last call starts afresh."""
    theta = fit.model.theta.copy()
    fresh, state = optimizer.init(fit.model.net, theta), copy.deepcopy(fit.state)
    if state is None:
        return LoopState(theta, fresh, rng, Monitor(None, theta.copy()), fit.epochs)
    assert state.optimizer is not None
    if state.optimizer.slots.keys() != fresh.slots.keys():
        state.optimizer = fresh
    state.optimizer.decay = fresh.decay
    return state


def measured_on(fit: Fit) -> Any:
    """Return the rows on which scores are measured; None while those of ``fit`` know better."""
    if fit.sample is None or (fit.measured and fit.sample.seen < ENOUGH):
        return None
    return fit.sample.X


def _measure(fit: Fit, source: Source) -> None:
    """Measure the scale of the scores on a sample of all rows seen, which were trained on."""
    if not source.observed(source.everything):
        return  # of rows without a cell nothing can be learnt
    model, rows = fit.model, Subset(source.X, source.everything)
    model.residual = residual_spread(model, rows, None)
    linear = covariance(model, source, source.everything)
    hidden = hide(model, linear, rows, None)
    model.filling = settle([hidden], hidden, model.schema, model.residual, linear)
    m = codes_to_store(source, source.everything)
    model.code = store_codes(model, source, source.everything, m)
    if model.code is not None:
        model.code, _ = calibrate(model.code, [unseen(model, model.code, rows, None)])


def _missing(source: Source) -> float:
    """Return the share of missing cells."""
    tiles = source.tiles(source.everything)
    return float(sum(np.isnan(X).sum() for X, _ in tiles) / (source.n * len(source.names)))
