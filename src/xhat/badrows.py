"""Rows that cannot be scored, apart from those that can: ``xhat score --bad-rows keep``.

Knows: slices of rows, CellError. Must not know: click, files, models.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.errors import CellError

Floats = npt.NDArray[np.float64]


def score_apart(score: Callable[[Any], Floats], rows: Any) -> tuple[Floats, dict[int, CellError]]:
    """Return the scores, NaN for rows that have none, and why these have none.

    A row's score does not depend on its neighbours, to the bit, so rows among which one is bad are
    halved until it stands alone.

    Examples
    --------
    >>> def score(rows):
    ...     if (rows < 0).any():
    ...         raise CellError("a", 0, "-1 is negative", "correct it")
    ...     return rows
    >>> scores, errors = score_apart(score, np.array([1.0, 2.0, -1.0]))
    >>> scores.tolist(), errors[2].problem
    ([1.0, 2.0, nan], '-1 is negative')
    """
    n = rows.shape[0]
    scores, errors = np.full(n, np.nan), {}
    waiting = [(0, n)]
    while waiting:
        start, stop = waiting.pop()
        try:
            with warnings.catch_warnings():
                if stop - start < n:  # what is said of some rows would have their own numbers
                    warnings.simplefilter("ignore")
                scores[start:stop] = score(_some(rows, start, stop))
        except CellError as error:
            if stop - start == 1:
                errors[start] = error.at(start)
                continue
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
    return scores, errors


@contextlib.contextmanager
def hinting(way_out: str) -> Iterator[None]:
    """Name one more way out of an error about a cell."""
    try:
        yield
    except CellError as error:
        advice = f"{error.advice}; {way_out}"
        raise CellError(error.column, error.row, error.problem, advice) from None


def _some(rows: Any, start: int, stop: int) -> Any:
    """Return some of the rows of an Arrow table, an array or a CSR matrix."""
    return rows.slice(start, stop - start) if hasattr(rows, "slice") else rows[start:stop]


def filled(values: npt.NDArray[Any], errors: dict[int, CellError]) -> Any:
    """Return values as a masked array, empty where there is an error: a type, and no number."""
    mask = np.zeros(len(values), bool)
    mask[list(errors)] = True
    return np.ma.masked_array(values, mask)


def reasons(n: int, errors: dict[int, CellError]) -> list[str]:
    """Return why each row has no score; empty for those that have one."""
    texts = [""] * n
    for row, error in errors.items():
        texts[row] = f"column {error.column!r}: {error.problem}"
    return texts


def missing_texts(table: Any, numeric: set[str]) -> Any:
    """Return an Arrow table in which texts that a CSV reader takes for missing are missing.

    One text in a column of numbers makes its whole column text: "NA" must stay what it was.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415

    spellings = pa.array(pa.csv.ConvertOptions().null_values, pa.string())
    columns = table.columns
    for j, field in enumerate(table.schema):
        if field.name in numeric and pa.types.is_string(field.type):
            missing = pc.is_in(columns[j], value_set=spellings)
            columns[j] = pc.if_else(missing, pa.scalar(None, pa.string()), columns[j])
    return pa.Table.from_arrays(columns, schema=table.schema)
