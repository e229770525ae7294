"""How unlike the usual rows a row is as a whole, in nats (docs/maths.md, 18).

Knows: encoded rows, and the engine that measures. Must not know: columns, how a model was found.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.engines.base import Engine
from xhat.engines.threads import one_blas_thread
from xhat.maths.quantiles import weighted_quantile
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
#: Name of this part beside the columns of ``explain``.
NAME = "(code)"
#: Sets of stored codes: several, so that no one code decides alone.
SETS = 16
#: Codes in each set at most. A small group of strange training rows is in few of several small
#: sets, so that its like are still far from most.
MOST = 16
#: Rows drawn for each stored code; half of every code is the mean of those nearest to it.
DRAWN = 2
#: How many times as much as the columns this part counts: strange rows that were trained on are
#: rebuilt like others, and are given away by what they are far from.
SHARE = 3.0
#: What counts as near, as a share of the median squared distance.
NEAR = 0.1
#: Shares of the held-out rows: those to which nothing is added, half, all but the strange ones.
NEAREST, MIDDLE, STRANGE = 0.1, 0.5, 0.95
#: Squared distances in units of what is near, at most: products of SETS of them stay finite.
CAP = 1e18
#: Rows per step: their distances stay in cache.
STEP = 4096
#: Drawn rows that are decoded at a time.
DRAWN_STEP = 64
#: Cells (rows x stored rows x columns) of which the shares are computed at a time.
SHARED_CELLS = 2**20
#: Held while stored codes are decoded: of several threads that score, one does it.
_DECODING = threading.Lock()


@dataclass(frozen=True)
class CodePart:
    """The part of the anomaly score that belongs to no column (equations 50 to 53).

    Attributes
    ----------
    stored : ndarray of shape (m, k)
        Codes, each between that of a training row and a mean; number i is of set ``i % SETS``.
    decoded : callable
        Gives what codes mean: encoded rows, in the encoded columns' units.
    unit : float
        Squared distance that counts as near.
    usual : float
        Level of the nearest tenth of the held-out rows: up to it nothing is added.
    weight : float
        Nats per level above.
    engine : Engine
        Measures, so that a row's bits do not depend on its neighbours.
    """

    stored: Floats
    decoded: Callable[[Floats], Matrix]
    unit: float
    usual: float
    weight: float
    engine: Engine

    @property
    def rows(self) -> Matrix:
        """What the stored codes decode to, (m, d), from the first score on.

        A table may have many more encoded columns than its model file has bytes for each of these
        rows, so that a file which is only looked at should not make them.
        """
        if "_rows" not in self.__dict__:
            with _DECODING:
                if "_rows" not in self.__dict__:
                    self.__dict__["_rows"] = self.decoded(self.stored)
        rows: Matrix = self.__dict__["_rows"]
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all but the rows, which can be computed again."""
        return {name: value for name, value in self.__dict__.items() if name != "_rows"}

    def nats(self, Z: Matrix) -> Floats:
        """Return what encoded rows Z add to the score, (n,)."""
        level = np.empty(len(Z))
        for first in range(0, len(Z), STEP):
            near = self.nearest(Z[first : first + STEP])
            level[first : first + STEP] = levels(near, self.unit)
        return np.asarray(self.weight * np.maximum(level - self.usual, 0))  # (52)

    def nearest(self, Z: Matrix) -> Floats:
        """Return the squared distance to the nearest row of each set, (n, SETS)."""
        return self.engine.nearest(Z, self.rows, SETS)  # (50)

    def shares(self, Z: Matrix) -> Floats:
        """Return how much of each level comes from each encoded column, (n, d).

        ``D_r`` is a sum over the columns; in that proportion set r's term of the level belongs to
        them (54). Rows sum to 1, or to 0.
        """
        found = np.zeros(Z.shape)
        size = max(1, SHARED_CELLS // self.rows.size)
        for first in range(0, len(Z), size):
            z = Z[first : first + size].astype(np.float64)
            apart = (z[:, None] - self.rows) ** 2
            whole = apart.sum(axis=2).reshape(len(z), -1, SETS)
            at = whole.argmin(axis=1) * SETS + np.arange(SETS)
            near = whole.min(axis=1)
            known = (near > 0) & np.isfinite(near)
            terms = np.log1p(np.minimum(near / self.unit, CAP)) / np.where(known, near, 1.0)
            nearest = np.take_along_axis(apart, at[:, :, None], axis=1)
            found[first : first + size] = np.einsum(
                "ir,irj->ij", np.where(known, terms, 0), np.where(known[:, :, None], nearest, 0)
            )
        total = found.sum(axis=1, keepdims=True)
        return np.asarray(found / np.where(total > 0, total, 1.0))


def levels(near: Floats, unit: float) -> Floats:
    """Return the mean over the sets of log(1 + squared distance to the nearest / unit)."""
    # One logarithm of a product instead of one a set; the cap keeps the product finite
    factors = 1 + np.minimum(near / unit, CAP)
    while factors.shape[1] > 1:
        half = factors.shape[1] // 2
        factors = factors[:, :half] * factors[:, half:]
    return np.asarray(np.log(factors[:, 0]) / SETS)  # (51)


def stored_size(n: int) -> int:
    """Return how many of n training rows are stored: SETS times a power of two.

    >>> [stored_size(n) for n in (15, 100, 10**6)]
    [0, 64, 256]
    """
    size = min(MOST, n // SETS)
    return SETS * 2 ** (size.bit_length() - 1) if size else 0


def between(H: Floats, decoded: Callable[[Floats], Matrix], m: int) -> Floats:
    """Return m codes to store, of more drawn rows with codes H; ``decoded`` gives what codes mean.

    Of each set, every code is moved half the way to the mean of the drawn codes that are nearer to
    it than to the others of its set (by their reconstructions): a set then stands for all of them.
    """
    stored, rows = H[:m].copy(), decoded(H[:m])
    near = np.empty((SETS, len(H)), np.intp)
    with one_blas_thread():
        for first in range(0, len(H), DRAWN_STEP):
            X_hat = decoded(H[first : first + DRAWN_STEP]).astype(np.float64)
            for r in range(SETS):
                kept = rows[r::SETS].astype(np.float64)
                distance = 0.5 * np.einsum("ij,ij->i", kept, kept) - X_hat @ kept.T
                near[r, first : first + DRAWN_STEP] = distance.argmin(axis=1)
    for r in range(SETS):
        for i in range(m // SETS):
            mine = near[r] == i
            mean = H[mine].mean(axis=0) if mine.any() else H[r + i * SETS]
            stored[r + i * SETS] = (H[r + i * SETS] + mean) / 2
    return stored


@dataclass(frozen=True)
class Unseen:
    """Held-out rows of one model: how far they are from each set, and what their columns add."""

    near: Floats
    columns: Floats
    weight: Vector | None


def calibrate(part: CodePart, unseen: Sequence[Unseen]) -> tuple[CodePart, list[Floats]]:
    """Return ``part`` with unit, usual level and weight, and the scores of the unseen rows.

    From the median row to the one that 5 % exceed, this part then grows by SHARE times as many nats
    as the columns do (equation 53).
    """
    weight = None
    if any(u.weight is not None for u in unseen):
        weight = np.concatenate(
            [np.ones(len(u.near)) if u.weight is None else u.weight for u in unseen]
        )

    def at(values: Sequence[Floats], q: float, repeats: int = 1) -> float:
        copies = None if weight is None else np.repeat(weight, repeats)
        joined = values[0] if len(values) == 1 else np.concatenate(values)
        return weighted_quantile(joined.ravel(), copies, q)

    near = [u.near for u in unseen]
    middle = at(near, MIDDLE, SETS) or float(np.mean(np.concatenate(near))) or 1.0
    unit = max(NEAR * middle, float(np.finfo(float).tiny))
    found = [levels(distances, unit) for distances in near]
    columns = [u.columns for u in unseen]
    usual = at(found, NEAREST)
    growth = at(found, STRANGE) - at(found, MIDDLE)
    nats = at(columns, STRANGE) - at(columns, MIDDLE)
    each = SHARE * nats / growth if growth > 0 else 0.0
    part = replace(part, unit=unit, usual=usual, weight=each)
    added = [part.weight * np.maximum(level - usual, 0) for level in found]
    return part, [c + a for c, a in zip(columns, added, strict=True)]
