"""What users pass in -> a raw matrix of numbers; scikit-learn's names and counts are kept.

Knows: scikit-learn's validation, containers. Must not know: models.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import scipy.sparse
from sklearn.utils.validation import _check_sample_weight, validate_data

from xhat.data.containers import Storage, check_finite, column_names, is_frame, plain_array
from xhat.data.kinds import check_names, storage_wish
from xhat.data.stream import Stream
from xhat.errors import DataError, EmptyRowsWarning, warn
from xhat.maths.quantiles import as_copies
from xhat.maths.types import Vector

Method = TypeVar("Method", bound=Callable[..., Any])


def all_or_nothing(fit: Method) -> Method:
    """Let an estimator be what it was where a fit is refused: names, storage, model fit together.

    An interrupted one that has its model keeps it.
    """

    @functools.wraps(fit)
    def whole(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(self.__dict__)
        try:
            return fit(self, *args, **kwargs)
        except BaseException as error:
            if isinstance(error, Exception) or self.__dict__.get("_fit") is before.get("_fit"):
                self.__dict__.clear()
                self.__dict__.update(before)
            raise

    return cast("Method", whole)


class TableInput:
    """The part of the estimator that reads tables: ``_storage`` is learnt at fit time."""

    heads: Any
    n_features_in_: int
    _storage: Storage

    def _learn(self, X: Any) -> Any:
        """Learn how the columns of X are held; return their numbers."""
        X = plain_array(X)
        if is_frame(X):
            column_names(X)
            validate_data(self, X, reset=True, skip_check_array=True)
        elif (numbers := self._numeric_array(X, reset=True)) is not None:
            names = [f"x{j}" for j in range(numbers.shape[1])]
            check_names(self.heads, names)
            if not any(
                storage_wish(self.heads, name) in ("categorical", "ignore") for name in names
            ):
                integer = getattr(getattr(X, "dtype", None), "kind", "f") in "iu"
                self._storage = Storage.of_numbers(names, integer=integer)
                check_finite(numbers, names)
                return numbers
            X = numbers.toarray() if hasattr(numbers, "toarray") else numbers
        else:
            X = np.asarray(X, dtype=object)
        if X.shape[0] < 2:
            raise DataError(
                f"the table has {X.shape[0]} sample(s) (rows): a minimum of 2 is required"
            )
        check_names(self.heads, column_names(X))
        self._storage = Storage.learn(X, lambda name: storage_wish(self.heads, name))
        self._warn_of_left_out()
        matrix = self._storage.matrix(X)
        check_finite(matrix, self._storage.names)
        if is_frame(X):
            asked = set(self.heads) if isinstance(self.heads, dict) else set()
            asked |= {store.name for store in self._storage.stores if not store.plain}
            warn_of_counters(matrix, self._storage.names, asked)
        return matrix

    def _read(self, X: Any) -> Any:
        """Return the numbers of rows that must look like the table of ``fit``."""
        X = plain_array(X)
        plain = all(store.plain for store in self._storage.stores)
        if is_frame(X):
            names = column_names(X)
            validate_data(self, X, reset=False, skip_check_array=True)
            self._check_order(names)
            if X.shape[0] < 1:
                raise DataError("the table has 0 sample(s) (rows): a minimum of 1 is required")
            matrix = self._storage.matrix(X)
        else:
            numbers = self._numeric_array(X, reset=False)
            if plain and numbers is not None:
                matrix = numbers
            else:
                matrix = self._storage.matrix(np.asarray(X, dtype=object))
        check_finite(matrix, self._storage.names)
        return matrix

    def _held(self, X: Any, matrix: Any) -> Any:
        """Return X as a frame or an array; of a list of rows, whose numbers are ``matrix``, one."""
        if is_frame(X) or scipy.sparse.issparse(X) or isinstance(X, np.ndarray):
            return X
        plain = all(store.plain for store in self._storage.stores)
        return matrix if plain else np.asarray(X, dtype=object)

    def _check_order(self, names: list[str]) -> None:
        """Refuse other columns where names are no texts: scikit-learn compares texts alone."""
        fitted = self._names()
        if hasattr(self, "feature_names_in_") or fitted == [f"x{j}" for j in range(len(fitted))]:
            return
        wrong = next((j for j, name in enumerate(names) if name != fitted[j]), None)
        if wrong is not None:
            raise DataError(
                f"column {wrong} of the table is {names[wrong]}, where fit had {fitted[wrong]}: "
                "give the columns of fit in their order"
            )

    def _numeric_array(self, X: Any, *, reset: bool) -> Any:
        """Return X as scikit-learn's checked array of numbers, or None if cells hold text."""
        try:
            found = validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except (TypeError, ValueError) as error:
            if not any(words in str(error) for words in ("could not convert", "float() argument")):
                raise
        else:
            if scipy.sparse.issparse(found) and not found.has_canonical_format:
                found = found.copy()
                found.sum_duplicates()
            return found
        validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return None

    def _wish(self, names: list[str]) -> Callable[[str], str | None]:
        """Return what the heads ask of the storage of columns with these names."""
        check_names(self.heads, names)
        return lambda name: storage_wish(self.heads, name)

    def _learn_stored(self, stream: Stream, storage: Storage) -> None:
        """Take over what was learnt while a stream went by."""
        self.n_features_in_ = len(stream.names)
        self.__dict__.pop("feature_names_in_", None)
        if stream.named:
            self.feature_names_in_ = np.array(stream.names, dtype=object)
        self._storage = storage
        self._warn_of_left_out()

    def _warn_of_left_out(self) -> None:
        for store in self._storage.left_out:
            if store.reason != "as asked":
                warn(
                    f"column {store.name!r} is left out: {store.reason}; "
                    f"heads={{{store.name!r}: 'categorical'}} keeps it, 'ignore' silences this "
                    "(commands: --heads FILE, --drop NAME)",
                )

    def _names(self) -> list[str]:
        """Return the names of all columns of the table."""
        return [store.name for store in self._storage.stores]

    def _weights(self, sample_weight: Any, matrix: Any) -> Vector | None:
        if sample_weight is None:
            return None
        weight: Vector = _check_sample_weight(
            sample_weight, matrix, dtype=np.float64, ensure_non_negative=True
        )
        if not weight.any():
            raise DataError("sample_weight is zero for every row: at least one weight must be > 0")
        weight = weight.copy()
        weight[weight > 0] = as_copies(weight[weight > 0])
        return None if (weight == 1).all() else weight


#: Rows from which on a column that counts them is taken for a row number.
COUNTED = 50


def warn_of_counters(matrix: Any, names: list[str], asked: set[str]) -> None:
    """Warn of columns that count the rows: to a model new rows lie beyond what it knows."""
    if len(matrix) < COUNTED:
        return
    steps = matrix[1] - matrix[0]
    for j in np.flatnonzero(steps == 1).tolist():
        if names[j] not in asked and (np.diff(matrix[:, j]) == 1).all():
            warn(
                f"column {names[j]!r} counts the rows ({matrix[0, j]:g}, {matrix[1, j]:g}, ...): "
                f"later ones will look strange; leave it out with heads={{{names[j]!r}: 'ignore'}} "
                f"(commands: --drop {shlex.quote(names[j])}), or keep it with 'real'"
            )


def warn_if_empty(matrix: Any) -> None:
    """Warn of rows without any observed cell: they get a code and a score of 0."""
    if hasattr(matrix, "toarray"):
        return
    empty = np.isnan(matrix).all(axis=1)
    if empty.any():
        warn(EmptyRowsWarning(int(empty.sum()), int(empty.argmax())))
