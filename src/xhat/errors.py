"""The errors xhat raises on purpose: one line that names the thing, the value and the way out."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator

#: Packages whose lines a warning does not point to.
OURS = ("xhat", "sklearn")
#: No line on standard error is longer.
LONGEST = 300


def printable(text: str) -> str:
    r"""Return text with control characters shown as escapes: it may come from anyone's file.

    What is not printable in Unicode's sense is one: C0, C1, marks that turn the direction of text.

    Examples
    --------
    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return text on one line; the middle of a long one is left out, the way out stays.

    Examples
    --------
    >>> one_line("too long by far", 10)
    'to ... far'
    """
    text = printable(" ".join(text.split()))
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 5]} ... {text[-end:]}"


class XhatError(Exception):
    """Base class: everything xhat refuses on purpose."""


class DataError(XhatError, ValueError):
    """The data cannot be used as they are."""

    #: Whether it is about held-out rows of the user's own choice, which are another table.
    of_validation = False


@contextlib.contextmanager
def about_validation(*, given: bool = True) -> Iterator[None]:
    """Mark errors as being about held-out rows of the user's own choice, if they were given."""
    try:
        yield
    except DataError as error:
        error.of_validation = given
        raise


class CellError(DataError):
    """One cell cannot be used; ``at`` moves the row number to where the user can find it."""

    def __init__(
        self, column: str, row: int, problem: str, advice: str, line: str | None = None
    ) -> None:
        self.column, self.row, self.problem, self.advice = column, row, problem, advice
        where = f"row {row}" if line is None else f"row {row} ({line})"
        super().__init__(f"column {column!r}, {where}: {problem}; {advice}")

    def at(self, offset: int, line: str | None = None) -> CellError:
        """Return the error for a table whose row 0 is row ``offset`` of the user's."""
        return CellError(self.column, self.row + offset, self.problem, self.advice, line)


class CellTypeError(DataError, TypeError):
    """A cell is of a type that stands for no number, text or time."""


class ParameterError(XhatError, ValueError):
    """A parameter has a value that cannot work."""


class TrainingError(XhatError, ArithmeticError):
    """Training stopped because the loss was no longer finite."""


class ModelFileError(XhatError, ValueError):
    """A model file is damaged, foreign or written by a newer version."""


class CheckpointError(XhatError, ValueError):
    """A checkpoint is damaged or belongs to another fit."""


class MissingExtraError(XhatError, ImportError):
    """An optional package is needed for what was asked."""


class EmptyRowsWarning(UserWarning):
    """Rows without any observed cell; counted, so that chunks of a table can be added up."""

    def __init__(self, rows: int, first: int) -> None:
        self.rows, self.first = rows, first
        super().__init__(
            f"{rows} row{'s have' if rows > 1 else ' has'} no observed cell (the first is row "
            f"{first}): their score is 0"
        )


def warn(warning: str | Warning) -> None:
    """Warn, as of the line of the user's code that led here."""
    level, frame = 1, sys._getframe()  # noqa: SLF001
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


class Stopped(BaseException):
    """Not an error: a fit was asked to stop, and its state is on disk."""
