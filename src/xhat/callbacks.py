"""scikit-learn's callbacks (1.9 and later): one task a fit, one subtask an epoch (see Epochs).

Knows: scikit-learn's callback contexts, and that older versions have none. Must not know: training.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xhat.data.stream import is_stream
from xhat.fitting import Fit

if TYPE_CHECKING:
    from xhat.preparing import Prepared
    from xhat.train.loop import LoopState

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _torn_down
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def _torn_down(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Epochs", "with_callbacks"]


def _with_data(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let callbacks be told what a ``fit`` was given, and let go of it at its end."""

    @functools.wraps(method)
    def fit(estimator: Any, X: Any, y: Any = None, sample_weight: Any = None, **more: Any) -> Any:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        data = {"X": None if is_stream(X) else X, "y": y, "metadata": metadata}
        estimator._callback_data = data  # noqa: SLF001
        try:
            return method(estimator, X, y, sample_weight, **more)
        finally:
            estimator.__dict__.pop("_callback_data", None)

    return _torn_down(fit)  # type: ignore[no-any-return]


#: Decorates ``fit``.
with_callbacks: Any = _with_data


class Epochs:
    """Tells the callbacks of an estimator when its fit and each epoch begin and end.

    Hooks are given X, y and sample weights as ``fit`` was (X is None for a stream, which can be
    read only once), and a ``fitted_estimator`` with the parameters of the moment. That of an epoch
    gives codes, rebuilt rows and ``score``; how its anomaly scores are scaled, and the threshold,
    are found after training. A hook that returns True at the end of an epoch ends the training;
    the best epoch so far is kept, or, in a small table, the last one.

    Not supported: ``partial_fit`` calls no hooks, and the folds in which a small table's epoch is
    chosen are not reported. L-BFGS may stop in an epoch that was begun; as scikit-learn's own, it
    is ended without data. ``ScoringMonitor`` computes scores only where ``fit`` is given a y.

    Parameters
    ----------
    estimator : Autoencoder
        May have been given callbacks with ``set_callbacks``, or by a pipeline.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._data: dict[str, Any] = getattr(estimator, "_callback_data", {})
        self._ready: Prepared | None = None
        self._last = 0
        self._fit: Any = None
        self._epoch: Any = None
        begin = getattr(estimator, "_init_callback_context", None)
        if begin is not None:
            # How many epochs there will be is not known: a fit may stop early
            self._fit = begin(max_subtasks=None)
            self._fit.call_on_fit_task_begin(estimator=estimator, **self._data)
        self._watched = bool(getattr(estimator, "_skl_callbacks", []))

    def begin(self, state: LoopState, epochs: int, ready: Prepared) -> None:
        """Begin the first epoch of a training that has so many at most, if one is left."""
        self._last, self._ready = epochs, ready
        self._open(state)

    def __call__(self, state: LoopState) -> None:
        """End an epoch and begin the next one, unless it was the last or a callback stops here."""
        if self._epoch is not None:
            epoch, self._epoch = self._epoch, None
            stop = epoch.call_on_fit_task_end(**self._at(state))
            state.stopped = state.stopped or stop
        self._open(state)

    def close(self) -> None:
        """End the fit; an epoch that is still open has not run."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
        if self._fit is not None:
            self._fit.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes={}, **self._data
            )

    def _open(self, state: LoopState) -> None:
        if self._watched and state.epoch < self._last and not state.stopped:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._at(state))

    def _at(self, state: LoopState) -> dict[str, Any]:
        """Return what hooks are told; the model is made only for those that ask for it."""
        return {
            "estimator": self._estimator,
            "reconstruction_attributes": functools.partial(self._attributes, state),
            **self._data,
        }

    def _attributes(self, state: LoopState) -> dict[str, Any]:
        """Return the attributes of the estimator with the parameters of this epoch."""
        assert self._ready is not None
        fitted = copy.copy(self._estimator)
        model = self._ready.model(state.theta.copy())
        history = {"loss": list(state.monitor.loss)}
        choices = dict(self._ready.choices.said)
        fitted._fit = Fit(  # noqa: SLF001
            model, self._ready.baseline, choices, None, history, epochs=state.epoch
        )
        fitted._settle()  # noqa: SLF001
        fitted.offset_ = -np.inf  # no threshold yet: no row is an outlier
        return dict(vars(fitted))
