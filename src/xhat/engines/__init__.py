"""How a run of batches is computed. Every engine passes the same tests as the reference."""

from __future__ import annotations

from functools import cache

from xhat.engines.base import Engine, Optimizer
from xhat.engines.reference import ReferenceEngine
from xhat.maths.objective import Objective


@cache
def available() -> dict[str, Engine]:
    """Return the engines of this installation by name."""
    return {"reference": ReferenceEngine()}


def choose(name: str, objective: Objective, optimizer: Optimizer | None) -> tuple[Engine, str]:
    """Return the engine for an objective and the reason for the choice.

    Parameters
    ----------
    name : {"auto", "compiled", "reference"}
    objective : Objective
    optimizer : Optimizer or None
        None where the optimiser runs outside the engine (L-BFGS).

    Raises
    ------
    ValueError
        If the engine named is not there or cannot train the objective.
    """
    engines = available()
    if name == "auto":
        return engines["reference"], "the reference engine (NumPy)"
    if name not in engines:
        raise ValueError(f"engine={name!r} is not available here; choose from {sorted(engines)}")
    return engines[name], "as asked"
