"""The report's curve over code sizes: made on request or where it is quick; else why not.

Knows: facts, sweeps, what a parameter costs. Must not know: HTML. The parameters may stand in a
model file that anyone wrote: what they ask for is computed before anything is fitted.
"""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np

from xhat import auto
from xhat.errors import DataError, ParameterError, XhatError
from xhat.maths.penalties import Contractive
from xhat.report.facts import Facts
from xhat.requests import build_request
from xhat.settings import Request, Size, automatic_batch
from xhat.sweep import MAX_ROWS, Sweep, code_sizes, sweep_rows
from xhat.train.optimizers import LBFGS

#: Cells (rows times columns) up to which "auto" fits the sweep as part of the report, where the
#: compiled engine knows the table: up to seven fits, some seconds on two cores.
SWEEP_CELLS = 60_000
#: Rows from which "auto" fits it: of fewer, a quarter held out says little, and all are PCA.
SWEEP_ROWS = 50
#: What parameters that were given may ask of one fit of "auto": rows times epochs times weights
#: (about 10 s on two cores), steps, weights, layers, and weights that L-BFGS remembers.
WORK, STEPS, WEIGHTS, LAYERS, MEMORY = 2 * 10**10, 100_000, 10**6, 10, 10**7


def check(asked: Any) -> None:
    """Refuse what is no wish for a curve."""
    automatic = isinstance(asked, str) and asked == "auto"
    if not automatic and not isinstance(asked, (bool, np.bool_, Sweep)):
        raise ParameterError(
            f"sweep={asked!r:.200}: expected 'auto', True, False or a Sweep, as "
            "xhat.sweep.sweep(X, [1, 2]) returns"
        )


def curve(asked: Any, facts: Facts, X: Any, shell: str | None) -> dict[str, Any]:
    """Return the curve over code sizes, or why there is none and how to get it.

    Parameters
    ----------
    asked : "auto", bool or Sweep
        True fits whatever it takes.
    facts : Facts
        Of the rows X.
    X : table
        What the report was given.
    shell : str or None
        The command that makes the curve by itself.
    """
    if isinstance(asked, Sweep):
        return asked.to_dict()
    sizes = _sizes(facts)
    if not isinstance(asked, str) and asked:
        if not _is_observed(facts):
            raise DataError(
                "no cell of the rows is observed: a sweep over code sizes needs some; leave it out "
                "(sweep=False, --no-sweep)"
            )
        return _fitted(facts, X, sizes)
    reason = _why_not(facts, sizes) if isinstance(asked, str) else "as asked"
    if reason is None:
        try:
            return _fitted(facts, X, sizes)
        except XhatError as error:
            reason = f"it could not be fitted: {error}"
    return {"left_out": reason, "command": "ae.report(X, sweep=True)", "shell": shell}


def _sizes(facts: Facts) -> list[int]:
    d = len(facts.schema.columns)
    return code_sizes(d if facts.k < d else facts.schema.d, facts.k)


def _fitted(facts: Facts, X: Any, sizes: list[int]) -> dict[str, Any]:
    """Fit; what there is to warn of was said when the model was fitted, and is not said again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sweep_rows(facts.ae, X, sizes).to_dict()


def _is_observed(facts: Facts) -> bool:
    return bool((facts.walk.missing < 1).any())


def _why_not(facts: Facts, sizes: list[int]) -> str | None:
    """Return why "auto" fits no sweep; None if it does."""
    if facts.n < SWEEP_ROWS:
        return f"{facts.n} row{'s are' if facts.n > 1 else ' is'} too few, it takes {SWEEP_ROWS}"
    if not _is_observed(facts):
        return "no cell of the rows is observed"
    request = build_request(facts.ae)
    compiled = facts.model.engine.name == "compiled" and request.engine != "reference"
    n = min(facts.n, MAX_ROWS)
    if not compiled or n * len(facts.schema.columns) > SWEEP_CELLS:
        return "several fits would take a while"
    missing = float(facts.walk.missing.mean())
    if not is_modest(request, n, facts.schema.d, max(sizes), missing):
        return "the model's parameters ask for long fits"
    return None


def is_modest(request: Request, n: int, d: int, k: int, missing: float = 0.0) -> bool:
    """Return whether a fit with these parameters is a matter of seconds, whatever they are.

    Parameters
    ----------
    request : Request
        What the fit is asked for.
    n, d, k : int
        Rows, encoded columns and units of the code.
    missing : float
        Share of the cells.
    """
    if request.hidden is None and request.epochs is None and request.batch_size is None:
        given = isinstance(request.optimizer, LBFGS) or _repeats(request, k) > 1
        if not given:
            return True  # the rules of auto.py know how much is sensible
    hidden = auto.hidden_widths(n, d)[0] if request.hidden is None else request.hidden
    layers = (d, *hidden, k)
    weights = 2 * (sum(a * b for a, b in itertools.pairwise(layers)) + d * k)
    exact = request.exact(n)
    table = Size(n, d, d, k, missing)
    size = request.batch_size or automatic_batch(request, table, weights, exact=exact)[0]
    size = min(n, size)
    kind = type(request.optimizer).__name__.lower()
    epochs = request.epochs or auto.epochs(n, size, kind, weights)[0]
    memory = request.optimizer.memory if isinstance(request.optimizer, LBFGS) else 1
    return (
        n * epochs * weights * _repeats(request, k) <= WORK
        and epochs * -(-n // size) <= STEPS
        and weights <= WEIGHTS
        and memory * weights <= MEMORY
        and len(hidden) <= LAYERS
    )


def _repeats(request: Request, k: int) -> int:
    """Return how many passes one pass counts for: a Jacobian has a row for every unit."""
    return k if any(isinstance(penalty, Contractive) for penalty in request.penalties) else 1
