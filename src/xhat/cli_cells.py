"""``xhat reconstruct`` and ``xhat impute``: tables of cells, each in the type of its column.

Knows: Job, Arrow tables, texts as they were read. Must not know: click, maths.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.cli_job import Chunk, Columns, Job, column_of
from xhat.cli_match import some
from xhat.data.readers import TEXT
from xhat.errors import ParameterError

Mask = npt.NDArray[np.bool_]


def write_rebuilt(job: Job) -> None:
    """Write every row as the model rebuilds it."""
    _check_numbers(job)

    def make(chunk: Chunk) -> Columns:
        result = _settled(job.ae.reconstruct(chunk.rows), chunk, job)
        columns = {name: column_of(result, j) for name, j in job.match.places.items()}
        numbers = [
            name
            for name, cells in columns.items()
            if isinstance(cells, np.ndarray) and name not in job.left_out
        ]
        return job.finish(columns, numbers, chunk)

    job.write(job.each(make), list(job.match.places))


def write_filled(job: Job) -> None:
    """Write the table with its empty cells filled; all other cells and columns stay as they are."""
    _check_numbers(job)
    aside = {job.id_column, *job.flags.drop}
    names = [name for name in job.stream.names if name not in aside]
    written = _as_written(job)
    still_empty: dict[str, None] = {}

    def make(chunk: Chunk) -> Columns:
        result = _settled(job.ae.impute(chunk.rows), chunk, job)
        texts = None if written is None else next(written)
        columns: Columns = {}
        for name in names:
            j = job.match.places.get(name)
            if j is None:
                columns[name] = (chunk.table if texts is None else texts).column(name)
                continue
            gaps = _gaps(chunk.rows, j)
            if name in job.left_out and gaps.any():
                still_empty[name] = None
            cells = _rounded(column_of(result, j), gaps, job.digits)
            if texts is not None:
                cells = _beside_texts(cells, texts.column(name).to_pylist(), gaps)
            columns[name] = cells
        return job.finish(columns, [], chunk)

    job.write(job.each(make), names)
    if still_empty:
        job.words.say(f"note: empty cells stay empty where the model left the column out: "
                      f"{some(list(still_empty))}")  # fmt: skip


def _check_numbers(job: Job) -> None:
    """Refuse an npy file for columns of other cells than numbers, before anything is computed."""
    if job.suffix != ".npy":
        return
    what = {"level": "levels", "time": "dates or times"}
    stores = [store for store in job.ae._storage.stores if store.form in what]  # noqa: SLF001
    if stores:
        raise ParameterError(
            f"-o {job.output}: npy holds numbers only, and column {stores[0].name!r} holds "
            f"{what[stores[0].form]}; write csv, parquet or arrow"
        )


def _settled(result: Any, chunk: Chunk, job: Job) -> Any:
    """Return a result whose types are the same in every chunk."""
    from xhat.data.restore import settled_types  # noqa: PLC0415

    if not hasattr(result, "column_names"):
        return result
    return settled_types(result, chunk.rows, job.ae._storage)  # noqa: SLF001


def _as_written(job: Job) -> Iterator[Any] | None:
    """Return the chunks with every cell as the text it was, where text is read and written.

    Standard input and queries cannot be read twice; other decimals would stand beside ours.
    """
    from xhat.data.stream import find_files, open_stream  # noqa: PLC0415

    flags = job.flags
    if job.data == "-" or flags.query is not None or flags.decimal != ".":
        return None
    read = Path(find_files(job.data)[0]).suffix.lower()
    if read not in TEXT or job.suffix not in TEXT:
        return None
    return open_stream(
        job.data,
        missing=flags.missing,
        header=flags.header,
        verbatim=job.stream.names,
        scratch=flags.scratch,
    ).chunks()


def _gaps(rows: Any, j: int) -> Mask:
    """Return which cells of a column are missing."""
    if not hasattr(rows, "column_names"):
        return np.isnan(np.asarray(rows[:, j], dtype=np.float64))
    import pyarrow.compute as pc  # noqa: PLC0415

    gaps: Mask = pc.is_null(rows.column(j), nan_is_null=True).to_numpy()
    return gaps


def _rounded(cells: Any, gaps: Mask, digits: int | None) -> Any:
    """Return cells with so many significant digits where they were computed."""
    if digits is None or not gaps.any() or getattr(cells, "dtype", np.dtype(int)).kind != "f":
        return cells
    new = np.array(cells)
    new[gaps] = [float(f"{value:.{digits}g}") for value in new[gaps].tolist()]
    return new


def _beside_texts(cells: Any, texts: list[str], gaps: Mask) -> list[Any]:
    """Return the texts that were read, and between them the values of what was filled."""
    values = cells.tolist() if isinstance(cells, np.ndarray) else cells.to_pylist()
    kept = [v is None or not gap for v, gap in zip(values, gaps.tolist(), strict=True)]
    spelled: dict[Any, str] = {}
    if any(isinstance(v, bool) for v in values):  # as the file spells true and false
        spelled = {v: text for v, text, gap in zip(values, texts, gaps, strict=True) if not gap}
    return [
        text if keep else spelled.get(v, v)
        for v, text, keep in zip(values, texts, kept, strict=True)
    ]
