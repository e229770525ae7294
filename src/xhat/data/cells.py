"""The cells of one column, whatever the container: numbers, distinct values, what they are.

Knows: narwhals series, object arrays. Must not know: how a fitted table is held, models.

Distinct values are found by the container's own hash tables, or by Python's for plain objects;
what a value means is then asked once a value, not once a cell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from xhat.data.values import (
    PLAIN,
    Clock,
    Form,
    clock_of,
    form_of_values,
    has_comma,
    is_missing,
    is_number,
    is_single,
    number_of,
    plain_level,
)
from xhat.errors import CellError, CellTypeError, DataError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


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


def _floats_of_arrow(column: Any) -> Floats:
    """Return decimals as numbers, times of day as seconds since midnight; NaN where missing."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_decimal(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    ticks = column.cast(pa.time64("us"), safe=False).cast(pa.int64()).cast(pa.float64())
    return np.asarray(ticks.to_numpy(), dtype=np.float64) / 1e6


def _is_foreign(kind: Any) -> bool:
    """Whether an Arrow type, or that of a dictionary's values, has no single value in a cell."""
    import pyarrow as pa  # noqa: PLC0415

    types, inner = pa.types, getattr(kind, "value_type", kind)
    if types.is_nested(kind) or types.is_run_end_encoded(kind) or types.is_nested(inner):
        return True
    binary = types.is_binary(inner) or types.is_large_binary(inner)
    return bool(binary or types.is_fixed_size_binary(inner) or types.is_binary_view(inner))


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
            if "dictionary" in str(native.dtype):  # pandas cannot factorize unsigned indices
                return _distinct_arrow(native.array.__arrow_array__())
            codes, uniques = native.factorize()
            return np.asarray(codes, dtype=np.intp), uniques.tolist()
        if backend is not None and backend.is_polars() and self.dtype == nw.String:
            uniques = native.unique(maintain_order=True)
            places = native.replace_strict(uniques, range(len(uniques)))
            return places.to_numpy().astype(np.intp), uniques.to_list()
        return _distinct_values(self._cells())

    @property
    def is_clock(self) -> bool:
        """Whether the container's type is one of dates, times or durations."""
        return self.dtype in (nw.Date, nw.Datetime, nw.Duration, nw.Time)

    @property
    def clock(self) -> Clock:
        """Which kind of times the cells are; of Python's objects, what the first time is."""
        if self.dtype is None or self.dtype in (nw.Object, nw.Unknown):
            return next((found for v in self.values() if (found := clock_of(v))), "")
        if self.dtype == nw.Datetime:
            return "moment" if getattr(self.dtype, "time_zone", None) else "datetime"
        kinds: dict[Any, Clock] = {nw.Date: "date", nw.Time: "time", nw.Duration: "duration"}
        return next((clock for kind, clock in kinds.items() if self.dtype == kind), "")

    def natural_form(self) -> Form:
        """Return the form that the container's own type asks for."""
        dtype = self.dtype
        if dtype is None or dtype in (nw.Object, nw.Unknown):
            values = self.values()
            try:
                return form_of_values(values)
            except TypeError:
                bad = next(v for v in values if not is_single(v))
                raise self.foreign(f"{type(bad).__name__} ({bad!r:.40})", CellTypeError) from None
        if dtype == nw.Boolean:
            return "bool"
        if dtype.is_numeric():
            return "integer" if dtype.is_integer() else "number"
        if self.is_clock:
            return "time"
        return "level"

    def check_type(self) -> None:
        """Refuse a column whose cells are no single values: lists, maps, bytes.

        Raises
        ------
        DataError
            Naming the column and its type.
        """
        kind = self._foreign_type()
        if kind is not None:
            raise self.foreign(kind)

    def foreign(self, kind: Any, error: type[DataError] = DataError) -> DataError:
        """Return the error that says what a cell may be."""
        return error(  # that an "argument must be a string or number" is scikit-learn's rule
            f"column {self.name!r} is of type {kind}: a cell as argument must be a string, a "
            f"number, true or false, a date or a time; leave the column out (--drop {self.name}; "
            f"heads={{{self.name!r}: 'ignore'}}) or convert it"
        )

    def _foreign_type(self) -> Any:
        """Return the type of a column whose cells are no single values, else None."""
        if self.dtype is None and np.asarray(self.series).dtype != object:
            return None
        if self.dtype is None or self.dtype == nw.Object:
            return "bytes" if any(isinstance(v, bytes) for v in self._cells()) else None
        kind = getattr(self.series.to_native(), "type", None)
        if kind is not None and _is_foreign(kind):
            return kind
        return self.dtype if self.dtype in (nw.List, nw.Array, nw.Struct, nw.Binary) else None

    def numbers(self, form: Form = "number") -> Floats | None:
        """Return numbers (NaN where missing), or None if a cell is none; texts are read by form."""
        typed = self._typed_numbers()
        if typed is not None:
            wrong = form == "time" and self.series.dtype.is_numeric() and not np.isnan(typed).all()
            return None if wrong else typed
        values = self.values()
        try:
            plain: set[type] = {type(None)} if form == "time" else {float, int, bool, type(None)}
            if set(map(type, values)) <= plain:
                return np.array(values, dtype=np.float64)  # None becomes NaN
            numbers = [np.nan if v is None else number_of(v, form) for v in values]
            return np.array(numbers, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return None

    def _typed_numbers(self) -> Floats | None:
        """Return the numbers of a column whose type says that all cells have one, else None."""
        dtype = self.dtype
        if dtype is None:
            return None
        if dtype in (nw.Date, nw.Datetime):
            moments = self.series.cast(nw.Datetime("us")) if dtype == nw.Date else self.series
            return _floats(moments.dt.timestamp("us")) / 1e6
        if dtype == nw.Duration:
            return _floats(self.series.dt.total_microseconds()) / 1e6
        if dtype in (nw.Time, nw.Decimal):
            is_arrow = self.series.implementation.is_pyarrow()
            return _floats_of_arrow(self.series.to_native()) if is_arrow else None
        return _floats(self.series) if dtype.is_numeric() else None

    def refusal(self, form: Form) -> CellError:
        """Return the error that names the first cell that is not of this form."""
        values = self.values()
        other = (dt.date, dt.time, dt.timedelta) if form != "time" else ()
        bad = [
            i
            for i, v in enumerate(values)
            if v is not None and (isinstance(v, other) or not is_number(v, form))
        ]
        others = f" ({len(bad)} such cells)" if len(bad) > 1 else ""
        expected = {"time": "date or time", "bool": "true or false"}.get(form, "number")
        problem = f"{values[bad[0]]!r:.60} is no {expected}{others}"
        advice = "correct these cells, or have them read as missing (--missing)"
        commas = sum(has_comma(values[i]) for i in bad)
        if form in ("integer", "number") and 2 * commas > len(bad):
            advice = (
                "read the file with --decimal , (pandas: decimal=','), or write thousands without "
                "commas"
            )
        return CellError(self.name, self.first + bad[0], problem, advice)

    def other_clock(self, clock: Clock) -> CellError:
        """Return the error that names the first time of a column that holds another kind."""
        row, value = next((i, v) for i, v in enumerate(self.values()) if v is not None)
        held, wanted = (kind.replace("moment", "datetime") for kind in (self.clock, clock))
        problem = f"{value!s:.60} is a {held}, where fit had a {wanted}"
        return CellError(self.name, self.first + row, problem, f"give this column as a {wanted}")

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
    signed = column.indices.cast("int64")  # polars has unsigned ones
    places = signed.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
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
    shown = ", ".join(f"{value!r} in row {row}" for row, value in bad[:3]) + ", ..." * (count > 3)
    if count == total:
        return (
            f"column {name!r} holds no numbers, but {shown}: set the column's head to "
            "'categorical', or leave it out"
        )
    return (
        f"column {name!r} holds numbers except in {count} of {total} cells: {shown}; correct these "
        "cells, have them read as missing (--missing), or set the column's head to 'categorical'"
    )
