"""The trainings of the folds of a small table: taken up where they stand, kept on the way.

Knows: prepared rows, states of a training. Must not know: how an epoch is chosen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from xhat.model import Model
from xhat.preparing import Prepared
from xhat.sources import Split
from xhat.train.loop import LoopState
from xhat.verdict import Comparison, compare

#: States of a fold's training that are kept, at most: the chosen epoch is soon reached again.
KEEP = 15
#: Bytes that these states take at most.
KEPT_BYTES = 2**26

OnEpoch = Callable[[LoopState], None]
#: Rows, the epoch to stop after, what is told, a state to go on from -> the state there.
Training = Callable[[Prepared, int, OnEpoch, LoopState | None], LoopState]


@dataclass
class FoldRuns:
    """Each fold's training; a fold is known by its first held-out row.

    Attributes
    ----------
    prepared : callable
        Split -> its rows, made ready.
    train : Training
        The same schedule for all folds.
    every : int
        Epochs between two states that are kept.
    """

    prepared: Callable[[Split], Prepared]
    train: Training
    every: int
    _parts: dict[int, Prepared] = field(default_factory=dict)
    _at: dict[int, LoopState] = field(default_factory=dict)
    _kept: dict[int, list[LoopState]] = field(default_factory=dict)

    def curve(self, split: Split, epochs: int) -> list[float]:
        """Train a fold up to an epoch; return its held-out loss of every epoch so far."""
        key = int(split.held_out[0])
        states = self._kept.setdefault(key, [])

        def keep(state: LoopState) -> None:
            if state.epoch % self.every == 0:
                states.append(copy.deepcopy(state))

        self._at[key] = self._run(split, epochs, keep, self._at.get(key))
        return self._at[key].monitor.held_out

    def model_after(self, split: Split, epochs: int) -> tuple[Model, Comparison]:
        """Return the fold's model as it was at an epoch (PCA at 0), compared; forget the fold."""
        key = int(split.held_out[0])
        self._at.pop(key, None)
        before = [s for s in self._kept.pop(key, []) if s.epoch <= epochs]
        state = self._run(split, epochs, lambda _: None, before[-1] if before else None)
        part = self._parts.pop(key)
        model = part.model(state.monitor.latest(state.theta)) if epochs else part.pca()
        found = compare(model, part.baseline, part.source, split.held_out, "", is_pca=not epochs)
        return model, found

    def _run(
        self, split: Split, epochs: int, on_epoch: OnEpoch, begun: LoopState | None
    ) -> LoopState:
        key = int(split.held_out[0])
        if key not in self._parts:
            self._parts[key] = self.prepared(split)
        state = self.train(self._parts[key], epochs, on_epoch, begun)
        if state.interrupted:
            raise KeyboardInterrupt
        return state


def epochs_between(size: int, folds: int, epochs: int) -> int:
    """Return after how many epochs a state is kept, so that those of all folds fit KEPT_BYTES.

    Examples
    --------
    >>> epochs_between(1000, 5, 1500), epochs_between(300_000, 5, 1500)
    (101, 1501)
    """
    places = KEPT_BYTES // (folds * 6 * size * 8)  # theta, the best one, their mean, Adam's three
    return epochs // min(places, KEEP) + 1 if places else epochs + 1
