"""The long table of reasons: one line for each row and part of its score.

Knows: containers, narwhals. Must not know: models, where the numbers come from.
"""

from __future__ import annotations

from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np

from xhat.data.batches import dense
from xhat.data.cells import Cells
from xhat.data.containers import Storage, is_frame
from xhat.maths.types import Matrix


def reasons_table(
    like: Any, expected: Any, nats: Matrix, storage: Storage, parts: list[str]
) -> Any:
    """Return one line per part: row, column, observed, expected, nats; rows of ``like`` in order.

    Parameters
    ----------
    like, expected : frame or array of shape (n, d)
        The cells, and what they were scored against.
    nats : ndarray of shape (n, parts)
        What each cell adds to the score, then what belongs to no column.
    storage : Storage
        Which columns are left out.
    parts : list of str
        Names of the columns, and of the further parts, whose cells are missing.
    """
    n, d = nats.shape
    names, more = parts, d - len(storage.stores)
    plain = all(store.plain for store in storage.stores)
    numbers = np.repeat(np.arange(n), d)
    if not is_frame(like):
        cells = np.dtype(np.float64 if plain else object)
        text = f"U{max(len(name) for name in names)}"
        table = np.empty(
            n * d,
            dtype=[
                ("row", np.int64),
                ("column", text),
                ("observed", cells),
                ("expected", cells),
                ("nats", np.float64),
            ],
        )
        table["row"], table["column"], table["nats"] = numbers, np.tile(names, n), nats.ravel()
        table["observed"] = _beside_nothing(dense(like), more).ravel()
        table["expected"] = _beside_nothing(
            _without_left_out(dense(expected), storage), more
        ).ravel()
        return table
    frame = nw.from_native(cast("Any", like), eager_only=True)
    rebuilt = nw.from_native(cast("Any", expected), eager_only=True)
    observed, guessed = _matrix_of(frame, plain=plain), _matrix_of(rebuilt, plain=plain)
    pandas = frame.implementation.is_pandas()
    columns: dict[str, Any] = {
        "row": np.repeat(like.index.to_numpy(), d) if pandas else numbers,
        "column": names * n,
    }
    for name, values in (
        ("observed", observed),
        ("expected", _without_left_out(guessed, storage)),
    ):
        flat = list(_beside_nothing(values, more).ravel())
        if plain:
            columns[name] = np.array(flat, dtype=np.float64)
        else:
            columns[name] = flat if pandas else [None if v is None else str(v) for v in flat]
    columns["nats"] = nats.ravel()
    return nw.from_dict(columns, backend=frame.implementation).to_native()


def _matrix_of(frame: Any, *, plain: bool) -> Any:
    """Return the cells of a frame as numbers, NaN where missing, or as they are."""
    if plain:
        found = [Cells(series.name, series).numbers() for series in frame.iter_columns()]
        return np.column_stack([cells for cells in found if cells is not None])
    return np.array([column.to_list() for column in frame.iter_columns()], dtype=object).T


def _beside_nothing(cells: Any, more: int) -> Any:
    """Return the cells beside so many columns of missing ones."""
    if not more:
        return cells
    empty = None if cells.dtype == object else np.nan
    dtype = cells.dtype if cells.dtype.kind in "fO" else np.float64
    return np.hstack([cells, np.full((len(cells), more), empty, dtype)])


def _without_left_out(cells: Any, storage: Storage) -> Any:
    """Return the cells with None in the columns that are left out: nothing is expected of them."""
    if len(storage.used) == len(storage.stores):
        return cells
    cells = cells.astype(object)
    cells[:, [j for j in range(cells.shape[1]) if j not in storage.used]] = None
    return cells
