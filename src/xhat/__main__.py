"""The ``xhat`` command: runs xhat.cli and turns every outcome into an exit code and one line.

Exit codes (sysexits): 0 done, 64 usage, 65 data, 70 bug, 74 files; 129, 130 and 143 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import click

from xhat.errors import one_line
from xhat.interrupts import Interrupted, exit_code, message, wanted, watched

USAGE, DATA, BUG, FILES = 64, 65, 70, 74


def main() -> None:
    """Run the command line of this process."""
    _settle_encodings()
    sys.exit(run(sys.argv[1:]))


def _settle_encodings() -> None:
    """Let a file or a pipe get UTF-8, as with -o; a terminal shows what it cannot as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # there may be none
            stream.reconfigure(errors="backslashreplace")
            if stream is sys.stdout and not stream.isatty():
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Examples
    --------
    >>> run(["--version"])
    xhat 0.1.0
    0
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            from xhat.cli import cli  # noqa: PLC0415  (imported where Ctrl-C is understood)

            with watched():
                code = cli.main(list(arguments), prog_name="xhat", standalone_mode=False)
                sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001  (this is the last line of defence)
            return _report(error)
    return code if isinstance(code, int) else 0


def _report(error: BaseException) -> int:
    """Print the error in one line and return the exit code it stands for."""
    code, lines = _classify(error)
    if isinstance(error, OSError):
        _drop_stdout()
    if os.environ.get("XHAT_DEBUG") == "1":
        traceback.print_exception(error)
    with contextlib.suppress(OSError):  # the terminal may be gone
        for line in lines:
            print(one_line(line), file=sys.stderr)  # noqa: T201
    return code


def _classify(error: BaseException) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return USAGE, []
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        see = f" (see {context.command_path} --help)" if context else ""
        return USAGE, [error.format_message().rstrip(".") + see]
    for kinds, code, lines in _outcomes(error):
        if isinstance(error, kinds):
            return code, lines
    if wanted():  # a library that was interrupted may swallow that and fail at something else
        return exit_code(), [message()]
    what = f"bug: {type(error).__name__}: {one_line(str(error), 200)}; "
    return BUG, [what + "set XHAT_DEBUG=1 for the traceback, and please report it"]


def _outcomes(error: BaseException) -> list[tuple[Any, int, list[str]]]:
    """List what can go wrong, subclasses before their bases."""
    from xhat import errors  # noqa: PLC0415

    return [
        ((click.Abort, KeyboardInterrupt, Interrupted, errors.Stopped), exit_code(), [message()]),
        (SystemExit, 0, []),  # click's answer to a closed pipe
        (errors.ParameterError, USAGE, [str(error)]),
        (errors.MissingExtraError, FILES, [str(error)]),
        (errors.XhatError, DATA, str(error).split("\n")),
        (OSError, FILES, [_file_error(error)]),
        (MemoryError, FILES, ["out of memory: use fewer rows or columns"]),
    ]


def _drop_stdout() -> None:
    """Let the flush at exit not complain again where standard output cannot be written to."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _file_error(error: BaseException) -> str:
    name, reason = getattr(error, "filename", None), getattr(error, "strerror", None) or str(error)
    return f"{name}: {reason}" if name else reason


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a Python warning without the file and line that it came from."""
    print(one_line(f"warning: {message}"), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
