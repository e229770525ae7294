"""Values of a closed list of classes as JSON, and back with every field's type checked.

Knows: which classes may stand in a model file. Must not know: files. Nothing is imported or
executed because a file says so: a name that is not on the list is an error.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

from xhat.data.kinds import Auto, Binary, Categorical, Count, Real
from xhat.fields import as_plain, conforms, hints, said
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

    Raises
    ------
    TypeError
        If it has no such form.

    Examples
    --------
    >>> plain((Real(), 3))
    [{'class': 'Real', 'scale': 'auto', 'f': 'linear'}, 3]
    >>> rebuild(plain((Real(), 3)))
    (Real(scale='auto', f='linear'), 3)
    """
    cls: type = type(value)
    if CLASSES.get(cls.__name__) is cls:
        return {"class": cls.__name__, **{name: plain(getattr(value, name)) for name in hints(cls)}}
    if isinstance(value, dict):
        return {"map": [[str(name), plain(item)] for name, item in value.items()]}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    value = as_plain(value, int if isinstance(value, Integral) else float)
    if value is not None and not isinstance(value, (str, bool, int, float)):
        raise TypeError(f"a file cannot hold {said(value)}")
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


#: Fields that files written before they existed do not have.
LATER: dict[type, set[str]] = {
    Adam: {"clip"},
    EarlyStopping: {"averaging"},
    Masking: {"visible"},
    Binary: {"found"},
    Count: {"found"},
}


def construct(cls: type, given: Any) -> Any:
    """Return an instance of a dataclass from a JSON object with its fields, types checked.

    Examples
    --------
    >>> construct(EarlyStopping, {"patience": "long", "min_delta": 0.0})
    Traceback (most recent call last):
    TypeError: EarlyStopping.patience is not what it must be: 'long'
    """
    known = hints(cls)
    later = LATER.get(cls, set())
    if not isinstance(given, dict) or not set(known) - later <= set(given) <= set(known):
        raise TypeError(f"{cls.__name__} does not have its fields")
    for name, value in given.items():
        if not conforms(value, known[name]):
            raise TypeError(f"{cls.__name__}.{name} is not what it must be: {value!r:.40}")
    return cls(**given)
