"""Tables to files: CSV, TSV, JSON lines, Parquet, Arrow, npy; whole or not at all.

Knows: formats. Must not know: models. pyarrow is imported only for Parquet and Arrow.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from xhat.data.readers import ARROW, need_pyarrow
from xhat.errors import ParameterError
from xhat.files import atomic

FORMATS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".pq", *ARROW, ".npy")
#: Rows turned into text at a time: bounds the memory of Python strings.
CHUNK = 10_000

Columns = Mapping[str, Sequence[Any]]


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
    if path == "-":
        _to_stdout(columns, suffix)
        return
    with atomic(path) as file:
        if suffix == ".npy":
            matrix = np.column_stack([np.asarray(columns[name]) for name in numbers])
            np.save(file, matrix[:, 0] if len(numbers) == 1 else matrix, allow_pickle=False)
        elif suffix in (".parquet", ".pq", *ARROW):
            _write_arrow(columns, file, suffix)
        else:
            for text in _text(columns, suffix):
                file.write(text.encode())


def _to_stdout(columns: Columns, suffix: str) -> None:
    try:
        for text in _text(columns, suffix):
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; the flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(columns: Columns, suffix: str) -> Iterator[str]:
    names = list(columns)
    n = len(columns[names[0]])
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
    if suffix != ".jsonl":
        writer.writerow(names)
    for start in range(0, n, CHUNK):
        parts = [_plain(column[start : start + CHUNK]) for column in columns.values()]
        rows = zip(*parts, strict=True)
        if suffix == ".jsonl":
            buffer.writelines(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
        else:
            writer.writerows(rows)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():  # a table without rows still has a header
        yield buffer.getvalue()


def _plain(values: Sequence[Any]) -> list[Any]:
    """Return Python values whose text is the shortest that reads back as the same number."""
    if isinstance(values, np.ndarray):
        if values.dtype == np.float32:
            return [float(str(value)) for value in values]
        return list(values.tolist())
    return list(values)


def _write_arrow(columns: Columns, file: IO[bytes], suffix: str) -> None:
    import pyarrow as pa  # noqa: PLC0415

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if suffix in ARROW:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        return
    import pyarrow.parquet as pq  # noqa: PLC0415

    pq.write_table(table, file, write_page_checksum=True)
