"""How each column of a table is held by its container, as numbers and back.

Knows: the cells of a column. Must not know: kinds of heads beyond their names, models.

Every column becomes one float64 number a cell: numbers as they are, booleans 0 and 1, levels their
position in the list of levels seen at fit time, dates and times seconds since 1970, missing cells
NaN. Columns that cannot be used (identifiers, free text, nothing at all) are left out, said so
once, and come back untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xhat.data.cells import Cells, Floats, Form, damaged, is_number
from xhat.errors import DataError

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
            found = column.encoded()
            numbers = [known.get(level, float(len(known))) for level in found.levels]
            return np.array([*numbers, np.nan])[found.codes]
        if self.form == "left out":
            return np.full(len(column), np.nan)
        cells = column.numbers(self.form)
        if cells is None:
            raise column.refusal(self.form)
        return cells


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
        return nothing(cells.name) if empty else Store(cells.name, form)
    codes, levels, originals = cells.encoded()
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    total = int(counts.sum())
    if not total:
        return nothing(cells.name)
    good = int(counts[[is_number(value) for value in originals]].sum())
    if wish is None and _is_damaged(good, total):
        raise DataError(cells.not_numeric())
    return _of_levels(cells.name, levels, total, wish)


def settle_levels(
    name: str, counts: dict[Any, int], first_row: dict[Any, int], wish: str | None
) -> Store:
    """Settle a column of levels from how often, and in which row first, each of them occurs."""
    total = sum(counts.values())
    bad = sorted((first_row[v], v) for v in counts if not is_number(v))
    good = total - sum(counts[v] for _, v in bad)
    if wish is None and _is_damaged(good, total):
        raise DataError(damaged(name, bad, total - good, total))
    return _of_levels(name, list(counts), total, wish)


def nothing(name: str) -> Store:
    """Return the store of a column without a value."""
    return Store(name, "left out", reason="it holds no value")


def _of_levels(name: str, levels: list[Any], total: int, wish: str | None) -> Store:
    """Return the store of a column with these levels in ``total`` cells."""
    if wish is None and len(levels) > UNIQUE_LEVELS and len(levels) > UNIQUE_SHARE * total:
        reason = (
            f"{len(levels)} different texts in {total} cells, so it is an identifier or free text"
        )
        return Store(name, "left out", reason=reason)
    return Store(name, "level", tuple(sorted(levels, key=lambda v: (str(type(v)), v))))


def _is_damaged(good: int, total: int) -> bool:
    """Whether nearly all texts are numbers but some are not."""
    return NUMERIC_SHARE * total <= good < total
