"""Everything a report takes from the rows: one walk over all of them, and a sample.

Knows: a fitted estimator and a table. Must not know: pages. The walk keeps one number a row (its
score) and sums; the sample is drawn with a fixed seed, so that the same table gives the same page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.data.batches import TILE, dense
from xhat.data.columns import Schema
from xhat.data.storage import Store
from xhat.errors import ParameterError
from xhat.model import Model
from xhat.reasons import reasons
from xhat.report.limits import Limits

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


#: Rows of the sample, unless a number is given.
MOST_POINTS = 5_000
#: Numbers in the codes of the sample, about: wide codes are read off fewer rows, at least a few.
CODE_CELLS, LEAST_POINTS = 4_000_000, 16


@dataclass(frozen=True)
class Walk:
    """What one walk over all rows leaves: scores per row, means per column."""

    scores: Floats
    loss: Floats  # mean training loss per column; the sum is -ae.score(X)
    nats: Floats  # mean part of the score per column, and of the code
    missing: Floats  # share of missing cells per column


@dataclass(frozen=True)
class Facts:
    """A fitted estimator, its table, and everything read off the rows."""

    ae: Any
    model: Model
    names: list[str]
    stores: list[Store]
    n: int
    walk: Walk
    sample: Integers  # row numbers, sorted
    rows: npt.NDArray[Any]  # raw rows of the sample
    codes: npt.NDArray[Any]  # their codes
    strangest: Integers  # row numbers, the strangest first
    strange_rows: npt.NDArray[Any]
    strange_expected: npt.NDArray[Any]
    strange_nats: Floats
    strange_code: Floats  # the code's part, shared out over the columns

    @property
    def schema(self) -> Schema:
        """The model's columns."""
        return self.model.schema

    @property
    def k(self) -> int:
        """Units of the code."""
        return self.model.net.k

    @cached_property
    def middle(self) -> Floats:
        """Median of every unit over the sample."""
        return np.asarray(np.median(self.codes.astype(np.float64), axis=0))

    def reconstruct(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return x_hat of raw rows, as numbers."""
        return self.model.decode(self.model.codes(rows))


def gather(ae: Any, X: Any, limits: Limits, names: Sequence[str] | None = None) -> Facts:
    """Read what a report needs from a fitted estimator and rows that suit it."""
    matrix = ae._read(X)  # noqa: SLF001
    model: Model = ae._fit.model  # noqa: SLF001
    storage = ae._storage  # noqa: SLF001
    n = int(matrix.shape[0])
    walk = _walk(model, matrix, storage.widen)
    rng = np.random.default_rng(0)
    most = max(LEAST_POINTS, CODE_CELLS // model.net.k)
    points = min(n, limits.points or min(MOST_POINTS, most))
    sample = np.sort(rng.choice(n, points, replace=False))
    rows = dense(matrix[sample])
    strangest = _strangest(walk.scores, limits.strangest)
    strange = dense(matrix[strangest])
    found = reasons(model, strange)
    return Facts(
        ae=ae,
        model=model,
        names=_names(model.schema.names, names),
        stores=[storage.stores[j] for j in storage.used],
        n=n,
        walk=walk,
        sample=sample,
        rows=rows,
        codes=model.codes(rows),
        strangest=strangest,
        strange_rows=strange,
        strange_expected=found.expected,
        strange_nats=found.nats,
        strange_code=model.spread_code(strange, found.nats),
    )


def _names(own: list[str], given: Sequence[str] | None) -> list[str]:
    if given is None:
        return own
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ParameterError(f"names={given!r:.200}: expected a list of {len(own)} column names")
    names = [str(name) for name in given]
    if len(names) != len(own):
        raise ParameterError(f"names: {len(names)} names were given for {len(own)} columns")
    return names


def _walk(model: Model, matrix: Any, widen: Any) -> Walk:
    n = int(matrix.shape[0])
    d = len(model.schema.columns)
    scores, loss, nats, missing = np.empty(n), np.zeros(d), np.zeros(model.parts), np.zeros(d)
    for start in range(0, n, 16 * TILE):
        rows = matrix[start : start + 16 * TILE]
        parts = model.nats(rows)
        scores[start : start + len(parts)] = widen(parts).sum(axis=1)
        nats += parts.sum(axis=0)
        loss += model.losses(rows).sum(axis=0)
        missing += np.isnan(dense(rows)).sum(axis=0)
    return Walk(scores, loss / n, nats / n, missing / n)


def _strangest(scores: Floats, count: int) -> Integers:
    count = min(count, len(scores))
    top = np.argpartition(-scores, count - 1)[:count]
    return top[np.lexsort((top, -scores[top]))].astype(np.intp)
