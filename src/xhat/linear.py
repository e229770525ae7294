"""What the other cells say of a hidden one by the columns' covariance alone (docs/maths.md, 21).

Knows: encoded rows. Must not know: models, columns. Little's and Rubin's EM for a Gaussian (2002,
section 11.2) with a small ridge: what a network that is not shown a cell is compared with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from xhat.engines.threads import one_blas_thread
from xhat.maths.types import Integers, Vector

Floats = npt.NDArray[np.float64]
#: Encoded columns up to which a covariance is held: it is solved for every row with a hidden cell.
WIDEST = 128
#: Share of each variance that is added to it: columns may depend on each other exactly.
RIDGE = 1e-3
#: Numbers of the systems that are solved at a time: 8 MB.
SOLVED = 2**20
#: Share of the cells that is hidden from rows when spreads are measured, about, and rows asked.
USUAL, ASKED = 0.2, 256
#: Rounds of EM where cells are missing, and rows from which each takes what they leave uncertain.
ROUNDS, UNCERTAIN_ROWS = 3, 512
#: Held while systems are solved: of several threads, one at a time limits BLAS and lifts the limit.
_SOLVING = threading.Lock()


@dataclass(frozen=True)
class Left:
    """What seen cells leave open of hidden ones: their covariance is ``root' root``.

    Attributes
    ----------
    columns : ndarray of shape (n, h)
        The hidden ones of each row; d where it has fewer.
    root : ndarray of shape (n, h, h)
        Of the covariance.
    d : int
        Number of columns.
    """

    columns: Integers
    root: Floats
    d: int

    def variances(self) -> Floats:
        """Return the variance of every hidden cell, (n, d); 0 of seen ones."""
        return self._all((self.root**2).sum(axis=1))

    def drawn(self, rng: np.random.Generator) -> Floats:
        """Return a draw of how far hidden cells are from what is expected, (n, d)."""
        at_random = rng.normal(size=self.columns.shape)
        return self._all(np.einsum("nij,ni->nj", self.root, at_random))

    def _all(self, values: Floats) -> Floats:
        found = np.zeros((len(values), self.d + 1))
        np.put_along_axis(found, self.columns, values, axis=1)
        return found[:, : self.d]


@dataclass(frozen=True)
class Linear:
    """Mean (d,) and covariance (d, d) of encoded columns."""

    mean: Floats
    covariance: Floats

    def expected(self, Z: Floats, seen: Floats) -> Floats:
        """Return ``E[z | the cells that are seen]`` of every cell, (n, d); seen is 1 or 0."""
        found = np.empty(Z.shape)
        with _SOLVING, one_blas_thread():
            for part, system in self._systems(seen):
                z = (Z[part] - self.mean) * seen[part]
                weights = np.linalg.solve(system, z[:, :, None])[:, :, 0]
                # einsum, not BLAS: what a row says must not depend on how many stand beside it.
                said = np.einsum("ni,ji->nj", weights * seen[part], self.covariance)
                found[part] = self.mean + said
        return found

    def left(self, seen: Floats) -> Left:
        """Return what the seen cells leave open of the hidden ones of up to ``step`` rows.

        Of a Gaussian the hidden cells' part of the precision, inverted: hidden cells are few.
        """
        d, hidden = seen.shape[1], (seen == 0).sum(axis=1)
        columns = np.argsort(seen != 0, axis=1, kind="stable")[:, : int(hidden.max(initial=0))]
        none = np.arange(columns.shape[1]) >= hidden[:, None]
        with _SOLVING, one_blas_thread():
            parts = self.precision[columns[:, :, None], columns[:, None, :]]
            parts[none[:, :, None] | none[:, None, :]] = 0
            parts[:, range(columns.shape[1]), range(columns.shape[1])] += none
            root = np.linalg.inv(np.linalg.cholesky(parts))
        return Left(np.where(none, d, columns), root, d)

    @property
    def step(self) -> int:
        """Rows whose systems are solved at a time."""
        return max(1, SOLVED // len(self.mean) ** 2)

    @cached_property
    def precision(self) -> Floats:
        """The inverse of the covariance, with the ridge."""
        ridge = np.diag(RIDGE * np.diag(self.covariance) + 1e-12)
        return np.asarray(np.linalg.inv(self.covariance + ridge))

    @cached_property
    def usual(self) -> Floats:
        """The mean variance that rows leave to a hidden cell where a fifth is hidden, (d,)."""
        seen = (np.random.default_rng(0).random((ASKED, len(self.mean))) > USUAL).astype(float)
        total = np.zeros(len(self.mean))
        for first in range(0, ASKED, self.step):
            total += self.left(seen[first : first + self.step]).variances().sum(axis=0)
        return np.asarray(total / np.maximum((1 - seen).sum(axis=0), 1))

    def uncertain(self, seen: Floats) -> Floats:
        """Return the mean over rows of what the hidden cells' covariance is given the seen ones."""
        total = np.zeros_like(self.covariance)
        with _SOLVING, one_blas_thread():
            for part, system in self._systems(seen):
                o, hidden = seen[part], 1 - seen[part]
                known = o[:, :, None] * self.covariance
                explained = np.swapaxes(known, 1, 2) @ np.linalg.solve(system, known)
                total += np.einsum("ni,nij,nj->ij", hidden, self.covariance - explained, hidden)
        return (total + total.T) / (2 * len(seen))

    def _systems(self, seen: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield the covariances of the cells seen, 1 on the diagonal and 0 beside it elsewhere."""
        d = len(self.mean)
        ridge = RIDGE * np.diag(self.covariance) + 1e-12
        for first in range(0, len(seen), max(1, SOLVED // d**2)):
            part = slice(first, first + max(1, SOLVED // d**2))
            o = seen[part]
            system = o[:, :, None] * self.covariance * o[:, None, :]
            system[:, range(d), range(d)] += o * ridge + (1 - o)
            yield part, system


def fit_linear(Z: Floats, seen: Floats, weight: Vector | None) -> Linear:
    """Return mean and covariance of rows whose hidden cells hold a first guess."""
    found, some = _moments(Z, weight), seen.min(axis=1) < 1
    if not some.any():
        return found
    step = -(-len(Z) // UNCERTAIN_ROWS)
    Z = Z.copy()
    for _ in range(ROUNDS):
        spread = found.covariance + found.uncertain(seen[::step])
        found = Linear(found.mean, spread)
        Z[some] = np.where(seen[some] > 0, Z[some], found.expected(Z[some], seen[some]))
        found = _moments(Z, weight)
    return Linear(found.mean, found.covariance + found.uncertain(seen[::step]))


def _moments(Z: Floats, weight: Vector | None) -> Linear:
    mean = np.average(Z, axis=0, weights=weight)
    spread = np.cov(Z.T, bias=True, aweights=weight).reshape(len(mean), -1)
    return Linear(mean, (spread + spread.T) / 2)
