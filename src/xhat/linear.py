"""What the other cells say of a hidden one by the columns' covariance alone (docs/maths.md, 21).

Knows: encoded rows. Must not know: models, columns. Little's and Rubin's EM for a Gaussian (2002,
section 11.2) with a small ridge: what a network that is not shown a cell is compared with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xhat.engines.threads import one_blas_thread
from xhat.maths.types import Vector

Floats = npt.NDArray[np.float64]
#: Encoded columns up to which a covariance is held: it is solved for every row with a hidden cell.
WIDEST = 128
#: Share of each variance that is added to it: columns may depend on each other exactly.
RIDGE = 1e-3
#: Numbers of the systems that are solved at a time: 8 MB.
SOLVED = 2**20
#: Rounds of EM where cells are missing, and rows from which each takes what they leave uncertain.
ROUNDS, UNCERTAIN_ROWS = 3, 512
#: Held while systems are solved: of several threads, one at a time limits BLAS and lifts the limit.
_SOLVING = threading.Lock()


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

    def variances(self, seen: Floats) -> Floats:
        """Return the variance of every cell given the cells that are seen, (n, d); not 0."""
        patterns, at = np.unique(seen, axis=0, return_inverse=True)
        found = np.empty(patterns.shape)
        with _SOLVING, one_blas_thread():
            for part, system in self._systems(patterns):
                known = patterns[part][:, :, None] * self.covariance
                explained = np.einsum("nij,nij->nj", known, np.linalg.solve(system, known))
                found[part] = np.diag(self.covariance) - explained
        least = RIDGE * np.diag(self.covariance) + 1e-12
        return np.asarray(np.maximum(found, least)[at.ravel()])

    def drawn(self, seen: Floats, rng: np.random.Generator) -> Floats:
        """Return draws of what the cells' distances from ``expected`` are, (n, d).

        A draw of a whole row less what is expected of it given its seen cells: hidden cells have
        the covariance that the seen ones leave (Journel and Huijbregts 1978, conditioning).
        """
        root = np.linalg.cholesky(
            self.covariance + np.diag(RIDGE * np.diag(self.covariance) + 1e-12)
        )
        Z = self.mean + np.einsum("nj,ij->ni", rng.normal(size=seen.shape), root)
        return np.asarray(Z - self.expected(Z, seen))

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
