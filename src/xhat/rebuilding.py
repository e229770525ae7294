"""What a fitted estimator gives back of rows: codes, reconstructions, filled-in cells.

Knows: models, containers. Must not know: how models are fitted, scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xhat.data.batches import dense
from xhat.data.containers import check_table
from xhat.data.restore import table_of, typed_table
from xhat.data.stream import whole
from xhat.errors import DataError, ParameterError
from xhat.fields import as_plain, conforms, said
from xhat.filling import impute, impute_draws
from xhat.maths.types import Matrix
from xhat.requests import check_seed
from xhat.validation import TableInput

if TYPE_CHECKING:
    from xhat.fitting import Fit


class Rebuilding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, TableInput):
    """The part of the estimator that encodes, decodes and fills rows.

    scikit-learn wraps ``transform`` for ``set_output`` in the class that defines it: this one.
    """

    random_state: Any
    n_components_: int
    _fit: Fit

    def transform(self, X: Any) -> Matrix:
        """Return the codes h, shape (n, k), in the dtype of X.

        A row's code does not depend on the other rows, to the bit.
        """
        check_is_fitted(self)
        X = whole(X)
        matrix = self._read(X)
        return self._fit.model.codes(matrix)

    def inverse_transform(self, H: Any) -> Any:
        """Return the rows that codes H stand for, in the columns and container of the table.

        Parameters
        ----------
        H : array or data frame of shape (n, k)
            Codes.

        Returns
        -------
        array or data frame of shape (n, d)
            Frames come back as frames of the same kind, with the table's column names.
        """
        check_is_fitted(self)
        check_table(H)
        codes = dense(H)
        if codes.dtype not in (np.float32, np.float64):
            codes = codes.astype(np.float64)
        if codes.ndim != 2 or codes.shape[1] != self.n_components_:
            raise DataError(
                f"codes of shape {codes.shape} do not fit: expected (rows, {self.n_components_})"
            )
        if not np.isfinite(codes).all():
            row, unit = np.argwhere(~np.isfinite(codes))[0].tolist()
            raise DataError(
                f"code {unit} in row {row} is {codes[row, unit]}: codes must be finite numbers, as "
                "transform(X) gives them"
            )
        return table_of(H, self._fit.model.decode(codes), self._storage)

    def reconstruct(self, X: Any) -> Any:
        """Return x_hat for every row: ``inverse_transform(transform(X))`` in X's container."""
        check_is_fitted(self)
        X = whole(X)
        matrix = self._read(X)
        X, model = self._held(X, matrix), self._fit.model
        return typed_table(X, model.decode(model.codes(matrix)), self._storage)

    def impute(self, X: Any, draws: int | None = None) -> Any:
        """Return the table with its missing cells filled; observed cells stay as they are.

        Parameters
        ----------
        X : like in fit
            Rows with missing cells (NaN, None, null, NaT).
        draws : int >= 1 or None
            None: the model's best guess. A number: a list of so many completed tables, each cell
            drawn from what the model says of it, so that their spread shows the uncertainty.

        Returns
        -------
        table, or list of tables
            Same container, columns, order, types and index; categories come back as categories.
        """
        check_is_fitted(self)
        if draws is not None:
            given, draws = draws, as_plain(draws, int)
            if not conforms(draws, int) or draws < 1:
                raise ParameterError(f"draws={said(given)}: expected None or a whole number >= 1")
        X = whole(X)
        matrix = self._read(X)
        if scipy.sparse.issparse(X):
            return self._impute_sparse(matrix, draws)
        X = self._held(X, matrix)
        keep = ~np.isnan(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
        if draws is None:
            return typed_table(X, impute(self._fit.model, matrix), self._storage, keep)
        tables = impute_draws(self._fit.model, matrix, self._generator(), draws)
        return [typed_table(X, table, self._storage, keep) for table in tables]

    def _impute_sparse(self, matrix: Any, draws: int | None) -> Any:
        """Fill the missing cells that a sparse matrix stores; only their rows are densified."""
        row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        rows = np.unique(row_of[np.isnan(matrix.data)])
        model, rng = self._fit.model, self._generator()
        tables = [matrix.copy() for _ in range(draws or 1)]
        for row in rows.tolist():
            part, whole_row = slice(*matrix.indptr[row : row + 2]), matrix[row : row + 1]
            filled = (
                impute_draws(model, whole_row, rng, draws) if draws else [impute(model, whole_row)]
            )
            for table, cells in zip(tables, filled, strict=True):
                table.data[part] = cells[0][matrix.indices[part]]
        return tables[0] if draws is None else tables

    def _generator(self) -> np.random.Generator:
        check_seed(self.random_state)
        random = check_random_state(self.random_state)
        return np.random.default_rng(random.randint(2**31, size=4))
