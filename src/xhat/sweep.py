"""Held-out loss against code size, xhat beside PCA, with a recommendation and its reason.

Knows: estimators, rows. Must not know: files, pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import clone

from xhat.data.arrow import plain_columns
from xhat.data.containers import is_frame
from xhat.data.stream import whole
from xhat.errors import DataError, ParameterError
from xhat.requests import MOST
from xhat.verdict import rows_of

#: Rows that a sweep uses at most: more change its shape little and its cost much.
MAX_ROWS = 20_000
#: Rows that a sweep needs at least: two to fit on, one to judge by.
LEAST_ROWS = 4
#: Share of the rows held out, the same ones for every size.
HELD_OUT = 0.25
#: The smallest code whose loss is within this share of the way from the mean to the best.
ENOUGH = 0.05


@dataclass(frozen=True)
class Sweep:
    """Held-out losses over code sizes, on the same rows for every size.

    Attributes
    ----------
    k : list of int
        Code sizes.
    xhat, pca : list of float
        Loss per row on rows not trained on.
    mean : float
        Loss of the mean on these rows.
    recommended : int
        The smallest code that is nearly as good as the best.
    reason : str
        Why, in one sentence.
    rows : str
        Which rows the losses were taken on.
    unit : str
        The scale of the loss.
    """

    k: list[int]
    xhat: list[float]
    pca: list[float]
    mean: float
    recommended: int
    reason: str
    rows: str
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"loss per row ({self.unit}), {self.rows}", "  units        xhat         PCA"]
        lines += [
            f"  {k:>5}{x:>12.4f}{p:>12.4f}"
            for k, x, p in zip(self.k, self.xhat, self.pca, strict=True)
        ]
        return "\n".join([*lines, self.reason])


def code_sizes(d: int, k: int | None = None) -> list[int]:
    """Return up to seven code sizes from 1 to two thirds of d, ``k`` among them.

    Examples
    --------
    >>> code_sizes(30, 10)
    [1, 2, 4, 8, 10, 16, 20]
    """
    sizes = {2**i for i in range(12) if 2**i < d} | {max(1, 2 * d // 3)}
    sizes |= {k} if k is not None and k < d else set()
    ordered = sorted(sizes) or [1]
    while len(ordered) > 7:
        gaps = [
            (ordered[i + 1] / ordered[i - 1], i)
            for i in range(1, len(ordered) - 1)
            if ordered[i] != k
        ]
        ordered.pop(min(gaps)[1])
    return ordered


def sweep(X: Any, n_components: Sequence[int] | None = None, **parameters: Any) -> Sweep:
    """Fit at several code sizes and return the held-out losses of xhat and PCA.

    Parameters
    ----------
    X : like in ``Autoencoder.fit``, of shape (n, d)
        Rows; at most 20,000 of them, chosen at random, are used.
    n_components : sequence of int or None
        Code sizes; None: powers of two, and two thirds of the columns.
    **parameters
        Parameters of ``Autoencoder``. Every size has the same ``random_state``, 0 if none is given.

    Raises
    ------
    DataError, ParameterError
        One line that names the thing, the value and the way out.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> curve = sweep(load_iris().data, [1, 2], max_iter=50, random_state=0)
    >>> curve.k, curve.xhat[1] < curve.xhat[0]
    ([1, 2], True)
    """
    from xhat.estimator import Autoencoder  # noqa: PLC0415

    X = _table(X)
    sizes = n_components if n_components is not None else code_sizes(int(X.shape[1]))
    return sweep_rows(Autoencoder(**parameters), X, sizes)


def sweep_rows(estimator: Any, X: Any, sizes: Sequence[int]) -> Sweep:
    """Fit clones of an estimator at several code sizes on at most MAX_ROWS rows of X."""
    X, sizes = _table(X), _sizes(sizes)
    n = int(X.shape[0])
    if n < LEAST_ROWS:
        raise DataError(
            f"a sweep over code sizes needs at least {LEAST_ROWS} rows, and the table has {n}: "
            "give more, or leave the sweep out (report: sweep=False, --no-sweep)"
        )
    order = np.random.default_rng(0).permutation(n)[:MAX_ROWS]
    held = np.sort(order[: max(1, round(HELD_OUT * len(order)))])
    # The same held-out rows for every size, and one fit a size: no cross-fitting
    train, held_out = _take(X, np.sort(order[len(held) :])), _take(X, held)
    verdicts = []
    seed = 0 if estimator.random_state is None else estimator.random_state
    estimator = clone(estimator).set_params(random_state=seed, verbose=0)
    for k in sizes:
        ae = clone(estimator).set_params(n_components=k)  # a RandomState is copied, too
        verdicts.append(ae.fit(train, X_val=held_out).compare_pca())
    xhat, pca = [v.xhat for v in verdicts], [v.pca for v in verdicts]
    first = verdicts[0]
    recommended, reason = recommend(sizes, xhat, pca, first.mean)
    rows = f"on {first.n_rows} {rows_of(first.n_rows, first.rows)}"
    return Sweep(sizes, xhat, pca, first.mean, recommended, reason, rows, first.unit)


def recommend(
    k: Sequence[int], xhat: Sequence[float], pca: Sequence[float], mean: float
) -> tuple[int, str]:
    """Return the smallest code that covers nearly all of the way from the mean to the best.

    Examples
    --------
    >>> recommend([1, 2, 4], [5.0, 1.2, 1.0], [6.0, 4.0, 1.1], 10.0)[0]
    2
    """
    best = min(xhat)
    enough = best + ENOUGH * max(mean - best, 0.0)
    at = min((i for i, loss in enumerate(xhat) if loss <= enough), key=lambda i: k[i])
    kept = 1 - (xhat[at] - best) / (mean - best) if mean > best else 1.0
    reason = (
        f"{k[at]} unit{'s' * (k[at] != 1)}: the smallest code with at least {1 - ENOUGH:.0%} of "
        f"the gain over the mean that the best size brings (it has {kept:.1%})"
    )
    equal = min((size for size, loss in zip(k, pca, strict=True) if loss <= xhat[at]), default=None)
    if equal is not None and equal > k[at]:
        reason += f"; PCA needs {equal} units for the same loss"
    elif equal is None:
        reason += f"; PCA reaches this loss at none of the sizes up to {max(k)}"
    return int(k[at]), f"{reason}."


def _table(X: Any) -> Any:
    """Return X as what rows can be taken of: an array, CSR matrix or frame."""
    X = whole(X)
    if is_frame(X):
        return X
    if scipy.sparse.issparse(X):
        return X.tocsr()
    try:
        table = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    except ValueError:  # rows of rows of different lengths
        table = np.empty(0)
    if table.ndim != 2:
        raise DataError(
            f"a sweep takes an array, sparse matrix, data frame or Arrow stream of shape (n, d), "
            f"and this {type(X).__name__} is none (of a lazy frame: .collect())"
        )
    return table


def _sizes(given: Any) -> list[int]:
    """Return code sizes as a list of whole numbers."""
    sizes = list(given) if isinstance(given, Iterable) else []
    whole_numbers = all(isinstance(k, Integral) and not isinstance(k, bool) for k in sizes)
    if not sizes or not whole_numbers or not all(1 <= int(k) <= MOST for k in sizes):
        raise ParameterError(
            f"n_components={given!r:.200}: expected code sizes, whole numbers >= 1, such as "
            "[1, 2, 4]"
        )
    return [int(k) for k in sizes]


def _take(X: Any, index: Any) -> Any:
    """Return some rows of an array, CSR matrix or frame."""
    if hasattr(X, "iloc"):
        return X.iloc[index]
    return plain_columns(X).take(index) if hasattr(X, "column_names") else X[index]
