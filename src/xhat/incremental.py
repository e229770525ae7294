"""partial_fit: schema, scale and start from the first rows, then one pass of steps per call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xhat.errors import ParameterError
from xhat.fitting import Fit, Request, Source, prepare
from xhat.model import residual_spread
from xhat.train.loop import Plan, train
from xhat.train.optimizers import LBFGS
from xhat.train.schedules import Constant

#: Rows per step where "auto" cannot know how many rows will come.
BATCH = 128
#: Adam's usual rate; a schedule would need to know the number of calls.
RATE = 1e-3


def begin(request: Request, source: Source, rng: np.random.Generator) -> Fit:
    """Return a model at its start (PCA of the first rows, where there is a linear path)."""
    if isinstance(request.optimizer, LBFGS):
        raise ParameterError(
            "partial_fit takes steps on parts of the data: use optimizer='adam' or 'sgd'"
        )
    fit = prepare(replace(request, validation_fraction=0.0, stop=False), source, rng)
    return fit


def advance(fit: Fit, request: Request, source: Source) -> None:
    """Train one epoch on the rows of ``source``, in place."""
    model, state = fit.model, fit.state
    assert state is not None and fit.objective is not None
    rows = source.rows(model.schema, np.arange(source.n), model.theta.dtype)
    size = request.batch_size or BATCH
    epoch = state.epoch
    plan = Plan(
        model.engine,
        fit.objective,
        request.optimizer,
        request.schedule or Constant(RATE),  # type: ignore[arg-type]
        rows,
        None,
        size,
        epoch + 1,
        lambda j: model.schema.columns[j].name,
    )
    train(plan, state, lambda _: None)
    model.theta = state.theta
    model.residual = residual_spread(model, source.X, None)
    model.forget_casts()
    fit.epochs = fit.best_epoch = state.epoch
    fit.choices["batch_size"] = f"{size} ({'as asked' if request.batch_size else 'partial_fit'})"
