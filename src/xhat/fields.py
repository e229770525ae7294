"""The fields of dataclasses: each is what its annotation says, or is refused in one line.

Knows: annotations, numbers, intervals. Must not know: anything of xhat but its errors; the maths
stands above this module, and its objects are checked here.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
import typing
from decimal import Decimal
from functools import cache
from numbers import Real
from typing import Any

import numpy as np

from xhat.errors import ParameterError, one_line

#: Characters of a value, and bits of a whole number, that an error repeats.
LONGEST = 200
#: The largest number of float64: whole numbers, in JSON too, may be larger.
_LARGEST = sys.float_info.max
_NOUNS = {bool: "True or False", str: "a text", int: "a whole number", float: "a number"}


def settle(instance: Any, **within: str) -> None:
    """Make each field of a new frozen dataclass the plain value of its type, or refuse it.

    What is kept can be saved, loaded and computed with, whatever the number came as: the fields
    are Python's ``int``, ``float``, ``bool`` and ``str`` (see ``as_plain``). A bool is no number.

    Parameters
    ----------
    instance : dataclass
        Called with ``self`` in ``__post_init__``.
    **within : str
        The interval of a field, such as "(0, 1]"; "inf)" wants finite numbers, "inf]" any.

    Raises
    ------
    ParameterError
        Naming class, field, value and what is allowed.

    Examples
    --------
    >>> from xhat import OneCycle
    >>> OneCycle(Decimal("0.01"), np.float32(0.5))
    OneCycle(rate=0.01, warmup=0.5)
    >>> OneCycle("fast")
    Traceback (most recent call last):
    xhat.errors.ParameterError: OneCycle(rate='fast'): rate must be a finite number > 0
    """
    cls: type = type(instance)
    for name, hint in hints(cls).items():
        given, interval = getattr(instance, name), within.get(name)
        value = as_plain(given, hint)
        good = conforms(value, hint) and (interval is None or _inside(value, interval))
        if not good:
            thing = f"{cls.__name__}({name}={said(given)})"
            raise ParameterError(f"{thing}: {name} must be {_allowed(hint, interval)}")
        object.__setattr__(instance, name, value)


def require(good: bool, problem: str) -> None:  # noqa: FBT001
    """Refuse a parameter: what stands in the maths cannot know the error's class."""
    if not good:
        raise ParameterError(problem)


def as_plain(value: Any, hint: Any) -> Any:
    """Return a number as Python's own of the type that a field has; anything else as it is.

    Only whole numbers become ``int``; ``conforms`` says whether the result fits.

    Examples
    --------
    >>> from fractions import Fraction
    >>> as_plain(Fraction(1, 5), float), as_plain(20.0, int), as_plain(np.True_, bool)
    (0.2, 20, True)
    >>> as_plain(2.5, int), as_plain(True, float), as_plain("1", int)
    (2.5, True, '1')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        return value
    if hint is float:
        return _as_float(value)
    number: Any = value
    whole = hint is int and math.isfinite(_as_float(number)) and number == int(number)
    return int(number) if whole else number


def _as_float(value: Any) -> float:
    """Return a number as a float; infinity for whole numbers beyond, NaN for what is no number."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:  # Decimal's signalling NaN
        return math.nan


def conforms(value: Any, hint: Any) -> bool:
    """Return whether a plain value, as JSON has them, is one of a field's type.

    Examples
    --------
    >>> conforms(1, float), conforms(True, int), conforms(None, int | None)
    (True, False, True)
    >>> conforms(10**400, float)
    False
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return any(type(value) is type(choice) and value == choice for choice in inner)
    if origin in (typing.Union, types.UnionType):
        return any(conforms(value, choice) for choice in inner)
    if origin in (list, tuple):
        return isinstance(value, (list, tuple)) and all(conforms(v, inner[0]) for v in value)
    if hint is float:
        return type(value) is float or (type(value) is int and abs(value) <= _LARGEST)
    if hint in (None, type(None)):
        return value is None
    return type(value) is hint


@cache
def hints(cls: type) -> dict[str, Any]:
    """Return the type of each field of a dataclass."""
    known = typing.get_type_hints(cls)
    return {field.name: known[field.name] for field in dataclasses.fields(cls)}


def said(value: object) -> str:
    """Return a value as an error names it: on one line, the middle of a long one left out.

    Examples
    --------
    >>> said([1, "a"]), said(10**5000), said(10**400)
    ("[1, 'a']", 'a whole number of many digits', 'a whole number of many digits')
    """
    if isinstance(value, int) and value.bit_length() > LONGEST:
        return "a whole number of many digits"
    try:
        return one_line(repr(value), LONGEST)
    except ValueError:  # Python does not print numbers of many thousand digits
        return f"a {type(value).__name__} of numbers of many digits"


def _inside(value: float, interval: str) -> bool:
    low, high = (float(end) for end in interval[1:-1].split(","))
    number = _as_float(value)
    above = number >= low if interval.startswith("[") else number > low
    return above and (number <= high if interval.endswith("]") else number < high)


def _allowed(hint: Any, interval: str | None) -> str:
    """Return what a field may be, in words."""
    if (choices := _choices(hint)) is not None:
        return f"one of {', '.join(map(repr, choices))}"
    noun = _NOUNS[hint]
    if interval is None:
        return noun
    low, high = interval[1:-1].split(", ")
    if high != "inf":
        return f"{noun} in {interval}"
    if hint is float and interval.endswith(")"):
        noun = "a finite number"
    return f"{noun} {'>=' if interval.startswith('[') else '>'} {low}"


def _choices(hint: Any) -> list[Any] | None:
    """Return the values of a Literal, with None behind them where the type has it."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    parts = typing.get_args(hint)
    if type(None) in parts and len(parts) == 2:
        return [*(_choices(parts[0]) or []), None]
    return None
