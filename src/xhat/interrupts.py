"""What the command line does when it is told to stop: Ctrl-C (SIGINT), SIGTERM and SIGHUP.

The first signal ends the command within GRACE seconds: a fit with a checkpoint writes its state at
the end of the run of steps in progress, anything else stops at once. A second signal ends the
process where it is. Nothing is lost by that: files appear whole or not at all.

SIGHUP says that the terminal is gone; where it is ignored (nohup), it stays so.

Python calls its handlers only between instructions of the main thread. A long call into C would
hold them up, so a thread of its own is woken by the signal too, and has the last word.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xhat.errors import one_line

if TYPE_CHECKING:
    from xhat.train.checkpoint import Checkpoint

#: Seconds between the first signal and the end of the process, at most.
GRACE = 1.5
#: What tells a command to stop; Windows has no SIGHUP.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(BaseException):
    """The command was told to stop; ``code`` is the exit code that says by which signal."""

    def __init__(self, code: int) -> None:
        super().__init__("interrupted")
        self.code = code


class _State:
    """What the process has been told so far."""

    code: int = 0
    checkpoint: Checkpoint | None = None
    advice: str = ""


_state = _State()


def wanted() -> bool:
    """Return whether the command was told to stop."""
    return _state.code != 0


def exit_code() -> int:
    """Return the exit code of a command that was told to stop."""
    return _state.code or 128 + signal.SIGINT


def message() -> str:
    """Return the line that tells how to go on."""
    return f"interrupted{_state.advice}"


def guard(checkpoint: Checkpoint | None, advice: str) -> None:
    """Name the checkpoint of the fit in progress, and what to say if it is interrupted."""
    _state.checkpoint, _state.advice = checkpoint, advice


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Handle signals while the block runs; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.code, _state.checkpoint, _state.advice = 0, None, ""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = {number: signal.signal(number, _handle) for number in _heeded()}
    woken = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        theirs.close()  # ends the thread


def _heeded() -> list[signal.Signals]:
    """Return the signals to handle: not a SIGHUP that the process was told to ignore."""
    ignored = signal.SIG_IGN
    return [n for n in SIGNALS if n.name != "SIGHUP" or signal.getsignal(n) is not ignored]


def _handle(number: int, _frame: object) -> None:
    """In the main thread, when Python gets to it."""
    if _state.code:
        return
    _state.code = 128 + number
    if _state.checkpoint is None or not _state.checkpoint.running:
        raise Interrupted(_state.code)


def _watch(ours: socket.socket) -> None:
    """In a thread of its own: wait for signals; the second one, or GRACE after the first, ends."""
    with ours:
        number = _next_signal(ours)
        if number is None:
            return
        ours.settimeout(GRACE)
        try:
            if _next_signal(ours) is None:
                return
        except TimeoutError:
            with contextlib.suppress(OSError, ValueError):
                print(one_line(message()), file=sys.stderr, flush=True)  # noqa: T201
        os._exit(128 + number)


def _next_signal(ours: socket.socket) -> int | None:
    """Return the next signal's number, or None when the block has ended."""
    while data := ours.recv(1):
        if data[0] in SIGNALS:
            return data[0]
    return None
