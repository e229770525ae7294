"""The scikit-learn estimator: validate, wire, delegate. No maths here."""

from __future__ import annotations

import os
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from xhat import fitting, incremental, lesson, persist
from xhat.callbacks import CallbackSupportMixin, Epochs, with_callbacks
from xhat.data.kinds import Auto, Heads, Kind, asked
from xhat.data.spool import Rows, gathered
from xhat.data.stream import as_stream, is_stream, whole
from xhat.errors import ParameterError, about_validation
from xhat.judging import Judging
from xhat.maths.corruption import Corruption
from xhat.maths.penalties import Penalty
from xhat.progress import Progress
from xhat.rebuilding import Rebuilding
from xhat.requests import build_request
from xhat.scoring import Scoring
from xhat.settings import Request
from xhat.sources import Source, held_out_rows, merge_rows
from xhat.train.checkpoint import Checkpoint, opened
from xhat.train.monitor import EarlyStopping
from xhat.train.optimizers import LBFGS, SGD, Adam
from xhat.train.schedules import Schedule
from xhat.validation import all_or_nothing

Floats = npt.NDArray[np.float64]
#: Training rows of a stream whose scores set ``offset_``: their quantiles are known to 0.1 %.
OFFSET_ROWS = 50_000


class Autoencoder(
    CallbackSupportMixin,
    Rebuilding,
    Scoring,
    Judging,
    BaseEstimator,
):
    """Autoencoder ``h = g(W x + b)``, ``x_hat = f(W* h + c)`` for a table or a matrix.

    Minimises the mean over rows of ``loss(x, x_hat)``, with f and the loss chosen per column. By
    default the network is deep with a linear path that starts at PCA, training keeps the epoch
    with the lowest loss on held-out rows, and if none beats PCA, the model is PCA.
    ``Autoencoder.textbook()`` is exactly the two equations.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Units k of the code. "auto": a third of the columns, at most 64 (of the encoded columns, at
        most 128, with ``corruption=Masking()`` and more than 5 % of the cells missing).
    hidden : tuple of int or "auto", default="auto"
        Widths of the layers between x and h, mirrored between h and x_hat; () is one layer.
    linear_path : bool or "auto", default="auto"
        Add ``P x`` to the code and ``Q h`` to the output; training starts at PCA.
    activation : str, pair of str or "auto", default="auto"
        g: "sigmoid", "tanh", "relu", "silu" or "identity". A pair is (hidden layers, code); one
        name with hidden layers leaves the code linear.
    heads : str, head, Auto or dict, default="auto"
        Output function f and loss per column: "auto", "real", "binary", ``Real(...)``,
        ``Binary()``, or a dict of column name to one of these.
    penalty : penalty or sequence of penalties, default=None
        ``L2``, ``L1Code``, ``KLSparsity``, ``Contractive``.
    corruption : corruption, default=None
        ``Masking``, ``Gaussian`` or ``SaltAndPepper`` noise on what the encoder sees.
    tied : bool, default=False
        Whether the decoder's matrices are the encoder's, transposed.
    optimizer : {"adam", "sgd", "lbfgs"} or object, default="adam"
        Or ``Adam(...)``, ``SGD(...)``, ``LBFGS(...)``. By its name alone, Adam clips gradients
        from 5,000 training rows on (see ``choices_``).
    learning_rate : float, schedule or "auto", default="auto"
        A constant rate, or ``Constant``, ``Cosine``, ``OneCycle``.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto": 8 of up to 1,000 rows, in float64; of more 16, 64 or, of wide tables,
        128 and 256; small wide tables, `KLSparsity` and L-BFGS take more (see ``choices_``).
    max_iter : int or "auto", default="auto"
        Epochs (iterations for L-BFGS).
    validation_fraction : float in [0, 0.5], default=0.1
        Share of rows held out to choose the epoch; from 200 rows on as many again (at most
        10,000) are kept for the verdict alone. 0: train on everything to the last epoch.
    stopping : EarlyStopping, int, None or "auto", default="auto"
        When to stop (int: patience in epochs). None: never early; the best epoch is still kept.
        ``EarlyStopping(averaging=10)`` judges and keeps the mean of the parameters over about 10
        epochs; "auto" does so over 3 % of the epochs of mini-batches.
    contamination : float in [0, 0.5] or "auto", default="auto"
        Share of training rows that ``predict`` calls outliers, 0: none. "auto": what ``threshold``
        says of a false alarm rate of 0.05 on unseen rows; of training rows below 20 held-out ones.
    random_state : int, RandomState or None, default=None
        Seed of split, start, order and noise.
    engine : {"auto", "compiled", "reference"}, default="auto"
        What computes the steps.
    verbose : int, default=0
        1: a line at the epochs 1, 2, 5, 10, 20, 50, ..., on terminals a bar (rich); 2: at each.

    Attributes
    ----------
    n_components_ : int
        Units of the code.
    W_, b_, W_star_, c_ : ndarray of shapes (k, d), (k,), (d, k), (d,)
        Parameters of a one-layer model, in the units of the table.
    hidden_ : tuple of int
        Hidden widths.
    heads_ : dict
        Head of each column.
    choices_ : dict
        What every "auto" became, and why.
    verdict_ : Comparison
        Mean, PCA and xhat on rows not trained on.
    history_ : dict
        Losses per epoch. ``loss_curve_`` is its "loss". Where hidden cells count more
        (``Masking(visible=)``), both are losses with hidden cells.
    n_iter_, best_iter_ : int
        Epochs run, and the one kept (0 is the start).
    offset_ : float
        ``decision_function = score_samples - offset_``.
    identity_score_ : float
        How close an overcomplete model is to copying (1) rather than to structure (0).

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from xhat import Autoencoder
    >>> X, _ = load_wine(return_X_y=True)
    >>> ae = Autoencoder(n_components=4, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (178, 4)
    >>> int(ae.explain(X).sum(axis=1).argmax()) == int(ae.anomaly_score(X).argmax())
    True
    """

    _doc_link_module = "xhat"

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        hidden: tuple[int, ...] | str = "auto",
        linear_path: bool | str = "auto",
        activation: str | tuple[str, str] = "auto",
        heads: Heads = "auto",
        penalty: Penalty | tuple[Penalty, ...] | None = None,
        corruption: Corruption | None = None,
        tied: bool = False,
        optimizer: str | Adam | SGD | LBFGS = "adam",
        learning_rate: float | Schedule | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        validation_fraction: float = 0.1,
        stopping: EarlyStopping | int | str | None = "auto",
        contamination: float | str = "auto",
        random_state: Any = None,
        engine: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.linear_path = linear_path
        self.activation = activation
        self.heads = heads
        self.penalty = penalty
        self.corruption = corruption
        self.tied = tied
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.stopping = stopping
        self.contamination = contamination
        self.random_state = random_state
        self.engine = engine
        self.verbose = verbose

    @classmethod
    def textbook(cls, n_components: int | str = "auto", **parameters: Any) -> Self:
        """Return the two equations and nothing else: one sigmoid layer, no scaling, no linear path.

        Parameters
        ----------
        n_components : int or "auto"
            Units of the code.
        **parameters
            Any other parameter of the class.

        Examples
        --------
        >>> Autoencoder.textbook(3).hidden
        ()
        """
        defaults = {
            "hidden": (),
            "linear_path": False,
            "activation": "sigmoid",
            "heads": Auto(scale=None),
        }
        return cls(n_components, **{**defaults, **parameters})

    @with_callbacks  # type: ignore[untyped-decorator]
    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    ) -> Self:
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : array, CSR matrix, data frame or Arrow stream of shape (n, d)
            Numbers, categories, booleans, dates; missing cells are allowed. A stream (anything
            with ``__arrow_c_stream__``: a record batch reader, a DuckDB relation) is read once; if
            it is large, its rows wait on disk, in the folder for temporary files.
        y : None
            Ignored.
        sample_weight : array of shape (n,) or None
            Weights >= 0; weight k equals k copies (exactly, up to 1,000 rows).
        X_val : like X or None
            Held-out rows of your own choice, instead of a random share of X. Of 200 or more, half
            choose the epoch and half give the verdict.
        checkpoint : path-like or None
            A folder for the state of the fit. If it holds one of the same data, parameters and
            seed, the fit goes on there and ends with the same bytes as an unbroken one; L-BFGS
            starts anew.

        Returns
        -------
        self

        Raises
        ------
        DataError, ParameterError
            One line that names the thing, the value and the way out.
        TrainingError
            If the loss stops being finite.
        """
        request = build_request(self)
        if is_stream(X):
            return self._fit_stream(request, X, sample_weight, X_val, checkpoint)
        matrix = self._learn(X)
        weight = self._weights(sample_weight, matrix)
        source = self._source(matrix, weight)
        source = merge_rows(source)
        validation = None
        if X_val is not None:
            validation = self._held_out(X_val)
        rng, kept = self._generator(), self._opened(checkpoint)
        epochs = Epochs(self)
        with Progress(self.verbose, epochs) as progress:
            self._fit = fitting.fit(request, source, validation, rng, progress, kept)
        self._settle()
        self._set_offset(matrix, weight)
        if self._fit.interrupted:
            raise KeyboardInterrupt
        epochs.close()
        self._warn_if_copying(request)
        return self

    def _fit_stream(
        self, request: Request, X: Any, sample_weight: Any, X_val: Any, checkpoint: Any
    ) -> Self:
        """Read a stream once, then fit what it held: in memory if it is small, else from disk."""
        stream, rng = as_stream(X), self._generator()
        if sample_weight is not None:
            raise ParameterError("sample_weight needs a table in memory: X is a stream")
        fraction = 0.0 if X_val is not None else request.validation_fraction
        wish = self._wish(stream.names)
        kept = self._opened(checkpoint)

        def begun() -> np.random.Generator:
            if kept is not None:
                kept.begin(rng)  # a resumed fit holds the same rows out
            return rng

        with gathered(stream, wish, lambda n: held_out_rows(n, fraction), begun) as found:
            if not isinstance(found, Rows):
                fitted: Self = self.fit(found, X_val=whole(X_val), checkpoint=kept)
                return fitted
            self._learn_stored(stream, found.storage)
            source = Source(found.blocks, found.storage, lazy=True)
            validation = None
            if X_val is not None:
                validation = self._held_out(X_val)
            elif len(found.held_out):
                validation = Source(found.held_out, found.storage, origin=found.numbers)
            epochs = Epochs(self)
            with Progress(self.verbose, epochs) as progress:
                self._fit = fitting.fit(request, source, validation, rng, progress, kept)
            self._settle()
            self._set_offset(found.blocks[found.blocks.some(OFFSET_ROWS)], None)
        if self._fit.interrupted:
            raise KeyboardInterrupt
        epochs.close()
        self._warn_if_copying(request)
        return self

    def _held_out(self, X_val: Any) -> Source:
        with about_validation():
            return replace(self._source(self._read(whole(X_val))), own_choice=True)

    def _opened(self, checkpoint: Any) -> Checkpoint | None:
        return opened(checkpoint, seeded=isinstance(self.random_state, Integral))

    @all_or_nothing
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Take one pass of steps over X; the first call fixes schema, scale and start.

        No row is held out and nothing stops early; the learning rate is constant. Call it again
        with further rows. Scores are scaled on a random sample of the rows of all calls, after
        ``fit`` from 200 rows on; ``threshold`` needs rows that were held out and refuses.

        Parameters
        ----------
        X : like in fit
        y : None
            Ignored.

        Returns
        -------
        self
        """
        first = not hasattr(self, "_fit")
        request = build_request(self)
        X = whole(X)
        matrix = self._learn(X) if first else self._read(X)
        source = self._source(matrix)
        rng = self._generator()
        fit = incremental.begin(request, source, rng) if first else self._fit
        self._fit = incremental.advance(fit, request, source, rng)
        self._settle()
        if (measured_on := incremental.measured_on(self._fit)) is not None:
            self._set_offset(measured_on, None)
        return self

    def save(self, path: Any) -> None:
        """Write the fitted model to one file (safetensors with a JSON header, no pickle)."""
        check_is_fitted(self)
        persist.save(self, path)

    # -- after a fit ------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Publish what was fitted under the names users know."""
        fit = self._fit
        self.n_components_ = fit.model.net.k
        self.hidden_ = fit.model.net.hidden
        self.heads_: dict[str, Kind] = {c.name: asked(c.kind) for c in fit.model.schema.columns}
        self.choices_ = fit.choices
        self.history_ = fit.history
        self.loss_curve_ = fit.history.get("loss", [])
        self.n_iter_ = max(1, fit.epochs)
        self.best_iter_ = fit.best_epoch
        self.verdict_ = fit.verdict
        optional: dict[str, Any] = {"identity_score_": fit.identity_score}
        optional.update(lesson.textbook_parameters(fit.model))
        for name in ("identity_score_", "W_", "b_", "W_star_", "c_"):
            self.__dict__.pop(name, None)  # a refit forgets the previous one
            if optional.get(name) is not None:
                setattr(self, name, optional[name])

    def _warn_if_copying(self, request: Request) -> None:
        lesson.warn_if_copying(self._fit, request)

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_fit" in self.__dict__
