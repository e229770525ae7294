"""Containers users hold (arrays, CSR, pandas, polars, pyarrow) to raw matrices and back.

Knows: narwhals, storage. Must not know: models. Nothing is dropped or filled in silence.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
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
#: Seconds from 1970 to the first and the last moment that Python has, and its longest duration.
FIRST_MOMENT, LAST_MOMENT = -62_135_596_800.0, 253_402_300_799.0
MOST_SECONDS = 86_399_999_999_999.0


def is_frame(X: object) -> bool:
    """Return whether X is a data frame that narwhals can read eagerly."""
    if isinstance(X, np.ndarray) or scipy.sparse.issparse(X):
        return False
    try:
        return isinstance(nw.from_native(X, pass_through=True), nw.DataFrame)
    except DuplicateError:
        return True  # refused by column_names


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


def without_mask(X: Any) -> Any:
    """Return a masked array as a plain one whose masked cells are missing, others as they are."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    dtype = {"f": X.dtype, "i": np.float64, "u": np.float64, "b": np.float64}
    cells: Any = np.array(X, dtype=dtype.get(X.dtype.kind, object))
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
        frame = nw.from_native(X, eager_only=True)
        return [Cells(str(series.name), series) for series in frame.iter_columns()]
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
    """Return a matrix of numbers in the container of ``like`` (with pandas' index)."""
    if not is_frame(like):
        return values
    frame = nw.from_native(cast("Any", like), eager_only=True)
    new = nw.from_numpy(values, schema=names, backend=frame.implementation).to_native()
    if frame.implementation.is_pandas():
        new.index = like.index
    return new


def table_of(like: Any, values: Matrix, storage: Storage) -> Any:
    """Return numbers as a whole table of cells, in the kind of container that ``like`` is.

    Left-out columns are missing. Arrays come back as arrays: of numbers if all columns are.
    """
    plain = all(store.plain for store in storage.stores)
    if not is_frame(like):
        if plain:
            return values
        table = np.full((len(values), len(storage.stores)), None, dtype=object)
        return _typed_array(table, values, storage, None)
    columns: dict[str, Any] = {store.name: [None] * len(values) for store in storage.stores}
    for position, j in enumerate(storage.used):
        store = storage.stores[j]
        cells = values[:, position]
        columns[store.name] = cells if store.plain else _cells_for(store, cells, None, None)
    frame = nw.from_native(cast("Any", like), eager_only=True)
    new = nw.from_dict(columns, backend=frame.implementation).to_native()
    if frame.implementation.is_pandas():
        new.index = like.index
    return new


def typed_table(like: Any, values: Matrix, storage: Storage, keep: Mask | None = None) -> Any:
    """Return numbers as the cells they stand for, in the container of ``like``.

    Parameters
    ----------
    like : frame or array
        The user's table (for its container, types and left-out columns).
    values : ndarray of shape (n, used columns)
        Numbers, as ``Storage.matrix`` makes them.
    storage : Storage
        How the columns are held.
    keep : bool ndarray of shape (n, used columns), or None
        Cells to take from ``like`` as they are, to the bit.
    """
    if not is_frame(like):
        return _typed_array(like, values, storage, keep)
    frame = nw.from_native(cast("Any", like), eager_only=True)
    columns = list(frame.iter_columns())
    for position, j in enumerate(storage.used):
        kept = None if keep is None else keep[:, position]
        if kept is not None and kept.all():
            continue
        columns[j] = _typed_series(columns[j], values[:, position], storage.stores[j], kept)
    if frame.implementation.is_pandas():
        native = [column.to_native() for column in columns]
        result = like.copy()
        for j, column in enumerate(native):
            column.index = like.index
            result.isetitem(j, column)
        return result
    return frame.select(*columns).to_native()


def _typed_series(old: Any, values: Matrix, store: Store, keep: Mask | None) -> Any:
    """Return a series of the old one's type with new values where ``keep`` is False."""
    dtype, backend = old.dtype, old.implementation
    if keep is None and dtype.is_numeric() and dtype != nw.Decimal:
        return nw.new_series(old.name, np.asarray(values, np.float64), nw.Float64, backend=backend)
    cells = _cells_for(store, values, dtype, keep)
    if backend.is_pandas():
        return nw.from_native(_pandas_series(old.to_native(), cells, keep), series_only=True)
    if backend.is_pyarrow():
        new = _arrow_column(old.to_native(), cells, keep)
        return nw.from_native(new, series_only=True).alias(old.name)
    try:
        new = nw.new_series(old.name, cells, dtype, backend=backend)
    except Exception:  # noqa: BLE001  a container without this constructor: cast instead
        new = nw.new_series(old.name, cells, backend=backend).cast(dtype)
    if keep is None:
        return new
    mask = nw.new_series("keep", keep.tolist(), nw.Boolean, backend=backend)
    return old.zip_with(mask, new)


def _pandas_series(old: Any, cells: list[Any], keep: Mask | None) -> Any:
    """Return a copy with new cells where ``keep`` is False: nullable types and all bits stay."""
    series = type(old)
    if keep is None:
        return series(cells, index=old.index, dtype=old.dtype, name=old.name)
    new = old.copy()
    gaps = np.flatnonzero(~keep)
    new.iloc[gaps] = series([cells[i] for i in gaps], dtype=old.dtype).array
    return new


def _arrow_column(old: Any, cells: list[Any], keep: Mask | None) -> Any:
    """Return an Arrow column of the old one's type: dictionaries, decimals and all units stay."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    inner = old.type.value_type if pa.types.is_dictionary(old.type) else old.type
    if pa.types.is_decimal(inner):
        exact = [None if v is None else round(decimal.Decimal(v), inner.scale) for v in cells]
        new = pa.array(exact, inner)
    elif pa.types.is_temporal(inner):
        micro = pa.array(cells)  # Python's unit; its own type may be coarser or finer
        new = micro.cast(inner, safe=False)
    else:
        new = pa.array(cells, inner)
    if keep is not None:
        new = pc.if_else(pa.array(keep), old.cast(inner), new)
    new = new.dictionary_encode().cast(old.type) if inner != old.type else new
    return new if isinstance(new, pa.ChunkedArray) else pa.chunked_array([new])


def _cells_for(store: Store, values: Matrix, dtype: Any, keep: Mask | None) -> list[Any]:
    """Return the Python values that numbers stand for in a column; None where ``keep`` is True."""
    if store.form == "level":
        last, empty = len(store.levels) - 1, np.isnan(values) | (False if keep is None else keep)
        place = np.minimum(np.where(empty, 0, values), last).astype(np.intp)
        levels = np.fromiter((*store.levels, None), dtype=object, count=last + 2)
        return list(levels[np.where(empty, last + 1, place)])
    numbers = values.tolist()
    if keep is None:
        return [_cell(store, value, dtype) for value in numbers]
    return [
        None if kept else _cell(store, value, dtype)
        for value, kept in zip(numbers, keep.tolist(), strict=True)
    ]


def _cell(store: Store, value: float, dtype: Any) -> Any:
    """Return the Python value a number stands for in a column that holds no levels."""
    if np.isnan(value):
        return None
    if store.form == "bool":
        return value >= 0.5
    if store.form == "time":
        return _time(value, dtype)
    if dtype is None or not dtype.is_integer():
        return value
    kind, bits = type(dtype).__name__.split("Int")  # "UInt8": "U" and 8 bits
    low = 0 if kind else -(2 ** (int(bits) - 1))
    return min(max(round(value), low), low + 2 ** int(bits) - 1)


def _time(seconds: float, dtype: Any) -> Any:
    if dtype == nw.Duration:
        return dt.timedelta(seconds=min(max(seconds, -MOST_SECONDS), MOST_SECONDS))
    bounded = min(max(seconds, FIRST_MOMENT), LAST_MOMENT)
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=bounded)  # noqa: DTZ001
    if dtype == nw.Date:
        return moment.date()
    zone = getattr(dtype, "time_zone", None)
    return moment.replace(tzinfo=dt.UTC) if zone else moment


def _typed_array(like: Any, values: Matrix, storage: Storage, keep: Mask | None) -> Any:
    if all(store.plain for store in storage.stores):
        return values if keep is None else np.where(keep, like, values)
    table = np.array(like, dtype=object, copy=True)
    for position, j in enumerate(storage.used):
        gaps = slice(None) if keep is None else ~keep[:, position]
        found = _cells_for(storage.stores[j], values[gaps, position], None, None)
        table[gaps, j] = np.fromiter(found, dtype=object, count=len(found))
    return table


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
    others = f" ({total} such cells in {columns} columns)" if total > 1 else ""
    advice = (
        "correct these rows, score the others (--bad-rows keep), "
        f"or fit without the column (--drop {names[j]})"
    )
    raise CellError(names[j], row, f"{value:g} is infinity (inf){others}", advice)


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
