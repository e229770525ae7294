"""Values of a closed list of classes as JSON, and back with every field's type checked.

Knows: which classes may stand in a model file. Must not know: files. Nothing is imported or
executed because a file says so: a name that is not on the list is an error.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from functools import cache
from typing import Any

import numpy as np

from xhat.data.kinds import Auto, Binary, Categorical, Count, Real
from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code
from xhat.train.monitor import EarlyStopping
from xhat.train.optimizers import LBFGS, SGD, Adam
from xhat.train.schedules import Constant, Cosine, OneCycle

CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(Real, Binary, Auto, Categorical, Count),
        *(Masking, Gaussian, SaltAndPepper),
        *(L2, L1Code, KLSparsity, Contractive),
        *(Adam, SGD, LBFGS),
        *(Constant, Cosine, OneCycle),
        EarlyStopping,
    )
}


def plain(value: Any) -> Any:
    """Return a JSON value; dataclasses of the closed list become {"class": name, fields...}.

    Examples
    --------
    >>> plain((Real(), 3))
    [{'class': 'Real', 'scale': 'auto', 'f': 'linear'}, 3]
    >>> rebuild(plain((Real(), 3)))
    (Real(scale='auto', f='linear'), 3)
    """
    if type(value).__name__ in CLASSES and dataclasses.is_dataclass(value):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {"map": [[str(name), plain(item)] for name, item in value.items()]}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def rebuild(value: Any) -> Any:
    """Return the value that ``plain`` was given.

    Raises
    ------
    ValueError, TypeError
        If it is not one of its results.
    """
    if isinstance(value, list):
        return tuple(rebuild(item) for item in value)
    if isinstance(value, dict) and set(value) == {"map"}:
        return {name: rebuild(item) for name, item in _pairs(value["map"])}
    if isinstance(value, dict):
        given = {name: rebuild(item) for name, item in value.items() if name != "class"}
        return construct(CLASSES[value["class"]], given)
    return value


def _pairs(items: Any) -> list[tuple[str, Any]]:
    pairs = [(name, item) for name, item in items]
    if not all(isinstance(name, str) for name, _ in pairs):
        raise TypeError("the keys of a map must be texts")
    return pairs


#: Lists and objects within each other that a parameter may hold; the deepest known holds four.
DEEPEST = 16


def is_shallow(value: Any, levels: int = DEEPEST) -> bool:
    """Return whether lists and objects lie at most so many levels within each other.

    Examples
    --------
    >>> is_shallow({"heads": [1, [2]]}), is_shallow([[[1]]], 2)
    (True, False)
    """
    if not isinstance(value, (list, dict)):
        return True
    items = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(is_shallow(item, levels - 1) for item in items)


#: The largest number of float64: whole numbers in JSON may be larger.
_LARGEST = sys.float_info.max
#: Fields that files written before they existed do not have.
LATER: dict[type, set[str]] = {EarlyStopping: {"averaging"}, Masking: {"visible"}}


def construct(cls: type, given: Any) -> Any:
    """Return an instance of a dataclass from a JSON object with its fields, types checked.

    Examples
    --------
    >>> construct(EarlyStopping, {"patience": "long", "min_delta": 0.0})
    Traceback (most recent call last):
    TypeError: EarlyStopping.patience is not what it must be: 'long'
    """
    hints = _hints(cls)
    later = LATER.get(cls, set())
    if not isinstance(given, dict) or not set(hints) - later <= set(given) <= set(hints):
        raise TypeError(f"{cls.__name__} does not have its fields")
    for name, value in given.items():
        if not conforms(value, hints[name]):
            raise TypeError(f"{cls.__name__}.{name} is not what it must be: {value!r:.40}")
    return cls(**given)


@cache
def _hints(cls: type) -> dict[str, Any]:
    known = typing.get_type_hints(cls)
    return {field.name: known[field.name] for field in dataclasses.fields(cls)}


def conforms(value: Any, hint: Any) -> bool:
    """Return whether a JSON value has the type of a field.

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
