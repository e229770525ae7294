"""What a fitted estimator says of its fit: loss, comparison with PCA, derivation, report.

Knows: models, baselines, how rows are compared. Must not know: how models are fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xhat import lesson
from xhat.data.containers import is_frame, is_lazy
from xhat.data.stream import whole
from xhat.errors import DataError
from xhat.maths.types import Vector
from xhat.requests import Parameters, build_request
from xhat.sources import Source
from xhat.validation import TableInput
from xhat.verdict import Comparison, compare_given

if TYPE_CHECKING:
    from xhat.fitting import Fit
    from xhat.report import Report


class Judging(TableInput):
    """The part of the estimator that judges the model on rows."""

    _fit: Fit

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the mean reconstruction loss, what a grid search maximises.

        Of rows with missing cells it may differ a little from ``-compare_pca(X).xhat``: there PCA
        and the model are given the same completed rows, here these are read as ``transform`` does.
        """
        check_is_fitted(self)
        X = whole(X)
        matrix = self._read(X)
        return self._fit.model.score(matrix)

    def compare_pca(self, X: Any = None) -> Comparison:
        """Compare with PCA and the mean on the same rows at the same code size.

        Parameters
        ----------
        X : like in fit, or None
            None: the verdict stored at fit time.
        """
        check_is_fitted(self)
        if X is None:
            if self._fit.verdict is None:
                raise DataError(
                    "no verdict is stored after partial_fit: pass rows to compare_pca(X)"
                )
            return self._fit.verdict
        matrix = self._read(whole(X))
        source = self._source(matrix)
        is_pca = self._fit.verdict.is_pca if self._fit.verdict else False
        return compare_given(self._fit.model, self._fit.baseline, source, is_pca=is_pca)

    def trace(self, x: Any) -> lesson.Trace:
        """Return every quantity of the derivation for one row: forward pass, loss, each factor."""
        check_is_fitted(self)
        matrix = self._read(x if is_frame(x) else np.atleast_2d(np.asarray(x)))
        return lesson.trace(self._fit.model, matrix)

    def check_gradients(self, X: Any) -> dict[str, float]:
        """Compare closed-form gradients with finite differences at the fitted parameters.

        Returns
        -------
        dict
            Largest relative error per parameter (float64; about 1e-8 is exact).
        """
        check_is_fitted(self)
        X = whole(X)
        matrix = self._read(X)
        return lesson.check_gradients(
            self._fit.model, matrix, build_request(cast("Parameters", self))
        )

    def report(
        self,
        X: Any,
        *,
        image_shape: tuple[int, int] | None = None,
        sweep: Any = "auto",
        title: str | None = None,
        names: Any = None,
        command: str | None = None,
        **limits: int,
    ) -> Report:
        """Return a report on rows X: one self-contained page, also as JSON and Markdown.

        Parameters
        ----------
        X : like in fit
            Rows to look at, best ones that were not trained on.
        image_shape : (height, width) or None
            Draw the rows as images.
        sweep : "auto", bool or Sweep
            The picture of code size against held-out loss: True fits at several sizes on at most
            20,000 rows, "auto" only where that takes seconds; or give a ``Sweep``.
        title : str or None
            Heading of the page.
        names : sequence of str or None
            Column names, where X has none of its own.
        command : str or None
            What the page gives as the command that makes it.
        **limits : int
            ``max_size`` (bytes), ``points``, ``columns``, ``strangest``, ``units``, ``weights``,
            ``originals``, ``reasons``, ``epochs``: how much the page may hold (``Limits``).

        Returns
        -------
        Report
            With ``html()``, ``write_html(path)``, ``open()``, ``json()``, ``markdown()``.
        """
        from xhat.report import limits_of, make_report  # noqa: PLC0415

        check_is_fitted(self)
        return make_report(
            self,
            whole(X),
            image_shape=image_shape,
            sweep=sweep,
            title=title,
            names=names,
            command=command,
            limits=limits_of(limits),
        )

    def _source(self, matrix: Any, weight: Vector | None = None) -> Source:
        return Source(matrix, self._storage, weight, is_lazy(matrix))
