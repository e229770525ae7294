"""Arrow and Parquet: files, and the streams of other libraries, validated before they are used.

Knows: pyarrow's readers, which trust offsets and texts in a file. Must not know: models. A column
comes out in its own type, without extension types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xhat.data.arrays import MAX_UNPACKED, RATIO
from xhat.errors import DataError

#: Texts and bytes held in pieces.
VIEWS = ("string_view", "binary_view")


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Say in one line that something is not what it should be, whatever pyarrow says."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"not {what}, or a damaged one ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def valid(batch: Any) -> Any:
    """Return a record batch or table whose every offset, index and text was looked at.

    An offset beyond its buffer ends the process where it is followed. Numbers have none: to look at
    1 GB of them takes a millisecond, at 1 GB of short texts a second.
    """
    batch.validate(full=True)
    return batch


@contextlib.contextmanager
def parquet_file(path: str) -> Iterator[Any]:
    """Open a Parquet file."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with (
        reading("a Parquet file"),
        pq.ParquetFile(
            path, pre_buffer=False, buffer_size=2**20, page_checksum_verification=True
        ) as file,
    ):
        yield file


def open_ipc(data: Any, fields: Sequence[int] = ()) -> Any:
    """Return the reader of an Arrow file or stream; of some columns, in the order of the file."""
    import pyarrow as pa  # noqa: PLC0415

    data.seek(0)
    is_file = data.read(6) == b"ARROW1"  # the format's magic; a stream has none
    data.seek(0)
    options = pa.ipc.IpcReadOptions(included_fields=list(fields))
    return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(data, options=options)


def read_ipc(path: str) -> Any:
    """Return all of an Arrow file."""
    import pyarrow as pa  # noqa: PLC0415

    data = pa.BufferReader(Path(path).read_bytes())
    with reading("an Arrow file"):
        return valid(open_ipc(data).read_all())


def walk_parquet(path: str, wanted: list[str] | None, rows: int) -> Iterator[Any]:
    """Yield an empty table of all columns, then the rows in the wanted ones."""
    import pyarrow as pa  # noqa: PLC0415

    with parquet_file(path) as file:
        yield empty(file.schema_arrow)
        for batch in file.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
            table = pa.Table.from_batches([valid(batch)])
            yield table if wanted is None else table.select(wanted)


def walk_ipc(path: str, wanted: list[str] | None) -> Iterator[Any]:
    """Yield an empty table of all columns, then the rows in the wanted ones."""
    import pyarrow as pa  # noqa: PLC0415

    with reading("an Arrow file"), pa.OSFile(path) as data:
        with open_ipc(data) as reader:
            whole = empty(reader.schema)
        yield whole
        fields = [j for j, name in enumerate(whole.column_names) if name in set(wanted or ())]
        with open_ipc(data, fields) as reader:
            count = getattr(reader, "num_record_batches", None)
            batches = reader if count is None else map(reader.get_batch, range(count))
            for batch in batches:
                table = pa.Table.from_batches([valid(batch)])
                yield table if wanted is None else table.select(wanted)


def empty(schema: Any) -> Any:
    """Return a table without rows; names that are no text are found here."""
    return schema.empty_table().rename_columns([str(name) for name in schema.names])


def plain_columns(table: Any) -> Any:
    """Return a table without extension types and views, whose dictionaries can be unpacked.

    pyarrow can neither take nor choose between cells of views (texts of DuckDB and polars).
    """
    import pyarrow as pa  # noqa: PLC0415

    columns = list(map(_plain, table.columns, table.schema))
    fields = [
        field if column.type == field.type else pa.field(field.name, column.type)
        for column, field in zip(columns, table.schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def _plain(column: Any, field: Any) -> Any:
    """Return a column of plain values, or say that it has none."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        if isinstance(field.type, pa.BaseExtensionType):
            column = _unwrapped(column)
        column = without_views(column)
        if pa.types.is_dictionary(column.type):
            _check_dictionary(column, field.name)
    except pa.ArrowException as error:
        raise DataError(
            f"column {field.name!r} of type {field.type!s:.40}: no plain values can be made of "
            f"it ({_reason(error)}); leave it out"
        ) from None
    return column


def without_views(column: Any) -> Any:
    """Return a column whose texts, or those of its dictionary, are held in one piece."""
    import pyarrow as pa  # noqa: PLC0415

    inner = getattr(column.type, "value_type", column.type)
    if str(inner) not in VIEWS:
        return column
    plain = pa.large_string() if str(inner) == "string_view" else pa.large_binary()
    if not pa.types.is_dictionary(column.type):
        return column.cast(plain)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    ordered = column.type.ordered
    return pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(c.indices, c.dictionary.cast(plain), ordered=ordered)
            for c in chunks
        ],
        pa.dictionary(column.type.index_type, plain, ordered),
    )


def _unwrapped(column: Any) -> Any:
    """Return what an extension type is stored as; PostgreSQL's numeric is text for numbers."""
    import pyarrow as pa  # noqa: PLC0415

    kind, storage = str(getattr(column.type, "type_name", "")), column.type.storage_type
    plain = column.cast(storage)
    return plain.cast(pa.float64()) if kind == "numeric" else plain


def _check_dictionary(column: Any, name: str) -> None:
    """Refuse texts that would take far more memory than there is of them: as in npz archives."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kinds, of = pa.types, column.type.value_type
    if kinds.is_nested(of):
        raise pa.ArrowNotImplementedError("a dictionary of lists or records")
    texts = (kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary)
    if not any(is_kind(of) for is_kind in texts):
        return
    total = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if total > max(MAX_UNPACKED, RATIO * column.nbytes):
        raise DataError(
            f"column {name!r}: its dictionary would unpack to {total} bytes, "
            f"{total // max(1, column.nbytes)} times its size: leave it out"
        )
