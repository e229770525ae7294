"""A random sample of all rows that went by, for what is measured on rows in the end.

Knows: raw matrices. Must not know: models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

#: Rows that are kept at most, and cells: 16 MB in float64.
ROWS, CELLS = 1024, 2**21


@dataclass(frozen=True)
class Sample:
    """Rows, each of those seen with the same probability.

    Every row draws a key; those with the largest keys stay (Efraimidis and Spirakis 2006).

    Attributes
    ----------
    X : ndarray or CSR matrix
        The rows kept.
    keys : ndarray of shape (rows,)
        Their keys.
    seen : int
        Rows that went by.
    """

    X: Any
    keys: npt.NDArray[np.float64]
    seen: int

    @staticmethod
    def of(X: Any) -> Sample:
        """Return a sample of the first rows."""
        nothing = X[:0]
        return Sample(nothing, np.empty(0), 0).with_more(X)

    def with_more(self, X: Any) -> Sample:
        """Return the sample after further rows; the same rows give the same sample."""
        n, d = X.shape
        keys = np.concatenate([self.keys, np.random.default_rng([1, self.seen]).random(n)])
        rows = scipy.sparse.vstack([self.X, X], "csr") if scipy.sparse.issparse(X) else None
        most = max(1, min(ROWS, CELLS // max(d, 1)))
        kept = np.sort(np.argsort(-keys, kind="stable")[:most])
        together = np.concatenate([self.X, X]) if rows is None else rows
        return Sample(together[kept], keys[kept], self.seen + n)
