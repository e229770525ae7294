"""The cells of one column, whatever the container: numbers, distinct values, what they are.

Knows: narwhals series, object arrays. Must not know: how a fitted table is held, models.

Distinct values are found by the container's own hash tables, or by Python's for plain objects;
what a value means is then asked once a value, not once a cell.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from xhat.errors import CellError

Form = Literal["number", "integer", "bool", "level", "time", "left out"]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

#: Types whose values Python's hash tables tell apart as the levels of a column are told apart.
PLAIN = frozenset({str, np.str_, float, int, bool, type(None)})


class Encoded(NamedTuple):
    """A column as levels.

    Attributes
    ----------
    codes : ndarray of intp
        Every cell's place in ``levels``, -1 where missing.
    levels : list
        Plain values that can be compared, stored and printed: text, numbers, booleans.
    originals : list
        The value that each level was first seen as.
    """

    codes: Places
    levels: list[Any]
    originals: list[Any]


def _floats(series: Any) -> Floats:
    """Return a column of numbers, NaN where missing; whole numbers beyond 2**53 are rounded."""
    try:
        cells = series.cast(nw.Float64).to_numpy()
    except ValueError:  # Arrow refuses to round
        native = series.to_native()
        if series.implementation.is_pyarrow():
            cells = native.cast("float64", safe=False).to_numpy()
        else:
            cells = native.to_numpy(np.float64, na_value=np.nan)
    return np.asarray(cells, dtype=np.float64)


class Cells:
    """The cells of one column: a narwhals series or an array."""

    def __init__(self, name: str, series: Any, first: int = 0) -> None:
        self.name, self.series, self.first = name, series, first
        self.dtype = series.dtype if isinstance(series, nw.Series) else None

    def __len__(self) -> int:
        return len(self.series)

    def values(self) -> list[Any]:
        """Return Python values, None where missing."""
        cells = self._cells()
        types = set(map(type, cells))
        if not types <= PLAIN:
            return [None if is_missing(v) else v for v in cells]
        # Of plain values NaN alone differs from itself.
        return [None if v != v else v for v in cells] if float in types else cells  # noqa: PLR0124

    def _cells(self) -> list[Any]:
        if self.dtype is not None:
            return list(self.series.to_list())
        array = np.asarray(self.series)
        return list(array.tolist() if array.dtype.kind in "OfiubUS" else array)

    def encoded(self) -> Encoded:
        """Return every cell's level: values that print the same, such as 1 and 1.0, are one."""
        places, values = self._distinct()
        number: dict[Any, int] = {}
        originals: list[Any] = []
        position = np.full(len(values) + 1, -1, dtype=np.intp)
        for i, value in enumerate(values):
            if not is_missing(value):
                position[i] = number.setdefault(plain_level(value), len(number))
                if position[i] == len(originals):
                    originals.append(value)
        return Encoded(position[places], list(number), originals)

    def _distinct(self) -> tuple[Places, list[Any]]:
        """Return each cell's place in a list of values, -1 for none; equal values may stay apart.

        The values stand in the order of their first cells.
        """
        backend = None if self.dtype is None else self.series.implementation
        if backend is not None and backend.is_pyarrow():
            return _distinct_arrow(self.series.to_native())
        native: Any = None if backend is None else self.series.to_native()
        if backend is not None and backend.is_pandas() and native.dtype != object:
            codes, uniques = native.factorize()
            return np.asarray(codes, dtype=np.intp), uniques.tolist()
        if backend is not None and backend.is_polars() and self.dtype == nw.String:
            uniques = native.unique(maintain_order=True)
            places = native.replace_strict(uniques, range(len(uniques)))
            return places.to_numpy().astype(np.intp), uniques.to_list()
        return _distinct_values(self._cells())

    def natural_form(self) -> Form:
        """Return the form that the container's own type asks for."""
        dtype = self.dtype
        if dtype is None or dtype in (nw.Object, nw.Unknown):
            return _form_of_values(self.values())
        if dtype == nw.Boolean:
            return "bool"
        if dtype.is_numeric():
            return "integer" if dtype.is_integer() else "number"
        if dtype in (nw.Date, nw.Datetime, nw.Duration):
            return "time"
        return "level"

    def numbers(self, form: Form = "number") -> Floats | None:
        """Return numbers (NaN where missing), or None if a cell is none; texts are read by form."""
        dtype = self.dtype
        if dtype is not None and dtype.is_numeric() and dtype != nw.Decimal:
            cells = _floats(self.series)
            return None if form == "time" and not np.isnan(cells).all() else cells
        if dtype is not None and dtype in (nw.Date, nw.Datetime):
            moments = self.series.cast(nw.Datetime("us")) if dtype == nw.Date else self.series
            return _floats(moments.dt.timestamp("us")) / 1e6
        if dtype is not None and dtype == nw.Duration:
            return _floats(self.series.dt.total_microseconds()) / 1e6
        values = self.values()
        try:
            plain: set[type] = {type(None)} if form == "time" else {float, int, bool, type(None)}
            if set(map(type, values)) <= plain:
                return np.array(values, dtype=np.float64)  # None becomes NaN
            numbers = [np.nan if v is None else _number(v, form) for v in values]
            return np.array(numbers, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return None

    def refusal(self, form: Form) -> CellError:
        """Return the error that names the first cell that is not of this form."""
        values = self.values()
        bad = [i for i, v in enumerate(values) if v is not None and not is_number(v, form)]
        others = f" ({len(bad)} such cells)" if len(bad) > 1 else ""
        expected = {"time": "date or time", "bool": "true or false"}.get(form, "number")
        problem = f"{values[bad[0]]!r:.60} is no {expected}{others}"
        advice = "correct these cells, or have them read as missing (--missing)"
        return CellError(self.name, self.first + bad[0], problem, advice)

    def not_numeric(self) -> str:
        """Say which cells keep this column from being numbers."""
        values = self.values()
        numbered = enumerate(values, self.first)
        bad = [(row, v) for row, v in numbered if v is not None and not is_number(v)]
        return damaged(self.name, bad, len(bad), len(values))


def _distinct_arrow(column: Any) -> tuple[Places, list[Any]]:
    """Return places and values of an Arrow column; of a dictionary the values that occur."""
    if hasattr(column, "combine_chunks"):
        column = column.combine_chunks()
    if "dictionary" not in str(column.type):
        column = column.dictionary_encode()
    places = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    values = column.dictionary.to_pylist()
    used, first = np.unique(places[places >= 0], return_index=True)
    if len(used) == len(values):
        return places, values
    used = used[np.argsort(first)]
    new = np.full(len(values) + 1, -1, dtype=np.intp)
    new[used] = np.arange(len(used))
    return new[places], [values[i] for i in used]


def _distinct_values(cells: list[Any]) -> tuple[Places, list[Any]]:
    """Return places and values of Python objects; of other than plain ones every cell is one."""
    if not set(map(type, cells)) <= PLAIN:
        return np.arange(len(cells)), cells
    place = {value: i for i, value in enumerate(dict.fromkeys(cells))}
    return np.fromiter(map(place.__getitem__, cells), np.intp, len(cells)), list(place)


def damaged(name: str, bad: Sequence[tuple[int, Any]], count: int, total: int) -> str:
    """Say that a column of numbers holds some cells that are none."""
    shown = ", ".join(f"{value!r} in row {row}" for row, value in bad[:3])
    return (
        f"column {name!r} holds numbers except in {count} of {total} cells: "
        f"{shown}{', ...' * (count > 3)}; correct these cells, have them read as missing "
        "(--missing), or set the column's head to 'categorical'"
    )


def _form_of_values(values: Sequence[Any]) -> Form:
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
    if all_are(dt.date, dt.timedelta):
        return "time"
    if not all_are(str, bytes, int, float, np.generic, decimal.Decimal, dt.date):
        for v in values:
            if v is not None and not isinstance(
                v, (str, bytes, int, float, np.generic, decimal.Decimal, dt.date)
            ):
                float(v)  # raises the TypeError that says what a cell may be
    return "level"


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
        _number(value, form)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _number(value: Any, form: Form = "number") -> float:
    if isinstance(value, str):
        return _number_of_text(value.strip(), form)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=value.tzinfo or dt.UTC).timestamp()
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).total_seconds()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if form == "time":  # seconds, days, nanoseconds? since when?
        raise ValueError(f"{value!r} is no time")
    return float(value)


def _number_of_text(text: str, form: Form) -> float:
    """Return what a text stands for in a column of this form: one bad cell makes a CSV's texts."""
    if form == "time":
        return _number(dt.datetime.fromisoformat(text))
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
