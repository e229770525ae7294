"""Containers users hold (arrays, CSR, pandas, polars, pyarrow) to raw matrices and back.

Knows: narwhals. Must not know: kinds of columns, models. Nothing is dropped or filled in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
import scipy.sparse

from xhat.data.batches import TILE, dense
from xhat.errors import DataError
from xhat.maths.types import Matrix

#: A text column with at least this share of numbers is taken for a damaged column of numbers.
NUMERIC_SHARE = 0.99


def is_frame(X: object) -> bool:
    """Return whether X is a data frame that narwhals can read eagerly."""
    if isinstance(X, np.ndarray) or scipy.sparse.issparse(X):
        return False
    native = nw.from_native(X, pass_through=True)
    return isinstance(native, nw.DataFrame)


def is_lazy(X: object) -> bool:
    """Return whether rows should be encoded piece by piece: sparse, or mapped from a file."""
    if scipy.sparse.issparse(X):
        return True
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def frame_matrix(X: object) -> Matrix:
    """Return the numbers of a data frame, float32 if all its columns are, else float64.

    Raises
    ------
    DataError
        Naming the column that is not numeric and what to do with it.
    """
    frame = nw.from_native(cast("Any", X), eager_only=True)
    columns = [_column_values(series) for series in frame.iter_columns()]
    if not columns:
        raise DataError("the table has no columns")
    single = all(values.dtype == np.float32 for values in columns)
    return np.column_stack(columns).astype(np.float32 if single else np.float64, copy=False)


def _column_values(series: nw.Series[Any]) -> Matrix:
    dtype, name = series.dtype, series.name
    if dtype.is_numeric() and dtype != nw.Decimal:
        target = nw.Float32 if dtype == nw.Float32 else nw.Float64
        return np.asarray(series.cast(target).to_numpy())
    if dtype == nw.Boolean:
        return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
    values = np.asarray(series.to_numpy(), dtype=object)
    if dtype == nw.Object and all(isinstance(v, (int, float, np.number)) for v in values):
        return values.astype(np.float64)
    raise DataError(text_column_message(name, values, str(dtype)))


def text_column_message(name: str, values: Any, dtype: str) -> str:
    """Say what is wrong with a column that is not numeric: damaged numbers, or text."""
    bad = [(row, value) for row, value in enumerate(values) if not _is_number(value)]
    if bad and len(bad) <= (1 - NUMERIC_SHARE) * len(values):
        shown = ", ".join(f"{value!r} in row {row}" for row, value in bad[:3])
        return (
            f"column {name!r} holds numbers except {len(bad)} of {len(values)} cells: {shown}"
            f"{', ...' * (len(bad) > 3)}; correct these cells or drop the column"
        )
    example = repr(bad[0][1]) if bad else repr(values[0])
    return (
        f"column {name!r} is not numeric ({dtype}, for example {example}): "
        f"drop it (--drop {name}) or encode it as numbers first"
    )


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def array_cell_error(X: object, names: list[str]) -> DataError | None:
    """Return the error naming the first text cell of an object or text array, if there is one."""
    values = np.asarray(X, dtype=object)
    if values.ndim != 2:
        return None
    for j in range(values.shape[1]):
        if any(isinstance(v, str) and not _is_number(v) for v in values[:, j]):
            return DataError(text_column_message(names[j], values[:, j], "text"))
    return None


def check_finite(X: object, names: list[str]) -> None:
    """Refuse NaN and infinity, naming the first such cell and how many there are.

    Raises
    ------
    DataError
        One line with row, column, counts and the way out.
    """
    bad = np.zeros(len(names), dtype=np.int64)
    first: tuple[int, int, float] | None = None
    for start in range(0, X.shape[0], TILE):  # type: ignore[attr-defined]
        rows = dense(X[start : start + TILE])  # type: ignore[index]
        finite = np.isfinite(rows)
        if finite.all():
            continue
        bad += (~finite).sum(axis=0)
        if first is None:
            i, j = (int(v) for v in np.argwhere(~finite)[0])
            first = (start + i, j, float(rows[i, j]))
    if first is None:
        return
    row, j, value = first
    what = "an empty cell (NaN)" if np.isnan(value) else "infinity (inf)"
    others = (
        f" ({int(bad.sum())} such cells in {int((bad > 0).sum())} columns)" if bad.sum() > 1 else ""
    )
    raise DataError(
        f"column {names[j]!r}, row {row}: {what}{others}; fill or drop "
        f"these rows, or drop the column (--drop {names[j]})"
    )


@dataclass(frozen=True)
class Container:
    """How to give a matrix back as what the user passed in."""

    native: object | None = None

    @staticmethod
    def of(X: object) -> Container:
        """Remember the frame X, or that X is no frame."""
        return Container(X) if is_frame(X) else Container()

    def rebuild(self, matrix: Matrix, names: list[str]) -> Any:
        """Return the matrix as the same kind of frame (with pandas' index), or as it is."""
        if self.native is None:
            return matrix
        frame = nw.from_native(cast("Any", self.native), eager_only=True)
        new = nw.from_numpy(matrix, schema=names, backend=frame.implementation).to_native()
        if frame.implementation.is_pandas():
            new.index = self.native.index  # type: ignore[attr-defined]
        return new
