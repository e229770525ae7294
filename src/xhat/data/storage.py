"""How each column of a table is held by its container, as numbers and back.

Knows: narwhals series, object arrays. Must not know: kinds of heads beyond their names, models.

Every column becomes one float64 number a cell: numbers as they are, booleans 0 and 1, levels their
position in the list of levels seen at fit time, dates and times seconds since 1970, missing cells
NaN. Columns that cannot be used (identifiers, free text, nothing at all) are left out, said so
once, and come back untouched.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from xhat.errors import CellError, DataError

Form = Literal["number", "integer", "bool", "level", "time", "left out"]
Floats = npt.NDArray[np.float64]

#: A text column with at least this share of numbers is taken for a damaged column of numbers.
NUMERIC_SHARE = 0.99
#: More than UNIQUE_LEVELS levels that are also more than half of the cells: identifiers, free text.
UNIQUE_LEVELS, UNIQUE_SHARE = 50, 0.5


@dataclass(frozen=True)
class Store:
    """One column of the table: how its cells become numbers.

    Attributes
    ----------
    name : str
        Column name.
    form : str
        "number", "integer" (a number whose type allows no fractions), "bool", "level", "time" or
        "left out".
    levels : tuple
        Levels in sorted order; a cell's number is its position. A level never seen at fit time
        becomes ``len(levels)``.
    reason : str
        Why the column is left out.
    """

    name: str
    form: Form
    levels: tuple[Any, ...] = ()
    reason: str = ""

    @property
    def plain(self) -> bool:
        """Whether the cells are numbers already."""
        return self.form in ("number", "integer")

    def numbers(self, column: Cells) -> Floats:
        """Return the cells as numbers, NaN where missing.

        Raises
        ------
        CellError
            Naming the first cell that does not have this column's form.
        """
        if self.form == "level":
            known = {level: float(i) for i, level in enumerate(self.levels)}
            codes, levels = column.encoded()
            numbers = [known.get(level, float(len(known))) for level in levels]
            return np.array([*numbers, np.nan])[codes]
        if self.form == "left out":
            return np.full(len(column), np.nan)
        found = column.numbers(self.form)
        if found is None:
            raise column.refusal(self.form)
        return found


class Cells:
    """The cells of one column, whatever the container: a narwhals series or an object array."""

    def __init__(self, name: str, series: Any, first: int = 0) -> None:
        self.name, self.series, self.first = name, series, first
        self.dtype = series.dtype if isinstance(series, nw.Series) else None

    def __len__(self) -> int:
        return len(self.series)

    def values(self) -> list[Any]:
        """Return Python values, None where missing."""
        if self.dtype is None:
            return [None if _is_missing(v) else v for v in self.series]
        return [None if _is_missing(v) else v for v in self.series.to_list()]

    def encoded(self) -> tuple[npt.NDArray[np.intp], list[Any]]:
        """Return every cell's place in a list of levels, -1 where missing; and that list.

        Levels are plain values that can be compared, stored and printed: text, numbers, booleans.
        """
        if self.dtype is not None and self.series.implementation.is_pyarrow():
            native = self.series.to_native()
            if hasattr(native, "combine_chunks"):
                native = native.combine_chunks()
            if "dictionary" not in str(native.type):
                native = native.dictionary_encode()
            places = native.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            cells = native.dictionary.to_pylist()
        else:
            cells, places = self.values(), None
        number: dict[Any, int] = {}
        found = [
            -1 if _is_missing(v) else number.setdefault(_plain_level(v), len(number)) for v in cells
        ]
        codes = np.array(found, dtype=np.intp)
        return codes if places is None else np.append(codes, -1)[places], list(number)

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
            return np.asarray(self.series.cast(nw.Float64).to_numpy(), dtype=np.float64)
        if dtype is not None and dtype in (nw.Date, nw.Datetime):
            moments = self.series.cast(nw.Datetime("us")) if dtype == nw.Date else self.series
            stamps = moments.dt.timestamp("us").cast(nw.Float64)
            return np.asarray(stamps.to_numpy(), dtype=np.float64) / 1e6
        if dtype is not None and dtype == nw.Duration:
            parts = self.series.dt.total_microseconds().cast(nw.Float64)
            return np.asarray(parts.to_numpy(), dtype=np.float64) / 1e6
        values = self.values()
        try:
            numbers = [np.nan if v is None else _number(v, form) for v in values]
            return np.array(numbers, dtype=np.float64)
        except (TypeError, ValueError):
            return None

    def refusal(self, form: Form) -> CellError:
        """Return the error that names the first cell that is not of this form."""
        values = self.values()
        bad = [i for i, v in enumerate(values) if v is not None and not _is_number(v, form)]
        others = f" ({len(bad)} such cells)" if len(bad) > 1 else ""
        expected = {"time": "date or time", "bool": "true or false"}.get(form, "number")
        problem = f"{values[bad[0]]!r:.60} is no {expected}{others}"
        advice = "correct these cells, or have them read as missing (--missing)"
        return CellError(self.name, self.first + bad[0], problem, advice)

    def not_numeric(self) -> str:
        """Say which cells keep this column from being numbers."""
        values = self.values()
        numbered = enumerate(values, self.first)
        bad = [(row, v) for row, v in numbered if v is not None and not _is_number(v)]
        return _damaged(self.name, bad, len(bad), len(values))


def learn_store(cells: Cells, wish: str | None) -> Store:
    """Settle how a column is held, from all its cells.

    Parameters
    ----------
    cells : Cells
        The column at fit time.
    wish : {"categorical", "ignore", "number", None}
        What the user's head asks for; None: find out.

    Raises
    ------
    DataError
        If a text column is a damaged column of numbers.
    """
    if wish == "ignore":
        return Store(cells.name, "left out", reason="as asked")
    values = cells.values()
    filled = [v for v in values if v is not None]
    if not filled:
        return Store(cells.name, "left out", reason="it holds no value")
    form: Form = (
        cells.natural_form() if wish is None else ("level" if wish == "categorical" else "number")
    )
    if form in ("number", "integer") and cells.numbers() is None:
        raise DataError(cells.not_numeric())
    if form != "level":
        return Store(cells.name, form)
    levels = sorted({_plain_level(v) for v in filled}, key=lambda v: (str(type(v)), v))
    if wish is None:
        if _is_damaged(filled):
            raise DataError(cells.not_numeric())
        if len(levels) > UNIQUE_LEVELS and len(levels) > UNIQUE_SHARE * len(filled):
            return Store(
                cells.name,
                "left out",
                reason=_identifier(len(levels), len(filled)),
            )
    return Store(cells.name, "level", tuple(levels))


def settle_levels(
    name: str, counts: dict[Any, int], first_row: dict[Any, int], wish: str | None
) -> Store:
    """Settle a column of levels from how often, and in which row first, each of them occurs."""
    levels = sorted(counts, key=lambda v: (str(type(v)), v))
    if wish is not None:
        return Store(name, "level", tuple(levels))
    total = sum(counts.values())
    bad = sorted((first_row[v], v) for v in levels if not _is_number(v))
    good = total - sum(counts[v] for _, v in bad)
    if NUMERIC_SHARE * total <= good < total:
        raise DataError(_damaged(name, bad, total - good, total))
    if len(levels) > UNIQUE_LEVELS and len(levels) > UNIQUE_SHARE * total:
        return Store(name, "left out", reason=_identifier(len(levels), total))
    return Store(name, "level", tuple(levels))


def _identifier(levels: int, cells: int) -> str:
    return f"{levels} different texts in {cells} cells, so it is an identifier or free text"


def _damaged(name: str, bad: Sequence[tuple[int, Any]], count: int, total: int) -> str:
    shown = ", ".join(f"{value!r} in row {row}" for row, value in bad[:3])
    return (
        f"column {name!r} holds numbers except in {count} of {total} cells: "
        f"{shown}{', ...' * (count > 3)}; correct these cells, have them read as missing "
        "(--missing), or set the column's head to 'categorical'"
    )


def _is_damaged(filled: Sequence[Any]) -> bool:
    """Whether nearly all texts are numbers but some are not."""
    good = sum(_is_number(v) for v in filled)
    return NUMERIC_SHARE * len(filled) <= good < len(filled)


def _form_of_values(values: Sequence[Any]) -> Form:
    """Return the form of Python objects: what all of them are."""
    filled = [v for v in values if v is not None]
    if all(isinstance(v, (bool, np.bool_)) for v in filled):
        return "bool"
    if all(isinstance(v, (int, np.integer)) for v in filled):
        return "integer"
    if all(isinstance(v, (int, float, np.number, decimal.Decimal)) for v in filled):
        return "number"
    if all(isinstance(v, (dt.date, dt.timedelta)) for v in filled):
        return "time"
    for v in filled:
        if not isinstance(v, (str, bytes, int, float, np.generic, decimal.Decimal, dt.date)):
            float(v)  # raises the TypeError that says what a cell may be
    return "level"


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT, pandas' NA and masked values are missing cells."""
    if value is None or value is np.ma.masked:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124  NaN and NaT differ from themselves
    except (TypeError, ValueError):
        return True  # pandas' NA refuses to be compared


def _is_number(value: Any, form: Form = "number") -> bool:
    try:
        _number(value, form)
    except (TypeError, ValueError):
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


def _plain_level(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (str, int, float, bool)) else str(value)
