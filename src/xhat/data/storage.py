"""How each column of a table is held by its container, as numbers and back.

Knows: the cells of a column. Must not know: kinds of heads beyond their names, models.

Every column becomes one float64 number a cell: numbers as they are, booleans 0 and 1, levels their
position in the list of levels seen at fit time, dates and times seconds since 1970, missing cells
NaN. Columns that cannot be used (identifiers, free text, nothing at all) are left out, said so
once, and come back untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xhat.data.cells import Cells, Floats, damaged
from xhat.data.values import Clock, Form, clock_of, has_comma, has_unit, is_code, is_number
from xhat.errors import DataError, warn

#: A text column with at least this share of numbers is taken for a damaged column of numbers.
NUMERIC_SHARE = 0.99
#: More than UNIQUE_LEVELS levels that are also more than half of the cells: identifiers, free text.
UNIQUE_LEVELS, UNIQUE_SHARE = 50, 0.5
#: A text column with this share of numbers, and so many different ones, is said to be no numbers.
#: Fewer are the names of levels (1 to 9, and x); a score from 1 to 10 with some "?" is not.
MIXED_SHARE, MIXED_NUMBERS = 0.5, 10


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
    clock : str
        Which kind of times it holds ("": none, or written by a version that did not know).
    """

    name: str
    form: Form
    levels: tuple[Any, ...] = ()
    reason: str = ""
    clock: Clock = ""

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
        if self.form == "left out":
            return np.full(len(column), np.nan)
        column.check_type()
        if self.form == "level":
            known = {level: float(i) for i, level in enumerate(self.levels)}
            found = column.encoded()
            numbers = [_place(level, known) for level in found.levels]
            return np.array([*numbers, np.nan])[found.codes]
        cells = column.numbers(self.form)
        if cells is None or (self.form != "time" and column.is_clock and not np.isnan(cells).all()):
            raise column.refusal(self.form)
        clock = column.clock if self.clock and not np.isnan(cells).all() else ""
        if clock and _SINCE[clock] != _SINCE[self.clock]:
            raise column.other_clock(self.clock)
        return cells


#: Dates and datetimes count from 1970: one may stand for the other.
_SINCE: dict[str, str] = {
    "date": "1970",
    "datetime": "1970",
    "moment": "1970",
    "time": "midnight",
    "duration": "",
}


def _place(level: Any, known: dict[Any, float]) -> float:
    """Return a level's number; 7 or true is the text "7" or "true" if only that is known.

    A CSV column of texts holds numbers only in some files.
    """
    if level in known or isinstance(level, str):
        return known.get(level, float(len(known)))
    text = str(level).lower() if isinstance(level, bool) else str(level)
    return known.get(text, float(len(known)))


def numbers_of(cells: Cells) -> Floats:
    """Return the cells as numbers, NaN where missing.

    Raises
    ------
    DataError
        Naming the cells that are none.
    """
    numbers = cells.numbers()
    if numbers is None:
        raise DataError(cells.not_numeric())
    return numbers


def wanted_form(cells: Cells, wish: str | None) -> Form:
    """Return the form of a column with cells: what the user's head asks for, or its own."""
    cells.check_type()
    if wish == "categorical":
        return "level"
    if wish is None:
        return cells.natural_form()
    try:
        return "time" if cells.natural_form() == "time" else "number"
    except TypeError:  # no cell of a table; numbers_of names it
        return "number"


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
    form = wanted_form(cells, wish)
    if form != "level":
        empty = bool(np.isnan(numbers_of(cells)).all())
        if empty:
            return nothing(cells.name)
        return Store(cells.name, form, clock=cells.clock if form == "time" else "")
    codes, levels, originals = cells.encoded()
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    total = int(counts.sum())
    if not total:
        return nothing(cells.name)
    mixture = None
    if wish is None:
        shares = Shares(dict(zip(originals, counts.tolist(), strict=True)))
        if shares.is_damaged:
            raise DataError(cells.not_numeric())
        shares.check_signs(cells.name)
        mixture = shares.mixture()
    return _of_levels(cells.name, levels, total, wish, mixture)


def settle_levels(
    name: str, counts: dict[Any, int], first_row: dict[Any, int], wish: str | None
) -> Store:
    """Settle a column of levels from how often, and in which row first, each of them occurs."""
    total, mixture = sum(counts.values()), None
    if wish is None:
        shares = Shares(counts)
        if shares.is_damaged:
            bad = sorted((first_row[v], v) for v in counts if not is_number(v))
            raise DataError(damaged(name, bad, sum(counts[v] for _, v in bad), total))
        shares.check_signs(name)
        mixture = shares.mixture()
    return _of_levels(name, list(counts), total, wish, mixture)


class Mixture(NamedTuple):
    """How many cells are numbers, which texts the others hold how often, and the commonest."""

    numbers: int
    others: str
    commonest: str


@dataclass(frozen=True)
class Shares:
    """How many cells of a column of levels, by value, are numbers or nearly so."""

    counts: dict[Any, int]

    def _count(self, *kinds: Callable[[Any], bool]) -> int:
        return sum(n for value, n in self.counts.items() if any(kind(value) for kind in kinds))

    def _most(self, count: int) -> bool:
        return count >= NUMERIC_SHARE * sum(self.counts.values())

    @property
    def is_damaged(self) -> bool:
        """Whether nearly all texts are numbers but some are not; codes such as 01003 are none."""
        good = self._count(is_number)
        damage = self._most(good) and good < sum(self.counts.values())
        return damage and not self._count(is_code)

    @property
    def _is_signed(self) -> bool:
        """Whether nearly all texts are numbers, some of them with a sign."""
        return bool(self._count(has_unit)) and self._most(self._count(has_unit, is_number))

    def check_signs(self, name: str) -> None:
        """Refuse numbers with a decimal comma; warn of numbers with a sign, which are levels.

        Raises
        ------
        DataError
            Naming the column and a cell.
        """
        if self._count(has_comma) and self._most(self._count(has_comma, is_number)):
            raise DataError(
                f"column {name!r} holds numbers with a comma ({self._first(has_comma)!r}): read "
                "the file with --decimal , (pandas: decimal=','), write thousands without commas, "
                "or set the column's head to 'categorical'"
            )
        if self._is_signed:
            warn(
                f"column {name!r} holds numbers with a sign ({self._first(has_unit)!r}), so they "
                "are texts to xhat, not numbers: write them without it",
            )

    def mixture(self) -> Mixture | None:
        """Return what stands among the numbers of a column that is mostly numbers, else None."""
        numbers = {v for v in self.counts if is_number(v) and not clock_of(v)}
        others = [v for v in self.counts if v not in numbers]
        count, total = sum(self.counts[v] for v in numbers), sum(self.counts.values())
        few = len(numbers) < MIXED_NUMBERS or count < MIXED_SHARE * total
        if few or not others or self._count(is_code) or self._is_signed:
            return None
        others.sort(key=lambda v: -self.counts[v])
        shown = ", ".join(f"{v!r:.40} in {self.counts[v]}" for v in others[:3])
        return Mixture(count, shown + ", ..." * (len(others) > 3), f"{others[0]!r:.40}")

    def _first(self, kind: Callable[[Any], bool]) -> Any:
        return next(value for value in self.counts if kind(value))


def nothing(name: str) -> Store:
    """Return the store of a column without a value."""
    return Store(name, "left out", reason="it holds no value")


def _of_levels(
    name: str, levels: list[Any], total: int, wish: str | None, mixture: Mixture | None
) -> Store:
    """Return the store of a column with these levels in ``total`` cells.

    Numbers written as text are said to be such, and those among other texts: they are levels, or
    left out as an identifier is.
    """
    texts = [level for level in levels if isinstance(level, str)] if wish is None else []
    written = bool(texts) and all(is_number(text) and not is_code(text) for text in texts)
    if wish is None and len(levels) > UNIQUE_LEVELS and len(levels) > UNIQUE_SHARE * total:
        reason = (
            f"its {len(levels)} different texts are numbers, which heads={{{name!r}: 'real'}} reads"
            if written
            else f"{len(levels)} different texts in {total} cells, so it is an identifier or free "
            "text"
        )
        if mixture:
            reason += (
                f", though {mixture.numbers} cells are numbers ({mixture.others}; --missing "
                f"{mixture.commonest} reads such texts as missing)"
            )
        return Store(name, "left out", reason=reason)
    if written and not all(float(text).is_integer() for text in texts):
        warn(
            f"column {name!r} holds numbers written as text ({texts[0]!r}), so they are levels to "
            f"xhat: convert them, or give heads={{{name!r}: 'real'}}",
        )
    if mixture:
        warn(
            f"column {name!r} holds numbers in {mixture.numbers} of {total} cells, but not in the "
            f"others ({mixture.others}), so its {len(levels)} texts are levels to xhat: have the "
            f"others read as missing (--missing {mixture.commonest}; pandas: na_values=), or give "
            f"heads={{{name!r}: 'categorical'}}",
        )
    return Store(name, "level", tuple(sorted(levels, key=lambda v: (str(type(v)), v))))
