"""Checks the estimator's parameters and turns them into a fitting.Request; one line per mistake.

Knows: what each parameter may be. Must not know: data.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral
from typing import Any, Protocol

import numpy as np

from xhat.data.kinds import NAMED, Auto, Binary, Categorical, Count
from xhat.data.kinds import Real as RealHead
from xhat.errors import ParameterError
from xhat.fields import as_plain, conforms, said
from xhat.maths.activations import ACTIVATIONS
from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code
from xhat.settings import Request
from xhat.train.monitor import EarlyStopping
from xhat.train.optimizers import LBFGS, OPTIMIZERS, SGD, Adam
from xhat.train.schedules import Constant, Cosine, OneCycle

PENALTIES = (L2, L1Code, KLSparsity, Contractive)
CORRUPTIONS = (Masking, Gaussian, SaltAndPepper)
SCHEDULES = (Constant, Cosine, OneCycle)
#: What a parameter may be an object of, by name.
OBJECTS: dict[str, Callable[..., Any]] = {
    made.__name__: made
    for made in (
        *(*PENALTIES, *CORRUPTIONS, *SCHEDULES, Adam, SGD, LBFGS, EarlyStopping),
        *(RealHead, Binary, Categorical, Count, Auto),
    )
}
#: Seeds are below what numpy's RandomState takes; counts beyond are no sizes of anything.
SEEDS, MOST = 2**32, 2**40


class Parameters(Protocol):
    """The estimator's constructor parameters, as given."""

    n_components: Any
    hidden: Any
    linear_path: Any
    activation: Any
    heads: Any
    penalty: Any
    corruption: Any
    tied: Any
    optimizer: Any
    learning_rate: Any
    batch_size: Any
    max_iter: Any
    validation_fraction: Any
    stopping: Any
    contamination: Any
    random_state: Any
    engine: Any
    verbose: Any


def build_request(p: Parameters) -> Request:
    """Check every parameter and return the request.

    Raises
    ------
    ParameterError
        Naming the parameter, its value and what it may be.
    """
    optimizer = _optimizer(p.optimizer)
    fraction = _number("validation_fraction", p.validation_fraction, 0, 0.5)
    if not _is_auto(p.contamination):
        _number("contamination", p.contamination, 0, 0.5)
    _require(isinstance(p.tied, (bool, np.bool_)), "tied", p.tied, "True or False")
    _require(
        p.corruption is None or isinstance(p.corruption, CORRUPTIONS),
        "corruption",
        p.corruption,
        "None, Masking(), Gaussian() or SaltAndPepper()",
    )
    check_seed(p.random_state)
    good = isinstance(p.verbose, (Integral, np.bool_))
    _require(good and 0 <= int(p.verbose) <= MOST, "verbose", p.verbose, "0, 1 or 2")
    return Request(
        n_components=_count("n_components", p.n_components),
        hidden=_hidden(p.hidden),
        linear_path=_linear_path(p.linear_path),
        activation=_activation(p.activation),
        heads=_heads(p.heads),
        penalties=_penalties(p.penalty),
        corruption=p.corruption,
        tied=bool(p.tied),
        optimizer=optimizer,
        optimizer_given=not isinstance(p.optimizer, str),
        schedule=_schedule(p.learning_rate),
        batch_size=_count("batch_size", p.batch_size),
        epochs=_count("max_iter", p.max_iter),
        validation_fraction=fraction,
        stopping=_stopping(p.stopping),
        engine=_engine(p.engine),
    )


def check_path(path: object) -> None:
    """Refuse what is no name of a model file."""
    if not isinstance(path, (str, os.PathLike)):
        raise ParameterError(
            f"a model file is given by its name, such as 'model.xhat', not by {said(path)}"
        )


def check_seed(value: object) -> None:
    """Refuse a ``random_state`` that gives no random numbers.

    Raises
    ------
    ParameterError
        Naming the value and what it may be.
    """
    good = value is None or value is np.random or isinstance(value, np.random.RandomState)
    if isinstance(value, Integral) and not isinstance(value, bool):
        good = 0 <= int(value) < SEEDS
    expected = "None, a numpy.random.RandomState or a whole number from 0 to 2**32 - 1"
    _require(good, "random_state", value, expected)


def _require(good: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001
    if not good:
        raise ParameterError(f"{name}={said(value)}: expected {expected}")


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"


def _count(name: str, value: object) -> int | None:
    if _is_auto(value):
        return None
    count = as_plain(value, int)
    _require(_is_size(count), name, value, "'auto' or a whole number from 1 to 2**40")
    return int(count)


def _is_size(value: Any) -> bool:
    """Return whether it could count rows, units or epochs: sums of them fit."""
    return conforms(value, int) and 1 <= value <= MOST


def _number(name: str, value: object, low: float, high: float) -> float:
    number = as_plain(value, float)
    good = conforms(number, float) and low <= number <= high
    _require(good, name, value, f"a number from {low:g} to {high:g}")
    return float(number)


def _hidden(value: Any) -> tuple[int, ...] | None:
    if _is_auto(value):
        return None
    listed = isinstance(value, (tuple, list))
    widths = tuple(as_plain(width, int) for width in value) if listed else ()
    good = listed and all(map(_is_size, widths))
    _require(good, "hidden", value, "'auto' or widths >= 1 such as (128,) or ()")
    return widths


def _linear_path(value: Any) -> bool | None:
    if _is_auto(value):
        return None
    good = isinstance(value, (Integral, np.bool_)) and value in (0, 1)  # 1 and 0 are in old files
    _require(good, "linear_path", value, "'auto', True or False")
    return bool(value)


def _activation(value: object) -> str | tuple[str, str] | None:
    expected = f"'auto', one of {', '.join(ACTIVATIONS)}, or a pair (hidden layers, code) of these"
    if _is_auto(value):
        return None
    if isinstance(value, str):
        _require(value in ACTIVATIONS, "activation", value, expected)
        return value
    good = (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(v, str) and v in ACTIVATIONS for v in value)
    )
    _require(good, "activation", value, expected)
    pair: tuple[str, str] = (str(value[0]), str(value[1]))  # type: ignore[index]
    return pair


def _heads(value: Any) -> Any:
    kinds = (RealHead, Binary, Categorical, Count, Auto)
    per_column = isinstance(value, dict)
    for wish in value.values() if per_column else (value,):
        good = isinstance(wish, kinds) or (isinstance(wish, str) and wish in NAMED)
        _require(
            good or (per_column and isinstance(wish, str) and wish == "ignore"),
            "heads",
            wish,
            f"{', '.join(map(repr, NAMED))}, a head such as Real(...), or a dict of column name to "
            "one of these or 'ignore'",
        )
    return value


def _penalties(value: Any) -> Any:
    if value is None:
        return ()
    penalties = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    for penalty in penalties:
        _require(
            isinstance(penalty, PENALTIES),
            "penalty",
            penalty,
            "None, L2(), L1Code(), KLSparsity(), Contractive() or a tuple of these",
        )
    return penalties


def _optimizer(value: object) -> Adam | SGD | LBFGS:
    if isinstance(value, str) and value in OPTIMIZERS:
        return OPTIMIZERS[value]()  # type: ignore[no-any-return]
    _require(
        isinstance(value, (Adam, SGD, LBFGS)),
        "optimizer",
        value,
        "'adam', 'sgd', 'lbfgs', Adam(...), SGD(...) or LBFGS(...)",
    )
    return value  # type: ignore[return-value]


def _schedule(value: object) -> Constant | Cosine | OneCycle | None:
    if _is_auto(value):
        return None
    if isinstance(value, SCHEDULES):
        return value
    rate = as_plain(value, float)
    good = conforms(rate, float) and 0 < rate < np.inf
    _require(good, "learning_rate", value, "'auto', a number > 0, Constant, Cosine or OneCycle")
    return Constant(rate)


def _stopping(value: object) -> EarlyStopping | None:
    if isinstance(value, EarlyStopping):
        return value
    if _is_auto(value):
        return None
    if value is None:  # never early; the best epoch is still kept
        return EarlyStopping(2**31)
    patience = _count("stopping", value)
    return EarlyStopping(patience or 1)


def _engine(value: object) -> str:
    _require(
        isinstance(value, str) and value in ("auto", "compiled", "reference"),
        "engine",
        value,
        "'auto', 'compiled' or 'reference'",
    )
    return str(value)
