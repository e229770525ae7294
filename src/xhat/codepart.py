"""How unusual a code is, in nats: its distance from codes of training rows (docs/maths.md, 18).

Knows: codes, and the engine that multiplies. Must not know: rows, columns, how a model was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from xhat.engines.base import Engine
from xhat.engines.threads import one_blas_thread
from xhat.maths.quantiles import weighted_quantile
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
#: Name of this part beside the columns of ``explain``.
NAME = "(code)"
#: Sets of stored codes: several, so that no one code decides alone. Older model files have 8.
SETS, OLD_SETS = 16, 8
#: Codes in each set at most. A small group of strange training rows is in few of several small
#: sets, so that its like are still far from most; where there are none, more codes know more.
MIXED, CLEAN = 16, 128
#: How many times as much as the columns the code counts: strange rows that were trained on are
#: rebuilt like others, and their code gives them away; where there are none, the columns know more.
MIXED_SHARE, CLEAN_SHARE = 2.0, 1.0
#: Codes per step: their distances stay in cache.
STEP = 4096
#: What a usual row is, and where the strange ones begin, among the held-out rows.
USUAL, STRANGE = 0.5, 0.95


@dataclass(frozen=True)
class CodePart:
    """The part of the anomaly score that a row's code adds (equations 50 to 53).

    Attributes
    ----------
    metric : ndarray of shape (k, k)
        L: ``|(h - p) L|`` is how far apart the reconstructions of h and p are, to first order.
    stored : ndarray of shape (m, k)
        Codes of training rows; number i belongs to set ``i % sets``.
    unit : float
        Median squared distance of held-out codes to their nearest in a set.
    usual : float
        Median level of held-out codes: up to it a code adds nothing.
    weight : float
        Nats per level above; of a part that is not calibrated, how many times as much as the
        columns it will count.
    engine : Engine
        Multiplies, so that a row's bits do not depend on its neighbours.
    sets : int
        Number of sets.
    """

    metric: Floats
    stored: Floats
    unit: float
    usual: float
    weight: float
    engine: Engine
    sets: int = SETS
    _cache: dict[str, Floats] = field(default_factory=dict, repr=False, init=False, compare=False)

    def nats(self, H: Matrix) -> Floats:
        """Return what codes H add to the score, (n,): 0 for the usual half."""
        return np.asarray(self.weight * np.maximum(self.level(H) - self.usual, 0))  # (52)

    def level(self, H: Matrix) -> Floats:
        """Return the mean over the sets of log(1 + squared distance to the nearest / unit)."""
        level = np.empty(len(H))
        for first in range(0, len(H), STEP):
            near = self.nearest(H[first : first + STEP])
            # One logarithm of a product instead of one a set; the cap keeps the product finite
            factors = 1 + np.minimum(near / self.unit, self._cap())
            while factors.shape[1] > 1:
                half = factors.shape[1] // 2
                factors = factors[:, :half] * factors[:, half:]
            level[first : first + STEP] = np.log(factors[:, 0]) / self.sets  # (51)
        return level

    def nearest(self, H: Matrix) -> Floats:
        """Return the squared distance to the nearest stored code of each set, (n, sets)."""
        return self.engine.nearest(H, self.metric, self.mapped(), self.sets)  # (50)

    def shares(self, H: Matrix, slope: Floats) -> Floats:
        """Return how much of each level comes from each output, (n, d): rows sum to 1, or to 0.

        ``D_r`` is a sum over the outputs, of ``((h - p) B)_j ** 2`` with B the ``slope``; in that
        proportion set r's term of the level belongs to them (54).
        """
        found = np.zeros((len(H), slope.shape[1]))
        for first in range(0, len(H), STEP // self.sets):
            place = slice(first, first + STEP // self.sets)
            part = H[place].astype(np.float64)
            for r in range(self.sets):
                squares = (part @ self.metric)[:, None] - self.mapped()[r :: self.sets]
                squares = (squares**2).sum(axis=2)
                nearest = self.stored[r :: self.sets][squares.argmin(axis=1)]
                apart = ((part - nearest) @ slope) ** 2
                whole = apart.sum(axis=1, keepdims=True)
                near = squares.min(axis=1, keepdims=True) / self.unit
                known = (whole > 0) & np.isfinite(whole)
                share = np.divide(apart, whole, out=np.zeros_like(apart), where=known)
                found[place] += share * np.log1p(np.minimum(near, self._cap()))
        total = found.sum(axis=1, keepdims=True)
        return np.asarray(found / np.where(total > 0, total, 1.0))

    def _cap(self) -> float:
        return float(min(1e30, 10.0 ** (288 / self.sets)))

    def mapped(self) -> Floats:
        """Return the stored codes in the metric; computed once."""
        if "mapped" not in self._cache:
            with one_blas_thread():
                self._cache["mapped"] = self.stored @ self.metric
        return self._cache["mapped"]


def store(H: Matrix, X_hat: Matrix, engine: Engine, *, clean: bool) -> CodePart:
    """Return the part of stored codes H with reconstructions X_hat, not yet calibrated.

    Its weight is how many times as much as the columns it will count.
    """
    stored = H.astype(np.float64)
    with one_blas_thread():
        B = slope(stored, X_hat)
        squares, V = np.linalg.eigh(B @ B.T)
    metric = V * np.sqrt(np.maximum(squares, 0))
    return CodePart(metric, stored, 1.0, 0.0, CLEAN_SHARE if clean else MIXED_SHARE, engine)


def slope(H: Floats, X_hat: Matrix) -> Floats:
    """Return B, (k, d), the decoder to first order: what best takes codes H to X_hat."""
    A, targets = H - H.mean(axis=0), X_hat - X_hat.mean(axis=0, dtype=np.float64)
    found: Floats = np.linalg.lstsq(A, targets.astype(np.float64), rcond=1e-6)[0]
    return found


def stored_size(n: int, *, clean: bool) -> int:
    """Return how many of n training rows are stored: SETS times a power of two.

    >>> [stored_size(n, clean=False) for n in (15, 100, 10**6)], stored_size(10**6, clean=True)
    ([0, 64, 256], 2048)
    """
    size = min(CLEAN if clean else MIXED, n // SETS)
    return SETS * 2 ** (size.bit_length() - 1) if size else 0


@dataclass(frozen=True)
class Unseen:
    """Held-out rows of one model: their codes and what their columns add to the score."""

    part: CodePart
    codes: Matrix
    columns: Floats
    weight: Vector | None


def calibrate(part: CodePart, unseen: Sequence[Unseen]) -> tuple[CodePart, list[Floats]]:
    """Return ``part`` with unit, usual level and weight, and the scores of the unseen rows.

    From the median row to the one that 5 % exceed, the code then grows by ``part.weight`` times as
    many nats as the columns do (equation 53).
    """
    weight = None
    if unseen[0].weight is not None:
        weight = np.concatenate([u.weight for u in unseen if u.weight is not None])

    def at(values: Sequence[Floats], q: float, repeats: int = 1) -> float:
        copies = None if weight is None else np.repeat(weight, repeats)
        return weighted_quantile(np.concatenate(values).ravel(), copies, q)

    near = [u.part.nearest(u.codes) for u in unseen]
    unit = at(near, USUAL, part.sets) or float(np.mean(np.concatenate(near))) or 1.0
    levels = [replace(u.part, unit=unit).level(u.codes) for u in unseen]
    columns = [u.columns for u in unseen]
    usual = at(levels, USUAL)
    growth = at(levels, STRANGE) - usual
    nats = at(columns, STRANGE) - at(columns, USUAL)
    each = part.weight * nats / growth if growth > 0 else 0.0
    part = replace(part, unit=unit, usual=usual, weight=each)
    added = [part.weight * np.maximum(level - usual, 0) for level in levels]
    return part, [c + a for c, a in zip(columns, added, strict=True)]
