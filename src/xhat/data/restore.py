"""Numbers back to the cells they stand for, in the container and types of the user's table.

Knows: narwhals, pandas' and Arrow's types, storage. Must not know: models. Cells that are kept are
kept to the bit. A column whose own type cannot hold what is put beside them becomes text.
"""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from xhat.data.arrow import without_views
from xhat.data.containers import CLOCK_KINDS, Storage, is_frame, plain_array
from xhat.data.storage import Store
from xhat.data.values import clock_of, is_missing, plain_level
from xhat.maths.types import Matrix

Mask = npt.NDArray[np.bool_]
#: Seconds from 1970 to the first and the last moment that Python has, and its longest duration.
FIRST_MOMENT, LAST_MOMENT = -62_135_596_800.0, 253_402_300_799.0
MOST_SECONDS = 86_399_999_999_999.0
DAY = 86_400.0
#: Digits of seconds that units have; Python's moments have no more than six.
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 6}
#: The last microsecond of a day.
LAST_OF_DAY = 86_399.999999


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
    backend = old.implementation
    if _is_foreign(old, store):
        old = nw.new_series(old.name, [None] * len(old), backend=backend)
    dtype = _dtype_of(old)
    numeric = dtype.is_numeric() and dtype != nw.Decimal
    if keep is None and numeric and store.form != "level":
        return nw.new_series(old.name, np.asarray(values, np.float64), nw.Float64, backend=backend)
    cells = _cells_for(store, values, dtype, keep)
    if keep is not None and dtype == nw.Object and store.plain:
        others = np.fromiter(old.to_list(), object, len(old))[keep]
        cells = _like_others(cells, others)
    if backend.is_pandas():
        return nw.from_native(_pandas_series(old.to_native(), cells, keep), series_only=True)
    if backend.is_pyarrow():
        native = old.to_native()
        new = _arrow_column(native, cells, keep, held_type(native.type, dtype, store))
        return nw.from_native(new, series_only=True).alias(old.name)
    return _other_series(old, cells, keep)


def _is_foreign(old: Any, store: Store) -> bool:
    """Whether a column without a value has a type that would turn times into numbers or back."""
    clock = old.dtype in (nw.Date, nw.Datetime, nw.Duration, nw.Time)
    number = old.dtype.is_numeric() or old.dtype == nw.Boolean
    foreign = number if store.form == "time" else clock and store.form != "level"
    missing = old.is_null() | old.is_nan() if foreign and old.dtype.is_float() else old.is_null()
    return bool(foreign and missing.all())


def _dtype_of(old: Any) -> Any:
    """Return the type of a series; of Python's dates and times in a column of objects, theirs."""
    if old.dtype != nw.Object:
        return old.dtype
    clock = next((found for v in old.to_list() if (found := clock_of(v))), "")
    return _TIMES.get(clock, old.dtype)


#: Types of the times that a column without a type of its own holds.
_TIMES: dict[str, Any] = {
    "date": nw.Date(),
    "datetime": nw.Datetime(),
    "moment": nw.Datetime(time_zone="UTC"),
    "time": nw.Time(),
    "duration": nw.Duration(),
}


def _other_series(old: Any, cells: list[Any], keep: Mask | None) -> Any:
    """Return a series of a container that has no rules of its own here."""
    name, backend = old.name, old.implementation
    try:
        new = _series_of(old, cells)
    except Exception:  # noqa: BLE001  every container has its own error for a value it cannot hold
        if len(old) == old.null_count():
            return nw.new_series(name, cells, backend=backend)
        old = nw.new_series(name, _texts(old.to_list()), nw.String, backend=backend)
        new = nw.new_series(name, _texts(cells), nw.String, backend=backend)
    if keep is None:
        return new
    mask = nw.new_series("keep", keep.tolist(), nw.Boolean, backend=backend)
    return old.zip_with(mask, new)


def _series_of(old: Any, cells: list[Any]) -> Any:
    """Return cells as a series of the old one's type."""
    try:
        return nw.new_series(old.name, cells, old.dtype, backend=old.implementation)
    except Exception:  # noqa: BLE001  a container without this constructor: cast instead
        return nw.new_series(old.name, cells, backend=old.implementation).cast(old.dtype)


def _texts(cells: list[Any]) -> list[str | None]:
    """Return cells as texts, booleans as Arrow writes them."""
    return [None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in cells]


def _pandas_series(old: Any, cells: list[Any], keep: Mask | None) -> Any:
    """Return a copy with new cells where ``keep`` is False: nullable types and all bits stay."""
    if hasattr(old, "sparse"):  # whose cells cannot be set
        return _pandas_series(old.sparse.to_dense(), cells, keep).astype(old.dtype)
    series = type(old)
    gaps = np.arange(len(old)) if keep is None else np.flatnonzero(~keep)
    found = [cells[i] for i in gaps]
    if hasattr(old.dtype, "categories"):  # dates and intervals, say, whose levels are texts
        own = {plain_level(category): category for category in old.dtype.categories}
        found = [own.get(v, v) for v in found]
        new_levels = {v for v in found if v is not None} - set(old.dtype.categories)
        old = old.cat.add_categories(sorted(new_levels, key=str)) if new_levels else old
    try:
        values = series(found, dtype=old.dtype)
    except (TypeError, ValueError, NotImplementedError):
        if old.isna().all():
            return series(cells, index=old.index, name=old.name)
        old, values = old.astype(object), series(found, dtype=object)
    new = old.copy()
    new.iloc[gaps] = values.array
    return new


def held_type(found: Any, dtype: Any, store: Store) -> Any:
    """Return the Arrow type that holds both the cells of a column and those a model puts there.

    Parameters
    ----------
    found : pyarrow.DataType
        The column's own; of a dictionary, that of its values counts.
    dtype : narwhals.DType
        The same in narwhals' words.
    store : Store
        What the model's cells are.
    """
    import pyarrow as pa  # noqa: PLC0415

    inner = found.value_type if pa.types.is_dictionary(found) else found
    numbers = np.arange(len(store.levels)) if store.form == "level" else np.array([0.5])
    sample = _cells_for(store, numbers.astype(np.float64), dtype, None)
    try:
        return pa.array(sample).type if pa.types.is_null(inner) else _as_type(sample, inner).type
    except (pa.ArrowException, TypeError, ValueError, decimal.DecimalException):
        return pa.string()


def _as_type(cells: list[Any], inner: Any) -> Any:
    """Return cells as an Arrow array of this type."""
    import pyarrow as pa  # noqa: PLC0415

    kinds = pa.types
    if kinds.is_decimal(inner):
        exact = [None if v is None else round(decimal.Decimal(v), inner.scale) for v in cells]
        return pa.array(exact, inner)
    if kinds.is_temporal(inner):  # Python's unit; the type's own may be coarser or finer
        return pa.array(cells).cast(inner, safe=False)
    if kinds.is_integer(inner) or kinds.is_floating(inner):
        cells = [float(v) if isinstance(v, bool) else v for v in cells]
    return pa.array(cells, inner)


def _arrow_column(old: Any, cells: list[Any], keep: Mask | None, held: Any) -> Any:
    """Return an Arrow column with new cells; dictionaries, decimals and all units stay."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if (whole := without_views(old)) is not old:
        inner = getattr(whole.type, "value_type", whole.type)
        new = _arrow_column(whole, cells, keep, inner if "view" in str(held) else held)
        return new if pa.types.is_dictionary(old.type) else new.cast(old.type)
    dictionary = old.type if pa.types.is_dictionary(old.type) else None
    inner = old.type if dictionary is None else dictionary.value_type
    if held in (inner, old.type) or pa.types.is_null(inner):
        new = _as_type(cells, held)
    else:
        new = pa.array(_texts(cells), held)
    if keep is not None:
        new = pc.if_else(pa.array(keep), old.cast(inner).cast(held), new)
    new = new if isinstance(new, pa.ChunkedArray) else pa.chunked_array([new])
    return new if dictionary is None else _as_dictionary(new, old)


def _as_dictionary(new: Any, old: Any) -> Any:
    """Return cells as a dictionary column with the old one's levels, in their order, and new ones.

    Levels that no cell has stay, and those of an ordered dictionary keep their ranks. Places are
    of 32 bits where the old ones are too small for all of them.
    """
    import pyarrow as pa  # noqa: PLC0415

    levels = [chunk.dictionary.cast(new.type).drop_null() for chunk in old.chunks]
    # Levels get their places in the order in which they come: the old ones first.
    whole = pa.chunked_array([*levels, *new.chunks], new.type).dictionary_encode()
    index, ordered = old.type.index_type, old.type.ordered
    count = len(whole.chunk(0).dictionary) if whole.num_chunks else 0
    if count - 1 > np.iinfo(index.to_pandas_dtype()).max:
        index = pa.int32()
    return whole.slice(sum(map(len, levels))).cast(pa.dictionary(index, new.type, ordered))


def settled_types(result: Any, like: Any, storage: Storage) -> Any:
    """Return an Arrow table whose types do not depend on which of its cells were missing.

    Chunks of one table then fit together: a column that has a gap in one of them only is in all of
    them of the type that holds what fills it.
    """
    frame = nw.from_native(like, eager_only=True)
    for j in storage.used:
        name, store, old = like.column_names[j], storage.stores[j], like.column(j)
        held = held_type(old.type, frame[name].dtype, store)
        inner = getattr(old.type, "value_type", old.type)
        if held != inner and result.column(j).type == old.type:
            column = result.column(j).cast(inner).cast(held)
            result = result.set_column(j, name, column)
    return result


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
        known = dtype in (nw.Date, nw.Datetime, nw.Duration, nw.Time)
        return _time(value, dtype if known else _TIMES.get(store.clock, dtype))
    if store.form == "integer" and dtype in (nw.String, nw.Unknown):
        return round(value)
    if dtype is None or not dtype.is_integer():
        return value
    kind, bits = type(dtype).__name__.split("Int")  # "UInt8": "U" and 8 bits
    low = 0 if kind else -(2 ** (int(bits) - 1))
    return min(max(round(value), low), low + 2 ** int(bits) - 1)


def _like_others(cells: list[Any], others: npt.NDArray[np.object_]) -> list[Any]:
    """Return numbers as the objects that a column's other cells are: whole numbers, decimals.

    Decimals get as many digits as the one of them that has the most.
    """
    types = {type(v) for v in others if not is_missing(v)}
    if types and all(issubclass(t, (int, np.integer)) and t is not bool for t in types):
        return [None if v is None else round(v) for v in cells]
    if decimal.Decimal not in types or not types <= {decimal.Decimal, int}:
        return cells
    decimals = [v for v in others if isinstance(v, decimal.Decimal) and v.is_finite()]
    digits = max(0, *(-int(v.as_tuple().exponent) for v in decimals))
    return [None if v is None else decimal.Decimal(f"{v:.{digits}f}") for v in cells]


def _time(seconds: float, dtype: Any) -> Any:
    """Return the nearest moment that the type holds: a whole day, second, or microsecond."""
    if dtype == nw.Date:
        seconds = DAY * round(seconds / DAY)
    elif dtype in (nw.Datetime, nw.Duration):
        seconds = round(seconds, _DIGITS.get(dtype.time_unit, 6))
    if dtype == nw.Duration:
        return dt.timedelta(seconds=min(max(seconds, -MOST_SECONDS), MOST_SECONDS))
    low, high = (0.0, LAST_OF_DAY) if dtype == nw.Time else (FIRST_MOMENT, LAST_MOMENT)
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=min(max(seconds, low), high))  # noqa: DTZ001
    if dtype == nw.Time:
        return moment.time()
    if dtype == nw.Date:
        return moment.date()
    zone = getattr(dtype, "time_zone", None)
    return moment.replace(tzinfo=dt.UTC) if zone else moment


def _typed_array(like: Any, values: Matrix, storage: Storage, keep: Mask | None) -> Any:
    objects = keep is not None and getattr(getattr(like, "dtype", None), "kind", "") == "O"
    if all(store.plain for store in storage.stores) and not objects:
        return values if keep is None else np.where(keep, like, values)
    table = np.array(plain_array(like), dtype=object, copy=True)
    for position, j in enumerate(storage.used):
        gaps = slice(None) if keep is None else ~keep[:, position]
        store = storage.stores[j]
        found = _cells_for(store, values[gaps, position], None, None)
        if keep is not None and store.plain:
            found = _like_others(found, table[keep[:, position], j])
        table[gaps, j] = np.fromiter(found, dtype=object, count=len(found))
    clock = getattr(getattr(like, "dtype", None), "kind", "") in CLOCK_KINDS
    return table.astype(like.dtype) if clock else table
