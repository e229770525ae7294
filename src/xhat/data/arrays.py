"""npy and npz files, dense and sparse: what they declare is compared with what is there, first.

Knows: the two formats. Must not know: models. No object is ever unpickled; nothing is allocated
from a declared size before the file, or the archive's directory, has confirmed it.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.sparse

from xhat.errors import DataError

#: More columns than this are a damaged header, or no table.
MAX_COLUMNS = 2**24
#: A CSC matrix may have so many rows, or this many times its stored numbers if that is more: what a
#: CSR matrix says with its length, a CSC matrix merely declares.
FREE_ROWS, ROWS_PER_NUMBER = 2**20, 100
#: An archive may unpack to this many bytes, or to RATIO times its size if that is more: tables of
#: zeros and ones reach 100; zeros alone, which no table is made of, 1000.
MAX_UNPACKED, RATIO = 2**27, 300
#: A longer header is refused unread, as by NumPy.
MAX_HEADER = 10_000
#: The header of an array of numbers. NumPy reads it with Python's parser: it gets nothing else.
_TYPE = rb"'[<>|=]?[A-Za-z]\d{0,9}(?:\[\w{1,9}\])?'"
_SHAPE = rb"\(\s*(?:\d{1,20}L?\s*(?:,\s*\d{1,20}L?\s*)*(?:,\s*)?)?\)"
_ENTRY = (
    rb"\s*'(?:descr|fortran_order|shape)'\s*:\s*(?:" + _TYPE + rb"|True|False|" + _SHAPE + rb")\s*"
)
_HEADER = re.compile(rb"\{" + _ENTRY + rb"(?:," + _ENTRY + rb"){2}(?:,\s*)?\}\s*")
_SPARSE = {
    "csr": (scipy.sparse.csr_array, ("data", "indices", "indptr")),
    "csc": (scipy.sparse.csc_array, ("data", "indices", "indptr")),
}
_DAMAGE = (ValueError, EOFError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError)


def load_npy(path: str) -> Any:
    """Return the array of an npy file, mapped."""
    with Path(path).open("rb") as file:
        shape, dtype, start = _header(file)
        _check_size(shape, dtype, start, Path(path).stat().st_size)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(path, mode="r")


def load_npz(path: str) -> Any:
    """Return the one array of an npz file, or the CSR array that scipy.sparse.save_npz wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack(archive, Path(path).stat().st_size)
    except DataError:
        raise
    except FileNotFoundError:
        raise
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as error:
        raise DataError(f"not a readable npz archive ({error!s:.100})") from None


def _unpack(archive: zipfile.ZipFile, size: int) -> Any:
    """Return what an archive holds, if it unpacks to no more than is bearable."""
    total = sum(info.file_size for info in archive.infolist())
    if total > max(MAX_UNPACKED, RATIO * size):
        raise DataError(
            f"it would unpack to {total} bytes, {total // size} times its size: save it as npy"
        )
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if "format" in members:
        return _sparse(archive, members)
    if len(members) != 1:
        raise DataError(
            f"the archive holds {len(members)} arrays ({', '.join(list(members)[:5])}): "
            "one array, or one CSR matrix saved by scipy.sparse.save_npz, is expected"
        )
    return _member(archive, *members.values())


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    with archive.open(info) as file:
        shape, dtype, start = _header(file)
        _check_size(shape, dtype, start, info.file_size)
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, dtype and where the numbers start."""
    try:
        length_bytes = {(1, 0): 2, (2, 0): 4}[np.lib.format.read_magic(file)]
        length = int.from_bytes(file.read(length_bytes), "little")
        head = file.read(min(length, MAX_HEADER))
        start = file.tell()
        plain = io.BytesIO(_plain_header(head, length))
        shape, _, dtype = np.lib.format.read_array_header_1_0(plain)
    except _DAMAGE as error:
        raise DataError(f"not an npy array of numbers, or a damaged one ({error!s:.100})") from None
    if dtype.kind not in "fiubUS" or dtype.hasobject:
        raise DataError(f"not an array of numbers, but of {dtype}")
    return shape, dtype, start


def _plain_header(head: bytes, length: int) -> bytes:
    """Return a header with its length in front, or refuse one that is not that of plain numbers."""
    if len(head) != length or not _HEADER.fullmatch(head):
        raise ValueError("its header does not describe one")
    return length.to_bytes(2, "little") + head


def _check_shape(shape: tuple[int, ...]) -> None:
    """Refuse a shape that no table has: NumPy's own words on some would not be errors of data."""
    if len(shape) > 2:
        raise DataError(f"an array of shape {shape}: rows by columns are expected")
    if len(shape) == 2 and shape[1] > MAX_COLUMNS:
        raise DataError(f"an array of {shape[1]} columns: at most {MAX_COLUMNS} are read")
    if 0 in shape and max(shape) > MAX_COLUMNS:
        raise DataError(f"an array of shape {shape}: it holds no rows")


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], start: int, size: int) -> None:
    expected = start + math.prod(shape) * dtype.itemsize
    if size != expected:
        what = "cut off" if size < expected else "longer than its array"
        raise DataError(f"the file is {what}: {size} bytes where {expected} are expected")
    _check_shape(shape)


def _sparse(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Any:
    """Return a CSR array whose indices are all in range."""
    kind = _member(archive, members["format"]).item()
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind not in _SPARSE:
        raise DataError(f"a sparse matrix in format {kind!r:.20}: save it as CSR (matrix.tocsr())")
    cls, names = _SPARSE[kind]
    for name in ("shape", *names):
        if name not in members:
            raise DataError(f"a sparse matrix without its part {name!r}: the archive is damaged")
    shape = tuple(int(length) for length in np.ravel(_member(archive, members["shape"])))
    if len(shape) != 2 or min(shape) < 0 or shape[1] > MAX_COLUMNS:
        raise DataError(f"a sparse matrix of shape {shape}: rows by columns are expected")
    data, indices, indptr = (_member(archive, members[name]) for name in names)
    if kind == "csc" and shape[0] > (most := max(FREE_ROWS, ROWS_PER_NUMBER * data.size)):
        raise DataError(
            f"a sparse matrix of {shape[0]} rows with {data.size} numbers in them: at most {most} "
            "rows are read, save it as CSR (matrix.tocsr())"
        )
    _check_indices(kind, shape, data, indices, indptr)
    matrix = cls((data, indices, indptr), shape=shape).tocsr()
    matrix.sum_duplicates()
    return matrix


def _check_indices(kind: str, shape: tuple[int, ...], data: Any, indices: Any, indptr: Any) -> None:
    """Name the first row (of a CSC matrix: column) whose indices cannot be."""
    n, d = shape if kind == "csr" else shape[::-1]
    row, column = ("row", "column") if kind == "csr" else ("column", "row")
    good = indices.ndim == indptr.ndim == data.ndim == 1 and len(data) == len(indices)
    good = good and indices.dtype.kind == indptr.dtype.kind == "i" and len(indptr) == n + 1
    if not good or data.dtype.kind not in "fiub":
        raise DataError("a sparse matrix whose parts do not belong together: it is damaged")
    steps = np.diff(indptr)
    if indptr[0] != 0 or indptr[-1] != len(indices) or (steps < 0).any():
        at = int((steps < 0).argmax()) if (steps < 0).any() else 0
        raise DataError(f"{row} {at} of the sparse matrix ends before it begins: indptr is damaged")
    outside = (indices < 0) | (indices >= d)
    if outside.any():
        entry = int(outside.argmax())
        at = int(np.searchsorted(indptr, entry, side="right")) - 1
        raise DataError(
            f"{row} {at} of the sparse matrix: {column} {int(indices[entry])} is outside 0 to "
            f"{d - 1}"
        )
