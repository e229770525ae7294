"""One file of named arrays under a JSON header and a SHA-256: what model files and checkpoints are.

Knows: the bytes. Must not know: models, training. Nothing is executed, no other file is named.

The layout is that of safetensors: 8 bytes of length, a JSON header, the arrays. The header's
metadata has one key, whose value is JSON again. The digest covers the whole file with the digest's
own 64 characters set to 0, so that a flipped bit anywhere is seen. ``unpack`` checks, in this
order: sizes, duplicate keys, the format number, how the arrays lie, the digest, finite numbers.
Nothing is allocated from a size that the file merely declares.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

Arrays = dict[str, npt.NDArray[Any]]

_BLANK = "0" * 64
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}
_ENTRY = {"dtype", "shape", "data_offsets"}
#: A longer header is refused unread: 100,000 columns need 40 MB.
MAX_HEADER = 64 * 2**20
#: Objects and texts that a header may hold, so that Python's memory for them stays in proportion:
#: a fixed part and one for so many bytes of header. An empty list takes 2 bytes there, 64 here.
FREE_OBJECTS, BYTES_PER_OBJECT = 100_000, 50
FREE_TEXTS, BYTES_PER_TEXT = 500_000, 20


class Damaged(ValueError):  # noqa: N818  (never seen by users: each owner has its own error)
    """The file is not what it must be; says why in one line."""


@dataclass(frozen=True)
class Format:
    """A kind of file: the key of its header, its name for people, the newest version known."""

    key: str
    noun: str
    version: int


def pack(form: Format, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Return the file. The same header and arrays give the same bytes."""
    whole = {"format": form.version, "sha256": _BLANK, **header}
    text = json.dumps(whole, allow_nan=True, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    blank = bytes(safetensors.numpy.save(contiguous, metadata={form.key: text}))
    at = _digest_at(blank[8 : 8 + int.from_bytes(blank[:8], "little")], _BLANK)
    digest = hashlib.sha256(blank).hexdigest().encode()
    return blank[: 8 + at] + digest + blank[8 + at + 64 :]


def unpack(
    form: Format, path: str | os.PathLike[str], names: Iterable[str], optional: tuple[str, ...] = ()
) -> tuple[dict[str, Any], Arrays]:
    """Read a file that holds exactly the arrays ``names``; return its header and the arrays.

    Further arrays may be there only if their names begin with ``optional``.

    Raises
    ------
    Damaged
        If the file is anything but an intact one of this kind.
    OSError
        If it cannot be read.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode) and not Path(path).is_dir():
        raise Damaged(f"not an xhat {form.noun} (a device or pipe, not a file)")
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(MAX_HEADER, size - 8):
            raise Damaged(f"not an xhat {form.noun} (wrong layout at the start)")
        head = file.read(length)
        if head[:1] != b"{":
            raise Damaged(f"not an xhat {form.noun} (wrong layout at the start)")
        header, entries = _headers(form, head)
        more = {name for name in entries if name.startswith(optional)}
        _check_entries(entries, set(names) | more, size - 8 - length)
        return header, _arrays(file, start + head, entries, str(header["sha256"]))


def _headers(form: Format, head: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the owner's header and the entries of the arrays."""
    foreign = Damaged(f"not an xhat {form.noun} (no header of xhat in it)")
    try:
        outer = _parse(head)
        metadata = outer.pop("__metadata__")
        if set(metadata) != {form.key}:
            raise foreign
        header = _parse(metadata[form.key].encode())
    except Damaged:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise foreign from None
    if not isinstance(header, dict):
        raise foreign
    version, digest = header.get("format"), header.get("sha256")
    if type(version) is not int or version < 1 or not isinstance(digest, str):
        raise foreign
    if version > form.version:
        by = str(header.get("xhat_version"))[:20]
        raise Damaged(
            f"written in format {str(version)[:10]} by xhat {by}; this xhat reads formats up to "
            f"{form.version}: update xhat"
        )
    return header, outer


def _parse(text: bytes) -> Any:
    """Return the value of a JSON text without duplicate keys and of bounded size in memory."""
    objects = text.count(b"[") + text.count(b"{")
    if objects > FREE_OBJECTS + len(text) // BYTES_PER_OBJECT:
        raise Damaged("its header holds too many lists")
    if text.count(b'"') // 2 > FREE_TEXTS + len(text) // BYTES_PER_TEXT:
        raise Damaged("its header holds too many texts")
    return json.loads(text, object_pairs_hook=_no_duplicates)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Damaged("a key stands twice in its header")
    return found


def _check_entries(entries: dict[str, Any], names: set[str], room: int) -> None:
    """Refuse arrays that are not the expected ones, one behind the other up to the file's end."""
    if set(entries) != names:
        raise Damaged("it does not hold the arrays that it must hold")
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: _offsets(*item)):
        begin, stop = _offsets(name, entry)
        shape = entry["shape"]
        if not isinstance(shape, list) or len(shape) > 2 or not all(map(_is_size, shape)):
            raise Damaged(f"array {name!r} has no shape")
        dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            raise Damaged(f"array {name!r} holds no floating point numbers")
        if (
            begin != end
            or begin % dtype.itemsize
            or stop - begin != math.prod(shape) * dtype.itemsize
        ):
            raise Damaged(f"array {name!r} does not lie where it must lie")
        end = stop
    if end != room:
        raise Damaged("its length is not what its header says: it was cut off or added to")


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != _ENTRY:
        raise Damaged(f"array {name!r} is not described as it must be")
    offsets = entry["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise Damaged(f"array {name!r} does not lie where it must lie")
    return offsets[0], offsets[1]


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _arrays(file: io.BufferedReader, head: bytes, entries: dict[str, Any], digest: str) -> Arrays:
    """Read the rest of the file, compare the digest, and return the arrays, all finite."""
    room = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    data = np.empty(room, np.uint8)  # as large as the file itself, which is there
    got = file.readinto(data.data) if room else 0
    at = 8 + _digest_at(head[8:], digest)
    found = hashlib.sha256(head[:at] + _BLANK.encode() + head[at + 64 :])
    found.update(data.data)
    if got != room or found.hexdigest() != digest:
        raise Damaged("its SHA-256 does not match: it was changed or damaged")
    arrays: Arrays = {}
    for name, entry in entries.items():
        begin, stop = entry["data_offsets"]
        flat: npt.NDArray[Any] = data[begin:stop].view(_DTYPES[entry["dtype"]])
        array = flat.reshape(entry["shape"])
        if not np.isfinite(array).all():
            raise Damaged(f"array {name!r} holds values that are not finite numbers")
        arrays[name] = array
    return arrays


def _digest_at(head: bytes, digest: str) -> int:
    """Return where the digest's 64 characters stand in the header: once, behind its escaped key."""
    key = rb"\"sha256\": \""
    position = head.find(key + digest.encode() + rb"\"")
    if len(digest) != 64 or position < 0 or head.count(key) != 1:
        raise Damaged("it has no digest where one must stand")
    return position + len(key)
