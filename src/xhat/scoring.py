"""What a fitted estimator says of strange rows: scores, the columns behind them, thresholds.

Knows: models, containers. Must not know: how models are fitted, reconstructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from xhat import codepart
from xhat.data.containers import numbers_frame
from xhat.data.reasonlist import reasons_table
from xhat.data.restore import typed_table
from xhat.data.stream import whole
from xhat.errors import ParameterError
from xhat.fields import as_plain, conforms, said
from xhat.maths.quantiles import weighted_quantile
from xhat.maths.types import Matrix, Vector
from xhat.reasons import parts, reasons
from xhat.validation import TableInput, warn_if_empty

if TYPE_CHECKING:
    from xhat.fitting import Fit

Floats = npt.NDArray[np.float64]

#: Share of rows that ``predict`` calls outliers where nothing else is asked for.
USUAL = 0.05


class Scoring(OutlierMixin, TableInput):
    """The part of the estimator that scores rows and explains the scores."""

    contamination: Any
    _fit: Fit

    def explain(self, X: Any, *, detail: bool = False, spread_code: bool = False) -> Any:
        """Return every column's part of the anomaly score, in nats; rows sum to it.

        The score is a sum over the columns: real ones ``1/2 (r / s)**2`` with r the residual and s
        its spread on held-out rows, binary ones ``-log p(observed)``; 0 is perfect. It is shared
        out in proportion to how far it falls when a cell is hidden (docs/maths.md, equations 57 to
        59): a wrong cell has its own part and that of the cells it makes look wrong. With one
        column or more than 100, and in rows whose score falls by no cell, the parts are the terms
        of the sum.
        The last part, ``(code)``, belongs to no column: how far the row is from what the codes of
        some training rows decode to, 0 for the nearest tenth of the held-out rows. Its cells may
        fit together and the row be unusual all the same.

        Parameters
        ----------
        X : like in fit
            Rows.
        detail : bool
            Return a long table instead, one line per cell: row (pandas: the index), column,
            observed, expected, nats. Expected is what the row's other cells say of this one (with
            more than 100 columns: what the cell was scored against). Cells stay what they are in
            pandas and arrays (which give a record array); polars and Arrow columns have one type,
            so there they are text where not all columns are numbers.
        spread_code : bool
            Share the code's part out over the columns instead of giving it one of its own: in
            which columns the row is far from those reconstructions (docs/maths.md, equation 54).

        Returns
        -------
        float64 array or data frame of shape (n, d + 1), or the long table
            d with ``spread_code`` and without the code's part: where fewer than 16 different rows
            were trained on (in each fold of cross-fitting), and from model files that have none.
        """
        check_is_fitted(self)
        X = whole(X)
        matrix = self._read(X)
        if detail:
            return self._reasons(X, matrix, spread_code=spread_code)
        wide, names = self._nats(matrix, parts(self._fit.model, matrix), spread_code=spread_code)
        return numbers_frame(X, wide, names)

    def _nats(self, matrix: Any, nats: Floats, *, spread_code: bool) -> tuple[Matrix, list[str]]:
        """Return the nats of every part with left-out columns, and the names of the parts."""
        model = self._fit.model
        if spread_code:
            nats = nats[:, : len(model.schema.columns)] + model.spread_code(matrix, nats)
            return self._storage.widen(nats), self._names()
        return self._storage.widen(nats), self._parts()

    def _parts(self) -> list[str]:
        """Return the names of the parts of a score: the columns, and the code if it has one."""
        names = self._names()
        if self._fit.model.code is None:
            return names
        name = codepart.NAME
        while name in names:
            name = f"({name})"
        return [*names, name]

    def _reasons(self, X: Any, matrix: Any, *, spread_code: bool) -> Any:
        X, found = self._held(X, matrix), reasons(self._fit.model, matrix)
        wide, names = self._nats(matrix, found.nats, spread_code=spread_code)
        table = typed_table(X, found.expected, self._storage)
        return reasons_table(X, table, wide, self._storage, names)

    def anomaly_score(self, X: Any) -> Floats:
        """Return how strange each row is, in nats, shape (n,), float64; higher = stranger."""
        check_is_fitted(self)
        X = whole(X)
        matrix = self._read(X)
        warn_if_empty(matrix)
        return self._scores(matrix)

    def score_samples(self, X: Any) -> Floats:
        """Return minus the anomaly score (scikit-learn's direction: higher = more normal)."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> Floats:
        """Return ``score_samples(X) - offset_``; negative = outlier."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return 1 for inliers and -1 for outliers."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def threshold(self, false_alarm_rate: float = 0.01) -> float:
        """Return the anomaly score that a share ``false_alarm_rate`` of unseen rows exceeds.

        Of m rows not trained on it is the one at place ``(m + 1) (1 - false_alarm_rate)`` in
        ascending order: among m + 1 rows of one kind each place is as likely for a new one. It is
        refused when fewer than ``1 / false_alarm_rate`` of them are left.
        """
        check_is_fitted(self)
        scores = self._fit.held_out_scores
        rate = as_plain(false_alarm_rate, float)
        if not conforms(rate, float) or not 0 < rate < 1:
            raise ParameterError(f"false_alarm_rate={said(false_alarm_rate)} must lie in (0, 1)")
        if not len(scores) and self._fit.state is not None:
            raise ParameterError(
                "partial_fit holds no rows out, so that no false alarm rate is known: fit at once"
            )
        if len(scores) * rate < 1:
            raise ParameterError(
                f"false_alarm_rate={rate:g} needs at least {int(np.ceil(1 / rate))} held-out rows, "
                f"there are {len(scores)}; raise the rate or validation_fraction"
            )
        return float(np.quantile(scores, 1 - rate, method="weibull"))

    def _set_offset(self, matrix: Any, weight: Vector | None) -> None:
        # A quantile, so that both labels occur whatever the scale of the score. Training rows are
        # closer to the model than new ones: "auto" takes rows that it did not see where it can.
        if self.contamination == "auto" and len(self._fit.held_out_scores) * USUAL >= 1:
            self.offset_ = -self.threshold(USUAL)
            return
        share = USUAL if self.contamination == "auto" else float(self.contamination)
        self.offset_ = weighted_quantile(-self._scores(matrix), weight, share)

    def _scores(self, matrix: Any) -> Floats:
        # Left-out columns included: the same bits as explain's terms (see reasons.py) summed.
        return self._fit.model.scores(matrix, self._storage.widen)
