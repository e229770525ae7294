"""Tables to files: CSV, TSV, JSON lines, Parquet, Arrow, npy; whole or not at all.

Knows: formats. Must not know: models. pyarrow is imported only for Parquet and Arrow.
"""

from __future__ import annotations

import csv
import decimal
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from xhat.data.readers import ARROW, need_pyarrow
from xhat.errors import ParameterError
from xhat.files import atomic

FORMATS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".pq", *ARROW, ".npy")
#: Rows turned into text at a time: bounds the memory of Python strings.
CHUNK = 10_000

Columns = Mapping[str, Any]


def output_format(path: str) -> str:
    """Return the extension of an output file, or refuse it before any work is done."""
    suffix = ".csv" if path == "-" else Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ParameterError(f"-o {path}: unknown format; use {', '.join(FORMATS)}, or - for CSV")
    if suffix in (".parquet", ".pq", *ARROW):
        need_pyarrow(suffix)
    return suffix


def write_table(columns: Columns, path: str, suffix: str, *, numbers: Sequence[str]) -> None:
    """Write named columns of equal length in the format of ``suffix``.

    Parameters
    ----------
    columns : mapping of name to values
        In the order of the file.
    path : str
        "-" is standard output (text formats).
    suffix : str
        See output_format.
    numbers : sequence of str
        Columns that an npy file, which holds numbers only, is made of.
    """
    write_tables([columns], path, suffix, numbers=numbers)


def write_tables(
    tables: Iterable[Columns], path: str, suffix: str, *, numbers: Sequence[str] | None = None
) -> None:
    """Write tables of the same columns one below the other, each as soon as it is there.

    Standard output gets every table at once; a file appears whole, after the last one.
    """
    if path == "-":
        _to_stdout(tables, suffix)
        return
    with atomic(path) as file:
        if suffix == ".npy":
            _write_array(tables, file, numbers)
        elif suffix in (".parquet", ".pq", *ARROW):
            _write_arrow(tables, file, suffix)
        else:
            for text in _text(tables, suffix):
                file.write(text.encode())


def _to_stdout(tables: Iterable[Columns], suffix: str) -> None:
    try:
        for text in _text(tables, suffix):
            sys.stdout.write(text)
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; the flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(tables: Iterable[Columns], suffix: str) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
    header = suffix != ".jsonl"
    for columns in tables:
        names = list(columns)
        if header:
            writer.writerow(names)  # a table without rows still has a header
            header = False
        for start in range(0, max(1, len(columns[names[0]])), CHUNK):
            parts = [_plain(column[start : start + CHUNK]) for column in columns.values()]
            rows = zip(*parts, strict=True)
            if suffix == ".jsonl":
                buffer.writelines(_json_line(names, row) for row in rows)
            else:
                writer.writerows(rows)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def _json_line(names: list[str], row: tuple[Any, ...]) -> str:
    """Return a row as JSON, which knows neither infinity nor NaN: they are null."""
    cells = (None if isinstance(v, float) and not math.isfinite(v) else v for v in row)
    line = dict(zip(names, cells, strict=True))
    return json.dumps(line, default=_json_cell, allow_nan=False) + "\n"


def _json_cell(value: Any) -> Any:
    return float(value) if isinstance(value, decimal.Decimal) else str(value)


def _plain(values: Any) -> list[Any]:
    """Return Python values whose text is the shortest that reads back as the same number."""
    if isinstance(values, np.ndarray):
        if values.dtype == np.float32:
            return [float(str(value)) for value in values]
        return list(values.tolist())
    return list(values.to_pylist() if hasattr(values, "to_pylist") else values)


def _write_array(tables: Iterable[Columns], file: IO[bytes], numbers: Sequence[str] | None) -> None:
    """Write an npy file; the number of rows is put into its header at the end."""
    rows, width, dtype = 0, 0, np.dtype(np.float64)
    for columns in tables:
        names = list(columns) if numbers is None else numbers
        matrix = np.column_stack([_numbers(name, columns[name]) for name in names])
        if width == 0:
            width, dtype = matrix.shape[1], matrix.dtype
            _array_header(file, (0, width), dtype)
        file.write(np.ascontiguousarray(matrix, dtype=dtype).data)
        rows += len(matrix)
    file.seek(0)
    _array_header(file, (rows, width), dtype)
    file.seek(0, os.SEEK_END)


def _numbers(name: str, values: Any) -> Any:
    """Return a column as an array of numbers; of Arrow's types as float64, which has a NaN.

    Raises
    ------
    ParameterError
        Naming a column that holds something else.
    """
    if hasattr(values, "to_pylist"):
        import pyarrow as pa  # noqa: PLC0415

        kinds, kind = pa.types, values.type
        plain = (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_boolean)
        if any(is_kind(kind) for is_kind in plain):
            values = values.cast(pa.float64()).to_numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ParameterError(
            f"npy holds numbers only, and column {name!r} holds something else; write csv, parquet "
            "or arrow"
        )
    return array


def _array_header(file: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    # NumPy leaves room in the header for the first axis to grow to 21 digits. The shape of one
    # column is padded in the same way, as both headers are rounded up to 64 bytes.
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape[:1] if shape[1] == 1 else shape,
        },
    )


def _write_arrow(tables: Iterable[Columns], file: IO[bytes], suffix: str) -> None:
    import pyarrow as pa  # noqa: PLC0415

    writer: Any = None
    known: dict[str, Any] = {}  # levels of each dictionary so far
    for columns in tables:
        arrays = {name: _arrow(values) for name, values in columns.items()}
        if suffix in ARROW:
            for name, array in arrays.items():
                if pa.types.is_dictionary(array.type):
                    arrays[name], known[name] = _extended(array, known.get(name))
        if writer is None:
            schema = pa.schema([(name, array.type) for name, array in arrays.items()])
            writer = _arrow_writer(file, schema, suffix)
        writer.write_table(pa.table(list(arrays.values()), schema=schema))
    if writer is not None:
        writer.close()


def _arrow(values: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(values, pa.ChunkedArray):
        return values
    array = pa.array(values)
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _extended(column: Any, known: Any) -> tuple[Any, Any]:
    """Return a dictionary column over the levels known so far and its own: a file has one list."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = column.type
    if known is None and column.num_chunks:
        known = column.chunk(0).dictionary  # in its order
    cells = pa.array([], kind.value_type) if not column.num_chunks else pa.concat_arrays(
        [chunk.cast(kind.value_type) for chunk in column.chunks]
    )  # fmt: skip
    levels = cells.unique().drop_null()
    if known is not None:
        levels = pa.concat_arrays([known, levels.filter(pc.invert(pc.is_in(levels, known)))])
    places = pc.index_in(cells, levels).cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(places, levels, ordered=kind.ordered), levels


def _arrow_writer(file: IO[bytes], schema: Any, suffix: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if suffix in ARROW:
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        return pa.ipc.new_file(file, schema, options=options)
    import pyarrow.parquet as pq  # noqa: PLC0415

    return pq.ParquetWriter(file, schema, write_page_checksum=True)
