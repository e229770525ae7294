"""How a run of batches is computed. Every engine passes the same tests as the reference.

Knows: which engines this installation has, and how one is chosen. Must not know: estimators.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from xhat.engines.base import Engine, Optimizer
from xhat.engines.reference import ReferenceEngine
from xhat.errors import warn
from xhat.maths.objective import Objective

#: What to do where the compiled engine is absent; shown by the warning and `xhat info --engines`.
REMEDY = "To build it: pip install --force-reinstall --no-deps --no-binary xhat xhat"


@cache
def available() -> dict[str, Engine | str]:
    """Return the engines by name; in the place of one that is absent stands the reason.

    Examples
    --------
    >>> sorted(available())
    ['compiled', 'reference']
    """
    return {"compiled": _compiled(), "reference": ReferenceEngine()}


def choose(name: str, objective: Objective, optimizer: Optimizer | None) -> tuple[Engine, str]:
    """Return the engine for an objective and the reason for the choice.

    Parameters
    ----------
    name : {"auto", "compiled", "reference"}
        "auto" takes the compiled engine where it is installed and able, else the reference.
    objective : Objective
    optimizer : Optimizer or None
        None where the optimiser runs outside the engine (L-BFGS).

    Raises
    ------
    ValueError
        If the engine named is not there or cannot train the objective.
    """
    engines = available()
    if name not in ("auto", *engines):
        raise ValueError(f"engine={name!r} is unknown; choose from {['auto', *sorted(engines)]}")
    if name != "auto":
        engine = engines[name]
        problem = engine if isinstance(engine, str) else engine.refuses(objective, optimizer)
        if problem is not None or isinstance(engine, str):
            raise ValueError(f"engine={name!r} cannot be used: {problem}; engine='auto' can")
        return engine, "as asked"
    compiled, reference = engines["compiled"], engines["reference"]
    assert not isinstance(reference, str)
    if isinstance(compiled, str):
        _warn_once(compiled)
        return reference, f"the compiled engine is absent: {compiled}"
    refusal = compiled.refuses(objective, optimizer)
    if refusal is not None:
        return reference, f"the compiled engine refuses: {refusal}"
    # Not the threads: the reason stands in the model file, whose bytes do not depend on them.
    return compiled, f"C++ kernels, {compiled.describe().split(',')[0]}"


def _compiled() -> Engine | str:
    if find_spec("xhat.engines.compiled._kernels") is None:
        return "this installation was built without a C++ compiler (GCC or Clang)"
    try:
        from xhat.engines.compiled.engine import CompiledEngine  # noqa: PLC0415 - may be absent
    except ImportError as error:
        return f"its extension cannot be imported ({error})"
    return CompiledEngine()


@cache
def _warn_once(reason: str) -> None:
    slow = f"xhat runs on its slow reference engine: the compiled one is absent, {reason}. {REMEDY}"
    warn(RuntimeWarning(slow))
