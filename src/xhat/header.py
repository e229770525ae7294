"""What may stand in the header of a model file: every field's name and type, and what must agree.

Knows: the fields of format 1 (docs/decisions/0006). Must not know: bytes, digests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from xhat.data.kinds import Categorical, Kind
from xhat.data.values import Clock, Form
from xhat.errors import ModelFileError
from xhat.fields import conforms
from xhat.maths.activations import ACTIVATIONS
from xhat.plain import construct, is_shallow, rebuild
from xhat.verdict import Comparison

Check = Callable[[Any], bool]


def is_text(value: object) -> bool:
    """Return whether it is a text."""
    return isinstance(value, str)


def is_size(value: object) -> bool:
    """Return whether it is a whole number >= 0 that an array could have as its length."""
    return type(value) is int and 0 <= value < 2**40


def list_of(check: Check) -> Check:
    """Return the check of a list."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def _fields(optional: tuple[str, ...] = (), **checks: Check) -> Check:
    """Return the check of an object with exactly these fields, some of which may be missing."""

    def check(value: object) -> bool:
        return (
            isinstance(value, dict)
            and set(checks) - set(optional) <= set(value) <= set(checks)
            and all(checks[name](found) for name, found in value.items())
        )

    return check


def _is_verdict(value: object) -> bool:
    return value is None or read_verdict(value).angles != []


def read_verdict(value: Any) -> Comparison:
    """Return a stored verdict; the first files had no losses by column."""
    verdict: Comparison = construct(Comparison, {"by_column": None, "fills": False, **value})
    if any(len(losses) != 3 for losses in verdict.by_column or []):
        raise TypeError("a column of the verdict needs three losses: mean, PCA, xhat")
    return verdict


def _is_kind(value: object) -> bool:
    return isinstance(rebuild(value), get_args(Kind))


def _is_bend(value: Any) -> bool:
    """Return whether it is a median and a unit > 0 (maths/bend.py)."""
    finite = conforms(value, list[float]) and len(value) == 2 and abs(value[0]) < float("inf")
    return finite and 0 < value[1] < float("inf")


def _are_shares(value: Any) -> bool:
    """Return whether they are shares of two levels or more."""
    known = conforms(value, list[float]) and len(value) > 1
    return known and all(0 <= v <= 1 for v in value) and sum(value) > 0


_LEVEL = str | int | float | bool
CHECKS: dict[str, Check] = {
    "format": is_size,
    "sha256": is_text,
    "xhat_version": lambda v: is_text(v) and len(v) <= 40,
    "parameters": lambda v: isinstance(v, dict) and is_shallow(v),
    "columns": list_of(
        _fields(
            ("bend", "rare", "whole"),
            name=is_text,
            kind=_is_kind,
            places=list_of(is_size),
            width=is_size,
            bend=_is_bend,
            rare=_are_shares,
            whole=lambda v: v is True,
        )
    ),
    "storage": list_of(
        _fields(
            ("clock",),
            name=is_text,
            form=lambda v: v in get_args(Form),
            levels=list_of(lambda v: conforms(v, _LEVEL)),
            reason=is_text,
            clock=lambda v: v in get_args(Clock),
        )
    ),
    "named": lambda v: isinstance(v, bool),
    "network": _fields(
        ("filler",),
        filler=_fields(
            k=is_size, hidden=list_of(is_size), linear_path=lambda v: isinstance(v, bool)
        ),
        k=is_size,
        hidden=list_of(is_size),
        activation=lambda v: is_text(v) and v in ACTIVATIONS,
        code_activation=lambda v: is_text(v) and v in ACTIVATIONS,
        tied=lambda v: isinstance(v, bool),
        linear_path=lambda v: isinstance(v, bool),
    ),
    "baseline_k": is_size,
    "verdict": _is_verdict,
    "history": lambda v: conforms(list(v.values()), list[list[float]]),
    "choices": lambda v: conforms(list(v.values()), list[str]),
    "epochs": is_size,
    "best_epoch": is_size,
    "identity_score": lambda v: conforms(v, float | None),
    "rounds": lambda v: type(v) is int and 1 <= v <= 100,
    "offset": lambda v: conforms(v, float) and abs(v) < float("inf"),
}


def check_header(header: dict[str, Any]) -> None:
    """Refuse a header with a field that is missing, unknown, or not what it must be.

    Raises
    ------
    ModelFileError
        Naming the field.
    """
    for name in CHECKS.keys() ^ header.keys():
        raise ModelFileError(f"the field {name!r:.40} of its header is missing or unknown")
    for name, check in CHECKS.items():
        try:
            good = check(header[name])
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
            good = False
        if not good:
            raise ModelFileError(f"the field {name!r} of its header is not what it must be")
    _check_columns(header)
    _check_layers(header["network"])
    _check_layers(header["network"].get("filler", header["network"]))


def _check_columns(header: dict[str, Any]) -> None:
    """Refuse columns that are not those of the table, left-out ones apart, each with its levels."""
    stores = [store for store in header["storage"] if store["form"] != "left out"]
    columns = header["columns"]
    if not columns or [s["name"] for s in stores] != [c["name"] for c in columns]:
        raise ModelFileError("its table and its schema name different columns")
    names = [store["name"] for store in header["storage"]]
    if len(set(names)) < len(names):
        raise ModelFileError("two of its columns have the same name")
    for store, column in zip(stores, columns, strict=True):
        levels, places, width = store["levels"], column["places"], column["width"]
        if len({(type(level), level) for level in levels}) < len(levels):
            raise ModelFileError(f"column {column['name']!r:.40} has a level twice")
        if isinstance(rebuild(column["kind"]), Categorical):
            good = store["form"] == "level" and 0 < width <= len(places) == len(levels)
            good = good and set(places) == set(range(width))  # no larger than what the file holds
        else:
            good = store["form"] != "level" and not places and not levels and width == 1
        if not good:
            raise ModelFileError(f"column {column['name']!r:.40} has levels without a place")
        if "bend" in column and getattr(rebuild(column["kind"]), "scale", None) != "asinh":
            raise ModelFileError(f"column {column['name']!r:.40} has a bend, and no asinh scale")
        if "rare" in column and len(column["rare"]) != places.count(width - 1):
            raise ModelFileError(f"column {column['name']!r:.40} has shares of other rare levels")


def _check_layers(network: dict[str, Any]) -> None:
    if not network["k"] or not all(network["hidden"]):
        raise ModelFileError("a layer of its network has no units")
    if len(network["hidden"]) > MAX_LAYERS:
        raise ModelFileError(f"its network has more than {MAX_LAYERS} layers")


#: More hidden layers than any table asks for; keeps the layout quick to compute.
MAX_LAYERS = 1000
