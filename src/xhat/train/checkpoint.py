"""Checkpoints: the state of a fit on disk, so that a killed one ends with the same bytes.

Knows: LoopState, the format of files, when to write. Must not know: estimators, what data are.

A folder holds the last two checkpoints, ``checkpoint-N.xhatc``: safetensors and JSON with a digest,
as a model file, never a pickle. All that can be computed again from data and parameters (split,
scales, start) is not stored; a fingerprint of both makes sure that it comes out the same. The
network that is trained beside the model has its own two, ``filler-N.xhatc``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from xhat import files
from xhat.container import Damaged, Format, pack, unpack
from xhat.engines.base import OptimizerState
from xhat.errors import CheckpointError, ParameterError, Stopped
from xhat.train.loop import LoopState

CHECKPOINT = Format("xhat-checkpoint", "checkpoint", 1)
SUFFIX = ".xhatc"
#: How the files of either network begin.
MODEL, FILLER = "checkpoint", "filler"
#: Seconds between two checkpoints: so many times what writing one took, at least EVERY.
PATIENCE, EVERY = 20, 0.2
_FIELDS = {
    *("format", "sha256", "xhat_version", "fingerprint"),
    *("generator", "epoch_generator", "seed_generator"),
    *("epoch", "step", "optimizer_step", "slots", "best_epoch", "best_loss", "stopped"),
}
_ARRAYS = ("theta", "best_theta", "average", "loss", "held_out", "losses", "decay")
#: Steps that a fit may have taken: as many as float64 tells apart.
MOST_STEPS = 2**53


@dataclass
class Checkpoint:
    """A folder in which a fit keeps its state.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    resume : bool
        Go on with what is there, or start anew if nothing is. False: refuse a folder that is
        not empty.
    stop : callable or None
        Asked after every run of steps; if it returns True, the state is written and ``Stopped``
        raised.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from xhat import Autoencoder
    >>> X = np.random.default_rng(0).normal(size=(60, 4))
    >>> folder = tempfile.mkdtemp()
    >>> ae = Autoencoder(2, hidden=(8,), max_iter=5, random_state=0).fit(X, checkpoint=folder)
    >>> len(list(Path(folder).iterdir()))
    1
    """

    folder: str | os.PathLike[str]
    resume: bool = True
    stop: Callable[[], bool] | None = None
    #: Whether ``stop`` is being asked: training goes on between its runs of steps.
    running: bool = field(default=False, init=False)
    #: Whether the fit was given a seed, which must be that of what is found; else that is taken.
    seeded: bool = field(default=False, init=False)
    _whole: Checkpoint | None = field(default=None, repr=False)
    _name: str = field(default=MODEL, repr=False)
    _fingerprint: dict[str, str] = field(default_factory=dict, repr=False)
    _seed: dict[str, Any] = field(default_factory=dict, repr=False)
    _found: tuple[dict[str, Any], dict[str, Any]] | None = field(default=None, repr=False)
    _begun: bool = field(default=False, repr=False)
    _number: int = 0
    _due: float = 0.0

    def __post_init__(self) -> None:
        named = isinstance(self.folder, (str, os.PathLike)) and os.fspath(self.folder)
        if not isinstance(named, str) or not named or "\0" in named:
            raise ParameterError(f"checkpoint={self.folder!r:.200}: expected the name of a folder")

    def reopened(self) -> Self:
        """Return it for another fit: the last one may have ended anywhere."""
        self._begun, self._found, self.running = False, None, False
        return self

    def begin(self, rng: np.random.Generator) -> None:
        """Look for something to resume; the generator is set to where that fit began.

        A fit that draws from its generator early (rows on disk) begins early; it begins once.

        Raises
        ------
        ParameterError
            If it is a file, or the folder is not empty and nothing is to be resumed.
        CheckpointError
            If no checkpoint in it can be read, or it is that of a fit from another seed.
        """
        if self._begun:
            return
        folder = Path(self.folder)
        if folder.exists() and not folder.is_dir():
            raise ParameterError(f"checkpoint {folder} is a file: give the name of a folder")
        files.make_folder(folder)
        if not self.resume and any(folder.iterdir()):
            raise ParameterError(f"{folder} is not empty: give --resume, or another folder")
        files.sweep(folder)
        self._found = self._newest(MODEL)
        found = self._found or self._newest(FILLER)
        if found is not None:
            if self.seeded and found[0]["seed_generator"] != _generator_state(rng):
                raise self._of_another("seed")
            rng.bit_generator.state = found[0]["seed_generator"]
        self._seed = _generator_state(rng)
        self._begun = True

    def filler(self) -> Checkpoint:
        """Return the checkpoint, in the same folder, of the network trained beside the model."""
        part = Checkpoint(self.folder, self.resume, self.stop)
        part._whole, part._seed, part._name = self, self._seed, FILLER
        part._found = part._newest(FILLER)
        return part

    def _newest(self, name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the newest checkpoint that is intact; older ones stand in for damaged ones."""
        problem = None
        for number, path in reversed(self._numbered(name)):
            self._number = max(self._number, number)
            try:
                return _read(path)
            except Damaged as error:
                problem = problem or f"{path}: {error}"
        if problem is not None:
            raise CheckpointError(f"{problem}; to start anew, give another folder")
        return None

    def _numbered(self, name: str) -> list[tuple[int, Path]]:
        paths = Path(self.folder).glob(f"{name}-*{SUFFIX}")
        numbers = [(path.stem.removeprefix(f"{name}-"), path) for path in paths]
        return sorted((int(n), path) for n, path in numbers if n.isascii() and n.isdigit())

    def restore(self, state: LoopState, fingerprint: Mapping[str, str]) -> None:
        """Put the state of the fit found in the folder into a fresh one.

        Parameters
        ----------
        state : LoopState
            At its start.
        fingerprint : mapping of what it describes to a digest
            Of data, parameters and so on; all must be as they were.
        """
        self._fingerprint = dict(fingerprint)
        self._due = time.monotonic() + EVERY
        self._set_running(running=state.optimizer is not None)
        if self._found is None:
            return
        header, arrays = self._found
        self._found = None
        for name, digest in fingerprint.items():
            if header["fingerprint"].get(name) != digest:
                raise self._of_another(name)
        try:
            _restore(state, header, arrays)
        except (TypeError, ValueError, KeyError) as error:
            raise CheckpointError(f"{self.folder}: a checkpoint does not fit ({error})") from None

    def _of_another(self, what: str) -> CheckpointError:
        """Return the error for a checkpoint of a fit that differs in this."""
        return CheckpointError(
            f"{self.folder} holds a checkpoint of another fit (other {what}): give another folder, "
            "or the same data, parameters and seed"
        )

    def __call__(self, state: LoopState) -> None:
        """Between two runs of steps: write a checkpoint if it is time, stop if asked to."""
        stopping = self.stop is not None and self.stop()
        if stopping or time.monotonic() >= self._due:
            self.write(state)
        if stopping:
            raise Stopped

    def finish(self, state: LoopState) -> None:
        """After training: the state at its end; what follows is computed anew when resumed."""
        self._set_running(running=False)
        state.stopped = True
        self.write(state)

    def _set_running(self, *, running: bool) -> None:
        """Set it, and that of the checkpoint that this one is part of."""
        self.running = running
        if self._whole is not None:
            self._whole.running = running

    def write(self, state: LoopState) -> None:
        """Write the state; keep the last two checkpoints."""
        began = time.monotonic()
        data = _pack(state, self._fingerprint, self._seed)
        self._number += 1
        with files.atomic(Path(self.folder) / f"{self._name}-{self._number}{SUFFIX}") as file:
            file.write(data)
        for _, path in self._numbered(self._name)[:-2]:
            files.remove(path)
        now = time.monotonic()
        self._due = now + max(EVERY, PATIENCE * (now - began))


def opened(
    checkpoint: str | os.PathLike[str] | Checkpoint | None, *, seeded: bool
) -> Checkpoint | None:
    """Return the checkpoint of a folder, for a fit that has not begun."""
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    found = checkpoint.reopened()
    found.seeded = seeded
    return found


def _pack(state: LoopState, fingerprint: dict[str, str], seed: dict[str, Any]) -> bytes:
    from xhat import __version__  # noqa: PLC0415

    monitor, optimizer = state.monitor, state.optimizer or OptimizerState()
    dtype = state.theta.dtype
    arrays = {
        "theta": state.theta,
        "best_theta": monitor.best_theta,
        "average": np.empty(0, dtype) if monitor.average is None else monitor.average,
        "loss": np.array(monitor.loss, np.float64),
        "held_out": np.array(monitor.held_out, np.float64),
        "losses": np.concatenate([np.empty(0), *state.losses]),
        "decay": np.empty(0, dtype) if optimizer.decay is None else optimizer.decay,
        **{f"slot_{name}": slot for name, slot in optimizer.slots.items()},
    }
    header = {
        "xhat_version": __version__,
        "fingerprint": fingerprint,
        "generator": _generator_state(state.rng),
        "epoch_generator": state.epoch_generator,
        "seed_generator": seed,
        "epoch": state.epoch,
        "step": state.step,
        "optimizer_step": optimizer.step,
        "slots": sorted(optimizer.slots),
        "best_epoch": monitor.best_epoch,
        "best_loss": float(monitor.best_loss),
        "stopped": bool(state.stopped),
    }
    return pack(CHECKPOINT, header, arrays)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    header, arrays = unpack(CHECKPOINT, path, _ARRAYS, optional=("slot_",))
    if set(header) != _FIELDS:
        raise Damaged("its header does not have the fields it must have")
    for name, good in _CHECKS.items():
        if not good(header[name]):
            raise Damaged(f"the field {name!r} of its header is not what it must be")
    for name in ("loss", "held_out", "losses"):
        if arrays[name].ndim != 1:
            raise Damaged(f"array {name!r} is no list of numbers")
    epoch, found = header["epoch"], {name: len(arrays[name]) for name in ("loss", "held_out")}
    agree = found["loss"] == epoch >= header["best_epoch"] and found["held_out"] in (0, epoch + 1)
    if not agree or len(arrays["losses"]) != header["step"]:
        raise Damaged("its losses are not those of its epochs and steps")
    return header, arrays


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST_STEPS


def _is_loss(value: object) -> bool:
    """Return whether it is a loss, or infinity: that of a fit that has not begun."""
    return type(value) is float and value == value  # noqa: PLR0124  (not NaN)


def _is_digests(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values())


def _is_generator(value: object) -> bool:
    """Return whether a generator of the kind that fits use takes it as its state."""
    try:
        np.random.default_rng(0).bit_generator.state = value  # type: ignore[assignment]
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError):
        return False
    return True


_CHECKS: dict[str, Callable[[object], bool]] = {
    "fingerprint": _is_digests,
    **dict.fromkeys(("generator", "seed_generator"), _is_generator),
    "epoch_generator": lambda value: value is None or _is_generator(value),
    **dict.fromkeys(("epoch", "step", "optimizer_step", "best_epoch"), _is_count),
    "best_loss": _is_loss,
    "stopped": lambda value: isinstance(value, bool),
}


def _restore(state: LoopState, header: dict[str, Any], arrays: dict[str, Any]) -> None:
    monitor = state.monitor
    slots = {} if state.optimizer is None else state.optimizer.slots
    if header["slots"] != sorted(slots):
        raise ValueError("its optimiser is another one")
    targets = {"theta": state.theta, "best_theta": monitor.best_theta}
    targets |= {f"slot_{name}": slot for name, slot in slots.items()}
    if len(arrays["average"]):
        targets["average"] = monitor.average = np.empty_like(state.theta)
    if state.optimizer is not None and state.optimizer.decay is not None:
        targets["decay"] = state.optimizer.decay
    for name, target in targets.items():
        if arrays[name].shape != target.shape or arrays[name].dtype != target.dtype:
            raise ValueError(f"its array {name} has another shape")
        target[...] = arrays[name]
    if state.optimizer is not None:
        state.optimizer.step = header["optimizer_step"]
    monitor.loss[:], monitor.held_out[:] = arrays["loss"].tolist(), arrays["held_out"].tolist()
    monitor.best_epoch, monitor.best_loss = header["best_epoch"], header["best_loss"]
    state.epoch, state.step = header["epoch"], header["step"]
    state.losses = [arrays["losses"]] if len(arrays["losses"]) else []
    state.stopped = header["stopped"]
    state.epoch_generator = header["epoch_generator"]
    state.rng.bit_generator.state = header["generator"]


def _generator_state(rng: np.random.Generator) -> dict[str, Any]:
    return dict(rng.bit_generator.state)
