"""What is settled before the first step: schema, network, baseline, objective, engine.

Knows: the order of these decisions. Must not know: training, selection, scikit-learn's contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from xhat import auto
from xhat.baseline import Baseline, fit_baseline, mean_losses
from xhat.data.batches import Rows
from xhat.data.columns import Schema
from xhat.data.kinds import resolve_kinds
from xhat.data.scaling import fit_schema
from xhat.data.statistics import column_statistics
from xhat.engines import choose
from xhat.engines.base import Engine
from xhat.errors import DataError, ParameterError
from xhat.filler import Filler
from xhat.maths.corruption import Masking
from xhat.maths.objective import Objective
from xhat.maths.types import Matrix, Vector
from xhat.model import ROUNDS, Model
from xhat.pca import fit_pca
from xhat.settings import Choices, Request, Shape, Size, settle_network, settle_optimizer
from xhat.sources import Source, Split
from xhat.start import start
from xhat.train.optimizers import LBFGS

#: Encoded values whose squares can still be added up.
FARTHEST = 1e152


@dataclass(frozen=True)
class Prepared:
    """Everything that is settled before the first step."""

    request: Request
    source: Source
    others: Source  # where held-out and verdict rows come from
    split: Split
    schema: Schema
    missing: float  # share of the cells
    size: Size
    shape: Shape
    objective: Objective
    engine: Engine
    rows: Rows
    held_out: Rows | None
    choices: Choices
    #: Of the hidden biases before training, see auto.bias_spread.
    spread: float
    filler: Filler | None

    @cached_property
    def baseline(self) -> Baseline:
        """PCA of the training rows; of a filler only roughly, to start there."""
        rows = self.source.walked(self.schema, self.split.train, np.float64, self.filler)
        pca = fit_pca(rows, min(self.shape.net.k, self.schema.d))
        return fit_baseline(rows, pca, self.schema.blocks, rough=self.request.fills)

    @property
    def sources(self) -> list[Source]:
        """All rows that take part."""
        return [self.source] + [self.others] * (self.others is not self.source)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """What training computes in."""
        return _training_dtype(self.request, self.source)

    def start(self, rng: np.random.Generator) -> Vector:
        """Return the parameters before training."""
        if self.shape.is_pca:
            return self.baseline.theta.copy()
        return start(self.shape.net, self.baseline, rng, self.spread).astype(self.dtype)

    def pca(self) -> Model:
        """Return PCA as a model, its scores not yet calibrated."""
        return replace(self.model(self.baseline.theta), net=self.baseline.net)

    def model(self, theta: Vector) -> Model:
        """Return a model, its scores not yet calibrated."""
        rounds = 1 if isinstance(self.objective.corruption, Masking) else ROUNDS
        residual = np.ones(self.shape.net.d)
        model = Model(self.schema, self.shape.net, theta, residual, self.engine, rounds)
        model.filler = self.filler
        return model

    def again(
        self, request: Request, split: Split | None = None, filler: Filler | None = None
    ) -> Prepared:
        """Settle another network, other rows, or rows completed by a filler; the schema stays."""
        table = _Table(self.source, self.others, split or self.split, self.schema, self.missing)
        same = split is None and filler is None and self.filler is None
        same = same and _training_dtype(request, self.source) == self.dtype
        found = (self.rows, self.held_out) if same else None
        return _settle(request, table, Choices(), filler, found)


@dataclass(frozen=True)
class _Table:
    """Rows, their split and their schema."""

    source: Source
    others: Source
    split: Split
    schema: Schema
    missing: float


def _training_dtype(request: Request, source: Source) -> np.dtype[np.floating]:
    return np.dtype(np.float64 if request.exact(source.n) else np.float32)


def prepare(
    request: Request,
    source: Source,
    others: Source,
    split: Split,
    like: Schema | None = None,
    *,
    alone: bool = False,
) -> Prepared:
    """Settle schema (see fit_schema for ``like``), network and engine.

    A network that is ``alone`` learns to fill cells as well, where there are missing ones.
    """
    everything = column_statistics(lambda: _all_rows(source, others), len(source.names))
    kinds = resolve_kinds(source.names, request.heads, everything, source.forms)
    schema = fit_schema(
        source.names, kinds, source.levels, lambda: source.tiles(split.train), everything, like
    )
    _check_squares(schema)
    source.check(schema, split.train)
    others.check(schema, split.unseen)
    if not schema.textbook:
        precise = source.walked(schema, split.train, np.float64)
        losses = mean_losses(precise, schema.blocks, schema.fill)
        schema = schema.balanced(schema.by_column(losses)[0])
    choices, missing = Choices(), float(everything.missing.mean())
    if alone and request.corruption is None:
        corruption = choices.settle(
            "corruption", None, lambda: auto.hiding(len(split.train), schema.d, missing)
        )
        request = replace(request, corruption=corruption)
    return _settle(request, _Table(source, others, split, schema, missing), choices, None)


def _settle(
    request: Request,
    table: _Table,
    choices: Choices,
    filler: Filler | None,
    found: tuple[Rows, Rows | None] | None = None,
) -> Prepared:
    """Encode the rows, if they are not yet; settle network, objective and engine."""
    source, others, split, schema = table.source, table.others, table.split, table.schema
    exact, dtype = request.exact(source.n), _training_dtype(request, source)
    choices.said["training dtype"] = str(dtype)
    if found is None:
        found = source.rows(schema, split.train, dtype, filler), None
        if len(split.held_out):
            found = found[0], others.rows(schema, split.held_out, dtype, filler)
    rows, held_out = found
    rank = _rank(request, rows, schema.d)
    empty = table.missing if isinstance(request.corruption, Masking) else 0.0
    size = Size(rows.n, len(source.names), schema.d, rank, empty)
    shape = settle_network(request, size, schema.blocks, choices)
    request = settle_optimizer(request, size, choices, exact=exact)
    spread = choices.settle(
        "hidden biases",
        None,
        lambda: auto.bias_spread(exact=exact, linear_path=shape.net.linear_path),
    )
    if "corruption" not in choices.said:
        choices.settle("corruption", request.corruption, lambda: (None, "by default"))
    columns = schema.ranges(dtype)
    objective = Objective(shape.net, request.penalties, request.corruption, columns)
    optimizer = None if isinstance(request.optimizer, LBFGS) else request.optimizer
    try:
        engine, reason = choose(request.engine, objective, optimizer)
    except ValueError as error:
        raise ParameterError(str(error)) from None
    choices.said["engine"] = f"{engine.name} ({reason})"
    return Prepared(
        request,
        source,
        others,
        split,
        schema,
        table.missing,
        size,
        shape,
        objective,
        engine,
        rows,
        held_out,
        choices,
        spread,
        filler,
    )


def _check_squares(schema: Schema) -> None:
    """Refuse a scale in which the square of a cell overflows: quartiles say nothing of one cell."""
    for column in schema.columns:
        far = max(abs(column.low), abs(column.high))
        if far > FARTHEST and getattr(column.kind, "scale", None) == "robust":
            raise DataError(
                f"column {column.name!r} has a cell {far:.0e} times as far out as its others: "
                "correct it, leave the column out, or give it heads='asinh'"
            )


def _all_rows(source: Source, others: Source) -> Iterator[tuple[Matrix, Vector | None]]:
    yield from source.tiles(source.everything)
    if others is not source:
        yield from others.tiles(others.everything)


def _rank(request: Request, rows: Rows, d: int) -> int:
    """Return the rank of a small table (an upper bound for the automatic code size), else d."""
    if request.n_components is not None or rows.n > auto.SMALL:
        return d
    X = rows.take(slice(None)).X
    return max(1, int(np.linalg.matrix_rank(X - X.mean(axis=0))))
