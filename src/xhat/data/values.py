"""What a single value of a cell is: missing, a number, a time, a level, a text of digits.

Knows: Python's and NumPy's values. Must not know: columns, containers.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

Form = Literal["number", "integer", "bool", "level", "time", "left out"]
#: What a time is: a moment is a datetime with its time zone.
Clock = Literal["", "date", "datetime", "moment", "time", "duration"]

#: Types whose values Python's hash tables tell apart as the levels of a column are told apart.
PLAIN = frozenset({str, np.str_, float, int, bool, type(None)})
#: Python's values that a cell may be.
_SINGLE = (str, bytes, int, float, np.generic, decimal.Decimal, dt.date, dt.time, type(None))


def form_of_values(values: Sequence[Any]) -> Form:
    """Return the form of Python objects: what all of them are."""
    types = set(map(type, values)) - {type(None)}

    def all_are(*wanted: type) -> bool:
        return all(issubclass(found, wanted) for found in types)

    if all_are(bool, np.bool_):
        return "bool"
    if all_are(int, np.integer):
        return "integer"
    if all_are(int, float, np.number, decimal.Decimal):
        return "number"
    if all_are(dt.date, dt.timedelta, dt.time):
        return "time"
    for v in values:
        if not isinstance(v, _SINGLE):
            float(v)  # a TypeError, if it is no number of a kind that is unknown here
    return "level"


def is_single(value: Any) -> bool:
    """Whether a value may be a cell: a number, a text, a time."""
    try:
        return isinstance(value, _SINGLE) or float(value) is not None
    except (TypeError, ValueError, OverflowError):
        return False


def clock_of(value: Any) -> Clock:
    """Return which kind of time a value is; "" for what is none.

    Examples
    --------
    >>> clock_of(dt.date(2024, 1, 31)), clock_of(dt.timedelta(hours=1)), clock_of(7)
    ('date', 'duration', '')
    """
    if is_missing(value):  # NaT is a datetime to Python
        return ""
    if isinstance(value, dt.datetime):
        return "moment" if value.tzinfo else "datetime"
    kinds: dict[type, Clock] = {dt.date: "date", dt.time: "time", dt.timedelta: "duration"}
    return next((clock for kind, clock in kinds.items() if isinstance(value, kind)), "")


def is_missing(value: Any) -> bool:
    """None, NaN, NaT, pandas' NA and masked values are missing cells."""
    if value is None or value is np.ma.masked:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124  NaN and NaT differ from themselves
    except (TypeError, ValueError):
        return True  # pandas' NA refuses to be compared


def is_number(value: Any, form: Form = "number") -> bool:
    """Whether a value is a number, or text that reads as one, or a time."""
    try:
        number_of(value, form)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def number_of(value: Any, form: Form = "number") -> float:
    """Return what a value is in a column of this form, or raise what Python raises."""
    if isinstance(value, str):
        return _number_of_text(value.strip(), form)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=value.tzinfo or dt.UTC).timestamp()
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).total_seconds()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.time):
        minutes = 60 * value.hour + value.minute
        return 60 * minutes + value.second + value.microsecond / 1e6
    if form == "time":  # seconds, days, nanoseconds? since when?
        raise ValueError(f"{value!r} is no time")
    return float(value)


def _number_of_text(text: str, form: Form) -> float:
    """Return what a text stands for in a column of this form: one bad cell makes a CSV's texts."""
    if form == "time":
        of_day = text[2:3] == ":"
        return number_of((dt.time if of_day else dt.datetime).fromisoformat(text))
    if form == "bool" and text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    if "_" in text:  # a number to Python only
        raise ValueError(text)
    return float(text)


def plain_level(value: Any) -> Any:
    """Return the level a value is: text, a number or a boolean."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (str, int, float, bool)) else str(value)


#: Digits behind a zero: a code, such as 01003. A number is not written so.
CODE = r"\s*0[0-9]+\s*"
#: Numbers with one comma or more, between digits.
_COMMA = re.compile(r"\s*[+-]?[0-9]+(,[0-9]+)+\s*|\s*[+-]?,[0-9]+\s*")
#: Numbers with a percent sign or a currency.
_UNIT = re.compile(r"\s*([$€£¥]\s*[+-]?[0-9][0-9.,]*|[+-]?[0-9][0-9.,]*\s*[%$€£¥])\s*")


def is_code(value: Any) -> bool:
    """Whether a text is digits that begin with a zero: an area, an article, no number.

    Examples
    --------
    >>> is_code("01003"), is_code("0"), is_code("0.5")
    (True, False, False)
    """
    return isinstance(value, str) and re.fullmatch(CODE, value) is not None


def has_comma(value: Any) -> bool:
    """Whether a text is a number but for its comma.

    Examples
    --------
    >>> has_comma("-0,4"), has_comma("1.5"), has_comma("a,b")
    (True, False, False)
    """
    return isinstance(value, str) and _COMMA.fullmatch(value) is not None


def has_unit(value: Any) -> bool:
    """Whether a text is a number with a percent sign or a currency.

    Examples
    --------
    >>> has_unit("12 %"), has_unit("$5"), has_unit("5 m")
    (True, True, False)
    """
    return isinstance(value, str) and _UNIT.fullmatch(value) is not None
