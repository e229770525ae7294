"""Progress of a fit as plain lines on standard error."""

from __future__ import annotations

import sys

from xhat.train.loop import LoopState


class Progress:
    """Called after every epoch; prints according to ``verbose``.

    Parameters
    ----------
    verbose : int
        0 nothing, 1 the epochs 1, 2, 5, 10, 20, 50, ..., 2 or more every epoch.
    """

    def __init__(self, verbose: int) -> None:
        self.verbose = verbose

    def __call__(self, state: LoopState) -> None:
        """Report one epoch."""
        if self.verbose >= 2 or (self.verbose == 1 and _is_round(state.epoch)):
            monitor = state.monitor
            held = f", held-out {monitor.held_out[-1]:.5g}" if monitor.held_out else ""
            print(f"epoch {state.epoch}: loss {monitor.loss[-1]:.5g}{held}", file=sys.stderr)  # noqa: T201


def _is_round(epoch: int) -> bool:
    """Return whether epoch is 1, 2 or 5 times a power of ten."""
    return str(epoch).rstrip("0") in ("1", "2", "5")
