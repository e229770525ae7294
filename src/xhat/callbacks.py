"""scikit-learn's callbacks (1.9 and later): one task a fit, one subtask an epoch.

Knows: scikit-learn's callback contexts, and that older versions have none. Must not know: training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Epochs", "with_callbacks"]


class Epochs:
    """Tells the callbacks of an estimator when its fit and each epoch begin and end.

    Parameters
    ----------
    estimator : Autoencoder
        May have been given callbacks with ``set_callbacks``, or by a pipeline.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._fit: Any = None
        self._epoch: Any = None
        begin = getattr(estimator, "_init_callback_context", None)
        if begin is not None:
            # How many epochs there will be is not known: a fit may stop early
            self._fit = begin(max_subtasks=None)
            self._fit.call_on_fit_task_begin(estimator=estimator)
        self._watched = bool(getattr(estimator, "_skl_callbacks", []))
        self._open()

    def __call__(self) -> None:
        """End an epoch and begin the next one."""
        if self._watched:
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
            self._open()

    def close(self) -> None:
        """End the fit; the epoch that was begun last has not run."""
        if self._watched:
            self._epoch.call_on_fit_task_end(estimator=self._estimator)
        if self._fit is not None:
            self._fit.call_on_fit_task_end(estimator=self._estimator)

    def _open(self) -> None:
        if self._watched:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator)
