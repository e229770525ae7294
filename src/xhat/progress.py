"""Progress of a fit on standard error: a bar on terminals (extra ``progress``), else plain lines.

Knows: losses per epoch, the clock. Must not know: engines, data.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from xhat.train.loop import LoopState

if TYPE_CHECKING:
    from xhat.callbacks import Epochs
    from xhat.preparing import Prepared


class Progress:
    """Called after every epoch; shows how the fit goes according to ``verbose``.

    Parameters
    ----------
    verbose : int
        0 nothing, 1 a bar on a terminal where rich is installed and elsewhere a line at the epochs
        1, 2, 5, 10, 20, 50, ..., 2 or more a line for every epoch; the filler's come
        before the model's where cells are missing, else after.
    also : Epochs or None
        Told of the same.
    """

    def __init__(self, verbose: int, also: Epochs | None = None) -> None:
        self.verbose, self._also = verbose, also
        self._rows = 0
        self._started = time.perf_counter()
        self._bar: tuple[Any, Any] | None = None
        self._what = ""

    def begin(self, state: LoopState, epochs: int, ready: Prepared) -> None:
        """Start at a state: so many epochs at most, of what was settled before."""
        self._show(epochs, ready, "")
        if self._also is not None:
            self._also.begin(state, epochs, ready)

    def filler(self, epochs: int, ready: Prepared) -> Callable[[LoopState], None]:
        """Return what reports the epochs of the filler."""
        self._show(epochs, ready, "filler, ")
        return self._report

    def _show(self, epochs: int, ready: Prepared, what: str) -> None:
        self.__exit__()
        self._rows, self._started, self._what = ready.rows.n, time.perf_counter(), what
        if self.verbose == 1 and epochs and sys.stderr.isatty():
            self._bar = _bar(epochs, what)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:  # leave the terminal as it was
            self._bar[0].stop()
            self._bar = None

    def __call__(self, state: LoopState) -> None:
        """Report one epoch."""
        if self._also is not None:
            self._also(state)
        self._report(state)

    def _report(self, state: LoopState) -> None:
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, completed=state.epoch, words=self._words(state))
        elif self.verbose >= 2 or (self.verbose == 1 and _is_round(state.epoch)):
            line = f"{self._what}epoch {state.epoch}: {self._words(state)}"
            print(line, file=sys.stderr)  # noqa: T201

    def _words(self, state: LoopState) -> str:
        monitor = state.monitor
        held = f", held-out {monitor.held_out[-1]:.5g}" if monitor.held_out else ""
        speed = ""
        if self._bar is not None:
            seconds = max(time.perf_counter() - self._started, 1e-9)
            speed = f", {self._rows * state.epoch / seconds:,.0f} rows/s"
        return f"loss {monitor.loss[-1]:.5g}{held}{speed}"


def _bar(epochs: int, what: str) -> tuple[Any, Any] | None:
    """Return a started bar and its task, or None without rich."""
    try:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar  # noqa: PLC0415
    except ImportError:
        return None
    bar = Bar(
        TextColumn(f"{what}epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.start()
    return bar, bar.add_task("fit", total=epochs, words="")


def _is_round(epoch: int) -> bool:
    """Return whether epoch is 1, 2 or 5 times a power of ten."""
    return str(epoch).rstrip("0") in ("1", "2", "5")
