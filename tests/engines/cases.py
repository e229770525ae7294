"""What the engine tests share: engines under test, networks, rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xhat.engines import available
from xhat.maths.corruption import Columns, Corruption
from xhat.maths.heads import BinaryCrossEntropy, Block, Poisson, Softmax, SquaredError
from xhat.maths.objective import Batch, Objective
from xhat.maths.params import Network
from xhat.maths.penalties import Penalty

#: Largest difference to the reference, relative to the largest entry: rounding of sums.
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}

HEADS = {
    "linear": SquaredError(),
    "logistic": SquaredError("logistic"),
    "tanh": SquaredError("tanh"),
    "binary": BinaryCrossEntropy(),
    "softmax": Softmax(),
    "poisson": Poisson(0.3),  # reached: both sides of the limit are met
}


def engines():
    """Every engine of this installation; a missing one fails in test_choice.py."""
    return [engine for engine in available().values() if not isinstance(engine, str)]


def compiled():
    """The compiled engine and its binding."""
    from xhat.engines.compiled import _kernels, engine

    return engine.CompiledEngine(), _kernels


def columns_of(X):
    """Return what a corruption may know of columns: ranges, means, groups of 1, 2, 3, ..."""
    d = X.shape[1]
    group = np.repeat(np.arange(d), np.arange(d) + 1)[:d]
    return Columns(X.min(axis=0), X.max(axis=0), X.mean(axis=0), group)


@dataclass(frozen=True)
class Case:
    """A network, its objective and its rows, drawn from a seed."""

    d: int = 5
    k: int = 3
    hidden: tuple[int, ...] = ()
    g: str = "sigmoid"
    g_code: str = "sigmoid"
    heads: tuple[str, ...] = ("linear",)
    tied: bool = False
    linear_path: bool = False
    block_weights: bool = False
    masked: bool = False
    weighted: bool = False
    penalties: tuple[Penalty, ...] = ()
    corruption: Corruption | None = None
    n: int = 33
    dtype: type = field(default=np.float64)
    seed: int = 0

    @property
    def net(self):
        cuts = np.linspace(0, self.d, min(len(self.heads), self.d) + 1).astype(int)
        blocks = tuple(
            Block(int(a), int(b), HEADS[head], 0.5 + i % 3 if self.block_weights else 1.0)
            for i, (a, b, head) in enumerate(zip(cuts, cuts[1:], self.heads, strict=False))
        )
        return Network(
            self.d, self.k, blocks, self.hidden, self.g, self.g_code, self.tied, self.linear_path
        )

    @property
    def theta(self):
        rng = np.random.default_rng(self.seed)
        return (0.3 * rng.standard_normal(self.net.size)).astype(self.dtype)

    @property
    def batch(self):
        rng = np.random.default_rng(self.seed + 1)
        X = rng.random((self.n, self.d)).astype(self.dtype)
        weight = (2 * rng.random(self.n)).astype(self.dtype) if self.weighted else None
        mask = (rng.random((self.n, self.d)) < 0.8).astype(self.dtype) if self.masked else None
        return Batch(X, weight, mask)

    @property
    def objective(self):
        X = self.batch.X
        return Objective(self.net, self.penalties, self.corruption, columns_of(X))


def distance(a, b):
    """Largest difference, relative to the largest entry."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12))
