"""The one place that writes: files whole or not at all, lines whole or not at all.

A file is written under a temporary name in the same folder, flushed to the disk, and renamed over
the final name; then the folder is flushed. A crash or a full disk leaves the old file as it was.
A symbolic link is followed; devices, pipes and folders are refused.
Every operation that can fail asks ``fault`` first, so that a test can make the k-th one fail
(tests/trust/test_faults.py). An error names the file that was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

#: Temporary files begin with a dot and end so; whatever is left of them after a crash is rubbish.
SUFFIX = ".xhat-tmp"
#: Bytes of the final name in a temporary one, at most: file systems allow 255, and there are dots,
#: SUFFIX and eight random letters, too.
STEM_BYTES = 100


def _no_fault(operation: str) -> None:
    """In a test: raise an OSError here to make the operation fail."""


fault: Callable[[str], None] = _no_fault


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under ``path`` only when the block ends without error.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic(folder / "a.bin") as file:
    ...     _ = file.write(b"whole")
    >>> (folder / "a.bin").read_bytes()
    b'whole'
    """
    final = replaceable(path)
    with _named(final):
        fault("create")
        descriptor, temporary = _temporary(final)
    try:
        with _Whole(descriptor, final) as file:
            yield cast("IO[bytes]", file)
            with _named(final):
                fault("sync")
                os.fsync(descriptor)
        with _named(final):
            # mkstemp makes files private; a model is a file like any other
            umask = os.umask(0)
            os.umask(umask)
            fault("chmod")
            temporary.chmod(0o666 & ~umask)
            fault("rename")
            temporary.replace(final)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(final)


def _temporary(final: Path) -> tuple[int, Path]:
    """Open a new file beside the final one."""
    descriptor, name = tempfile.mkstemp(
        prefix=f".{stem(final.name)}.", suffix=SUFFIX, dir=final.parent
    )
    return descriptor, Path(name)


def stem(name: str) -> str:
    """Return as much of a file's name as its temporary names hold.

    Examples
    --------
    >>> stem("m.xhat"), len(stem("模" * 80))
    ('m.xhat', 33)
    """
    name = name[:STEM_BYTES]
    while len(os.fsencode(name)) > STEM_BYTES:
        name = name[:-1]
    return name


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path under which no file can appear: now, not after the work is done.

    Raises
    ------
    OSError
        The folder is not there or closed, or the name is too long.
    """
    final = replaceable(path)
    if not final.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(final.parent))
    with _named(final):
        fault("try")
        with contextlib.suppress(FileNotFoundError):
            final.lstat()  # the system's word on the name
        descriptor, temporary = _temporary(final)
        os.close(descriptor)
        temporary.unlink()


def replaceable(path: str | os.PathLike[str]) -> Path:
    """Return the file to replace, behind a symbolic link if there is one.

    A device, a pipe or a folder is refused: a rename would put a file in its place.

    Raises
    ------
    OSError
        The path is none of a file, a link to one, and a free name.
    """
    final = Path(path)
    streams = str(final).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    if streams or (final.exists() and not final.is_file()):
        problem = "not a regular file, so it cannot be replaced whole: name a new file"
        raise OSError(errno.EINVAL, problem, str(path))
    return final.resolve() if final.is_symlink() else final


class _Whole(io.RawIOBase):
    """A raw file whose ``write`` takes everything or fails, and says how much did not fit.

    It is raw on purpose: NumPy would write to a buffered file behind Python's back.
    """

    def __init__(self, descriptor: int, final: Path) -> None:
        self.descriptor, self.final = descriptor, final

    def fileno(self) -> int:
        return self.descriptor

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with _named(self.final):
            fault("seek")
            return os.lseek(self.descriptor, offset, whence)

    def write(self, data: object) -> int:
        with memoryview(data).cast("B") as view:  # type: ignore[arg-type]
            done, size = 0, len(view)
            try:
                while done < size:
                    fault("write")
                    done += os.write(self.descriptor, view[done:])
            except OSError as error:
                reason = f"{error.strerror} (at least {size - done} more bytes are needed)"
                full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
                raise OSError(
                    error.errno, reason if full else error.strerror, str(self.final)
                ) from None
            return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self.descriptor)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an OSError name the file that was asked for, not a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def _sync_folder(final: Path) -> None:
    """Make a rename durable, where the system lets a folder be opened."""
    with _named(final):
        fault("sync folder")
        try:
            descriptor = os.open(final.parent, os.O_RDONLY)
        except OSError:
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(descriptor)


def spill(file: IO[bytes], data: object, folder: Path) -> None:
    """Write data that wait on disk to an unbuffered file; an error names the folder."""
    try:
        with memoryview(data).cast("B") as view:  # type: ignore[arg-type]
            done = 0
            while done < len(view):
                fault("spill")
                done += file.write(view[done:])
    except OSError as error:
        hint = "rows wait here that memory does not hold; --scratch DIR or TMPDIR: elsewhere"
        raise OSError(error.errno, f"{error.strerror} ({hint})", str(folder)) from None


def append(path: Path, line: bytes) -> None:
    """Add a line to a file in one write and flush it to the disk.

    A crash may leave a part of the last line: whoever reads the file must expect that.
    """
    with _named(path):
        fault("open")
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fault("write")
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fault("sync")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, if they are not there."""
    with _named(path):
        fault("mkdir")
        path.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with _named(path):
        fault("remove")
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what crashed writers left in a folder that belongs to one process."""
    for path in sorted(folder.glob(f".*{SUFFIX}")):
        remove(path)
