"""Containers users hold (arrays, CSR, pandas, polars, pyarrow) to raw matrices and back.

Knows: narwhals, storage. Must not know: models. Nothing is dropped or filled in silence.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import scipy.sparse
from narwhals.exceptions import DuplicateError

from xhat.data.batches import dense, tile_rows
from xhat.data.cells import Cells
from xhat.data.storage import Store, learn_store
from xhat.errors import CellError, DataError
from xhat.maths.types import Matrix

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
#: NumPy's kinds of times: durations and dates.
CLOCK_KINDS = "mM"


def is_frame(X: object) -> bool:
    """Return whether X is a data frame that narwhals can read eagerly."""
    if isinstance(X, np.ndarray) or scipy.sparse.issparse(X):
        return False
    try:
        return isinstance(nw.from_native(X, pass_through=True), nw.DataFrame)
    except DuplicateError:
        return True  # refused by column_names


def check_table(X: object) -> None:
    """Refuse what is nearly a table: one column, a dict, records, or a frame not computed yet.

    Raises
    ------
    DataError
        With the way to make it one.
    """
    records = getattr(getattr(X, "dtype", None), "names", None) is not None
    is_dict = isinstance(X, Mapping) and not scipy.sparse.issparse(X)  # DOK matrices are dicts
    if records or is_dict:
        what = "an array of records (a structured array)" if records else "a dict"
        raise DataError(f"X is {what}: give a table, as pd.DataFrame(X) is")
    found = nw.from_native(cast("Any", X), pass_through=True, allow_series=True)
    if isinstance(found, nw.Series):
        raise DataError("X is one column of a table (a series): give a table, as X.to_frame() is")
    if isinstance(found, nw.LazyFrame) and not hasattr(X, "__arrow_c_stream__"):
        raise DataError("X is a lazy frame, which holds no rows yet: give X.collect()")


def column_names(X: Any) -> list[str]:
    """Return the names of the columns of a frame or array, or refuse one that stands there twice.

    Raises
    ------
    DataError
        Naming the column.
    """
    if not is_frame(X):
        return [f"x{j}" for j in range(X.shape[1])]
    names = [str(name) for name in getattr(X, "column_names", X.columns)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"the column name {twice!r} stands {names.count(twice)} times in the table: rename "
            "these columns"
        )
    return names


def plain_array(X: Any) -> Any:
    """Return arrays with masks or of NumPy's times as plain ones, None or NaN where missing."""
    if isinstance(X, np.ndarray) and X.dtype.kind in CLOCK_KINDS:
        cells = np.ma.getdata(X).astype(f"{X.dtype.kind}8[us]").astype(object)  # None for NaT
        cells[np.ma.getmaskarray(X)] = None
        return cells
    if not isinstance(X, np.ma.MaskedArray):
        return X
    dtype = {"f": X.dtype, "i": np.float64, "u": np.float64, "b": np.float64}
    cells = np.array(X, dtype=dtype.get(X.dtype.kind, object))
    cells[np.ma.getmaskarray(X)] = None if cells.dtype == object else np.nan
    return cells


def is_lazy(X: object) -> bool:
    """Return whether rows should be encoded piece by piece: sparse, or mapped from a file."""
    if scipy.sparse.issparse(X):
        return True
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def _cells(X: Any) -> list[Cells]:
    if is_frame(X):
        series = nw.from_native(X, eager_only=True).iter_columns()
        return [Cells(name, cells) for name, cells in zip(column_names(X), series, strict=True)]
    return [Cells(f"x{j}", X[:, j]) for j in range(X.shape[1])]


@dataclass(frozen=True)
class Storage:
    """How the columns of a table are held, learnt at fit time.

    Attributes
    ----------
    stores : tuple of Store
        One per column of the table, in its order.
    """

    stores: tuple[Store, ...]
    used: list[int] = field(init=False)

    def __post_init__(self) -> None:
        used = [j for j, store in enumerate(self.stores) if store.form != "left out"]
        object.__setattr__(self, "used", used)

    @staticmethod
    def of_numbers(names: list[str], *, integer: bool = False) -> Storage:
        """Return the storage of a matrix of numbers."""
        return Storage(tuple(Store(name, "integer" if integer else "number") for name in names))

    @staticmethod
    def learn(X: Any, wish: Callable[[str], str | None]) -> Storage:
        """Settle the storage of a frame or object array; ``wish`` maps a name to the user's head.

        Raises
        ------
        DataError
            Naming a column whose cells do not go together, or if no column can be used.
        """
        return Storage.checked(tuple(learn_store(cells, wish(cells.name)) for cells in _cells(X)))

    @staticmethod
    def checked(stores: tuple[Store, ...]) -> Storage:
        """Return a storage in which at least one column is used."""
        storage = Storage(stores)
        if not storage.used:
            reasons = "; ".join(f"{s.name!r}: {s.reason}" for s in storage.stores[:3])
            raise DataError(f"no column can be used ({reasons or 'the table has no columns'})")
        return storage

    @property
    def names(self) -> list[str]:
        """Names of the columns that are used."""
        return [self.stores[j].name for j in self.used]

    @property
    def left_out(self) -> list[Store]:
        """Columns that are left out."""
        return [store for store in self.stores if store.form == "left out"]

    def matrix(self, X: Any) -> Matrix:
        """Return the numbers of the used columns; float32 if all of them are, else float64."""
        columns = _cells(X)
        arrays = [self.stores[j].numbers(columns[j]) for j in self.used]
        single = all(columns[j].dtype == nw.Float32 for j in self.used)
        return np.column_stack(arrays).astype(np.float32 if single else np.float64, copy=False)

    def widen(self, values: Matrix, fill: float = 0.0) -> Matrix:
        """Return values of the used columns beside ``fill`` for the left-out ones."""
        if len(self.used) == len(self.stores):
            return values
        more = values.shape[1] - len(self.used)  # parts of a score that belong to no column
        wide = np.full((len(values), len(self.stores) + more), fill, dtype=values.dtype)
        wide[:, [*self.used, *range(len(self.stores), len(self.stores) + more)]] = values
        return wide


def numbers_frame(like: Any, values: Matrix, names: list[str]) -> Any:
    """Return numbers, one column more than ``like`` has or as many, in its container.

    pandas' index stays, and names that are numbers or tuples.
    """
    if not is_frame(like):
        return values
    frame = nw.from_native(cast("Any", like), eager_only=True)
    columns = dict(zip(names, values.T, strict=True))  # from_numpy takes no empty name
    new = nw.from_dict(columns, backend=frame.implementation).to_native()
    if frame.implementation.is_pandas():
        new.index = like.index
        new.columns = [*like.columns, *names[like.shape[1] :]]
    return new


def check_finite(X: Any, names: list[str]) -> None:
    """Refuse infinity, naming the first such cell and how many there are; NaN is a missing cell.

    Raises
    ------
    CellError
        One line with row, column, counts and the way out.
    """
    bad = np.zeros(len(names), dtype=np.int64)
    first: tuple[int, int, float] | None = None
    if scipy.sparse.issparse(X) and not np.isinf(X.data).any():
        return
    size = tile_rows(len(names), X)
    for start in range(0, X.shape[0], size):
        rows = dense(X[start : start + size])
        infinite = np.isinf(rows)
        if not infinite.any():
            continue
        bad += infinite.sum(axis=0)
        if first is None:
            i, j = (int(v) for v in np.argwhere(infinite)[0])
            first = (start + i, j, float(rows[i, j]))
    if first is None:
        return
    row, j, value = first
    total, columns = int(bad.sum()), int((bad > 0).sum())
    others = f" ({total} such cells in {columns} column{'s' * (columns > 1)})" * (total > 1)
    advice = (
        f"correct {'these cells' if total > 1 else 'this cell'}, or fit without the column: "
        f"heads={{{names[j]!r}: 'ignore'}} (commands: --drop {shlex.quote(names[j])})"
    )
    raise CellError(names[j], row, f"{value:g} is infinity (inf){others}", advice)
