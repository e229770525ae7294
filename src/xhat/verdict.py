"""The verdict: mean, PCA and xhat on the same rows at the same code size, and one sentence.

Knows: a fitted model, its baseline, rows. Must not know: how they were fitted.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from xhat.baseline import Baseline
from xhat.data.batches import Rows, tiles
from xhat.data.columns import Schema
from xhat.data.kinds import Binary, Categorical, Count, Real
from xhat.engines.base import Cells, Engine
from xhat.errors import DataError
from xhat.maths import heads
from xhat.maths.objective import Objective
from xhat.maths.objective import row_losses as losses_of_rows
from xhat.maths.params import Network, Views
from xhat.maths.types import Vector
from xhat.model import Model
from xhat.pca import principal_angles
from xhat.sources import Index, Source

#: Share of the mean's loss that is rounding: PCA that leaves no more is a copy.
COPIED = 1e-12


def rows_of(n: int, words: str) -> str:
    """Return a verdict's words for its rows, for one row in the singular.

    Examples
    --------
    >>> rows_of(1, "held-out rows (optimistic: they also chose the epoch)")
    'held-out row (optimistic: it also chose the epoch)'
    """
    return words if n != 1 else words.replace("rows", "row", 1).replace("they ", "it ")


@dataclass(frozen=True)
class Comparison:
    """Losses of the mean, of PCA and of xhat on the same rows at the same code size.

    Attributes
    ----------
    mean, pca, xhat : float
        Mean loss per row: squared errors (in the scale of ``unit``) and cross-entropies in nats,
        summed over the columns.
    n_components : int
        Code size k of PCA and xhat.
    n_rows : int
        Rows the losses were taken on.
    rows : str
        Which rows these are.
    unit : str
        The scale of the loss.
    is_pca : bool
        Whether the model *is* PCA (it won on the held-out rows, or the table is tiny).
    angles : list of float or None
        Principal angles in radians between the decoder's span and PCA's, for linear models.
    by_column : list of [mean, pca, xhat] or None
        Each table column's part of the three losses, in the model's order of columns.
    fills : bool
        Whether the model learnt to fill missing cells; the losses are of cells that are seen.
    """

    mean: float
    pca: float
    xhat: float
    n_components: int
    n_rows: int
    rows: str
    unit: str
    is_pca: bool = False
    angles: list[float] | None = None
    by_column: list[list[float]] | None = None
    fills: bool = False

    @property
    def ratio(self) -> float:
        """Return the loss of xhat divided by that of PCA (1 where both are equal)."""
        if self.pca == self.xhat:
            return 1.0
        return self.xhat / self.pca if self.pca > 0 else float("inf")

    @property
    def sentence(self) -> str:
        """Say in one sentence which wins."""
        k = self.n_components
        where = (
            f"on {self.n_rows} {rows_of(self.n_rows, self.rows)} at {k} unit{'s' if k > 1 else ''}"
        )
        overflow = not all(map(math.isfinite, (self.mean, self.pca, self.xhat)))
        if overflow or not self.mean:
            nothing = f"the mean leaves no loss {where}, so that there is nothing to compare"
            if overflow:
                nothing = f"a cell is so far out that losses overflow {where} (see explain)"
            return f"{'The model is PCA' if self.is_pca else 'No verdict'}: {nothing}."
        if self.is_pca:
            return f"The model is PCA: nothing beat it {where}."
        if self.pca <= COPIED * self.mean:
            return (
                f"PCA rebuilds the rows without loss, so that nothing can beat it {where}: xhat "
                f"leaves {self.xhat / self.mean:.3g} of the mean's loss."
            )
        ratio = f"{self.ratio:.3g} times PCA's"
        if self.ratio > 1.005:
            advice = "; use PCA, or a deeper xhat"
            if self.fills:
                advice = " on cells that are seen; it learnt to fill those that are not"
            return f"PCA wins {where}: xhat's loss is {ratio}{advice}."
        if self.ratio > 0.995:
            return f"A draw {where}: xhat's loss is {ratio}; PCA is enough."
        return f"xhat wins {where}: its loss is {ratio}."

    def __str__(self) -> str:
        lines = [f"loss per row ({self.unit})"]
        values = (("mean", self.mean), ("PCA", self.pca), ("xhat", self.xhat))
        lines += [f"  {name:<5}{value:>12.4f}" for name, value in values]
        if self.angles is not None:
            lines.append(f"largest angle to PCA's span: {max(self.angles):.4f} rad")
        return "\n".join([*lines, self.sentence])

    def to_dict(self) -> dict[str, object]:
        """Return the fields, the ratio and the sentence as plain values; None for infinite ones."""
        found = {**asdict(self), "ratio": self.ratio, "sentence": self.sentence}
        for name, value in found.items():
            if isinstance(value, float) and not math.isfinite(value):
                found[name] = None
        if self.by_column is not None and not np.isfinite(self.by_column).all():
            parts = [[v if np.isfinite(v) else None for v in part] for part in self.by_column]
            found["by_column"] = parts
        return found


def compare(
    model: Model, baseline: Baseline, source: Source, index: Index, rows: str, *, is_pca: bool
) -> Comparison:
    """Return the losses of mean, PCA and model on the same rows, in float64."""
    encoded = source.walked(model.schema, index, np.float64, model.filler)

    parameters = (
        baseline.of_mean(),
        (baseline.net, baseline.theta),
        (model.net, model.theta),
    )
    losses = [_column_losses(model, net, theta, encoded) for net, theta in parameters]
    mean, pca, xhat = (float(loss.sum()) for loss in losses)
    return Comparison(
        mean=mean,
        pca=pca,
        xhat=xhat,
        n_components=model.net.k,
        n_rows=source.copies(index),
        rows=rows,
        unit=_unit(model.schema),
        is_pca=is_pca,
        angles=_angles(model, baseline),
        by_column=np.column_stack(losses).tolist(),
        fills=model.rounds == 1,
    )


def compare_given(
    model: Model, baseline: Baseline, source: Source, *, is_pca: bool = False
) -> Comparison:
    """Return the comparison on rows that a user gave.

    Raises
    ------
    DataError
        If no cell of them is observed: all losses would be 0.
    """
    index = np.arange(source.n)
    found = compare(model, baseline, source, index, "rows given", is_pca=is_pca)
    if not found.mean and not source.observed(index):
        raise DataError(
            f"no cell of the {source.n} row{'s' if source.n > 1 else ''} is observed: there is "
            "nothing to compare xhat and PCA on, give rows with cells"
        )
    return found


def _column_losses(
    model: Model, net: Network, theta: Vector, encoded: Rows
) -> npt.NDArray[np.float64]:
    """Return the (weighted) mean loss of every table column; their sum is that of the rows."""
    total, weights = np.zeros(len(model.schema.columns)), 0.0
    for tile in tiles(encoded):
        theta = theta.astype(tile.X.dtype, copy=False)
        cells = model.engine.cells(net, theta, tile, Cells())
        w = np.ones(len(cells)) if tile.weight is None else tile.weight
        total += w @ model.schema.by_column(cells)
        weights += float(w.sum())
    return total / weights


def row_losses(
    engine: Engine, objective: Objective, theta: Vector, rows: Rows
) -> npt.NDArray[np.float64]:
    """Return the loss of every encoded row, float64."""
    parts: list[npt.NDArray[np.float64]] = []
    net, first = objective.net, 0
    for tile in tiles(rows):
        theta = theta.astype(tile.X.dtype, copy=False)
        X_tilde, seen = objective.shown(tile, first)
        A_hat = engine.decode(net, theta, engine.encode(net, theta, X_tilde))
        parts.append(losses_of_rows(net, A_hat, seen.X, seen.mask).astype(np.float64))
        first += len(tile.X)
    return np.concatenate(parts)


def _angles(model: Model, baseline: Baseline) -> list[float] | None:
    """Return the principal angles for a linear squared-error model, else None."""
    net = model.net
    linear = net.depth == 1 and net.code_activation == "identity"
    if not linear or any(block.head != heads.SquaredError("linear") for block in net.blocks):
        return None
    W_star, _ = model.views().decoder(0)
    base = Views(baseline.net, baseline.theta)["W_star"]
    angles = principal_angles(W_star.T.astype(np.float64), base.T.astype(np.float64))
    return [float(angle) for angle in angles]


def _unit(schema: Schema) -> str:
    if any(column.weight != 1 for column in schema.columns):
        return "every column's loss divided by its loss at the mean"
    kinds = {type(column.kind) for column in schema.columns}
    parts = []
    if Real in kinds:
        scaled = (schema.spread[schema.squared] != 1).any()
        bent = any(column.bend for column in schema.columns)
        said = "standardised columns" + ", some in asinh scale" * bent if scaled else "raw values"
        parts.append(f"squared error of {said}")
    if kinds & {Binary, Categorical}:
        parts.append("cross-entropy in nats")
    if Count in kinds:
        parts.append("half the Poisson deviance in nats")
    return " + ".join(parts)


def identity_score(model: Model, source: Source, index: Index) -> float:
    """Return how close the model is to copying: 1 = rebuilds anything, 0 = no better than the mean.

    One minus the squared error divided by the mean's, on up to 1,000 training rows whose columns
    were shuffled independently: a model that learnt how columns go together cannot rebuild such
    rows, a copier can.
    """
    rng = np.random.default_rng(0)
    Z = model.schema.encode(source.raw(index[:1000]).astype(np.float64)).X
    mean = Z.mean(axis=0)
    Z = np.column_stack([rng.permutation(column) for column in Z.T])
    theta = model.parameters(np.float64)
    H = model.engine.encode(model.net, theta, Z)
    Z_hat = heads.predict(model.net.blocks, model.engine.decode(model.net, theta, H))
    spread = float(((Z - mean) ** 2).sum())
    return max(0.0, 1 - float(((Z_hat - Z) ** 2).sum()) / spread) if spread > 0 else 1.0
