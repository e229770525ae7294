"""The fitted model: schema, network, parameters and score calibration; everything at prediction.

Knows: raw rows in, codes, reconstructions, losses and nats out, in bounded row tiles.
Must not know: estimators, containers, how the parameters were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse

from xhat.codepart import CodePart
from xhat.data.batches import TILE, dense, tile_rows
from xhat.data.columns import Schema
from xhat.engines.base import Cells, Engine
from xhat.engines.threads import in_order, thread_limit
from xhat.filler import Filler
from xhat.hidden import Filling
from xhat.maths import heads
from xhat.maths.objective import Batch
from xhat.maths.params import Network, Views
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
R = TypeVar("R")
A = TypeVar("A", bound=npt.NDArray[Any])
#: Encoded cells per tile of a narrow table, about, where the size of a tile changes no result.
TILE_CELLS = 250_000
#: Codes decoded at a time where all that they decode to is held.
DECODED_STEP = 64
#: Nats of a cell at most; so many of them can be added up and shared out.
HIGHEST = 1e290
#: Multiply-adds from which tiles are spread over threads.
SPLIT = 10_000_000
#: Rounds of filling missing cells by a model that never learnt to; a denoising one needs 1. More
#: rounds fill cells better that the others determine, and worse that they hardly know.
ROUNDS = 3
#: Rounds before such a model reads a row, where only the other cells count.
READING_ROUNDS = 4


@dataclass
class Model:
    """A fitted autoencoder.

    Attributes
    ----------
    schema : Schema
        Columns, scales, heads.
    net : Network
        Shape of the network.
    theta : ndarray
        Parameters, float32 or float64.
    residual : ndarray of shape (d,)
        Spread of the residual on held-out rows: of squared-error columns in encoded units, of
        counts as a multiple of Poisson's (at least 1).
    engine : Engine
        Computes codes and pre-activations.
    rounds : int
        How often ``impute`` feeds what it filled back to the encoder; 1 for a denoising model.
    code : CodePart or None
        How unlike the usual rows a row is as a whole; None where too few rows were trained on.
    filling : Filling or None
        How far to trust what is expected of hidden cells; None in older files: in full.
    filler : Filler or None
        A second network, which says what hidden cells hold; None: this one does.
    """

    schema: Schema
    net: Network
    theta: Vector
    residual: Floats
    engine: Engine
    rounds: int = ROUNDS
    code: CodePart | None = None
    filling: Filling | None = None
    filler: Filler | None = None
    _cast: dict[str, Vector] = field(default_factory=dict, repr=False, init=False)

    def parameters(self, dtype: npt.DTypeLike) -> Vector:
        """Return theta in the dtype of the work at hand."""
        key = np.dtype(dtype).name
        if key not in self._cast:
            self._cast[key] = self.theta.astype(dtype, copy=False)
        return self._cast[key]

    def views(self) -> Views:
        """Return the named parameters."""
        return Views(self.net, self.theta)

    def codes(self, X: object) -> Matrix:
        """Return the codes (n, k) of raw rows, in their dtype."""
        return self.of_rows(X, lambda _, tile: self._code(tile.X), large=True)

    def decode(self, H: Matrix) -> Matrix:
        """Return the raw reconstructions of codes, in their dtype; one column per table column."""
        X_hat, size = np.empty((len(H), len(self.schema.columns)), H.dtype), tile_rows(self.net.d)

        def one(start: int) -> Matrix:
            return self.schema.decode(self.rebuilt(H[start : start + size]))

        starts = range(0, len(H), size)
        for start, part in zip(starts, in_order(one, starts, self._threads(len(H))), strict=True):
            X_hat[start : start + size] = part
        return X_hat

    def losses(self, X: object) -> Floats:
        """Return the training loss of every cell (n, columns), 0 where missing."""
        return self.of_rows(X, lambda _, tile: self._cells(tile, Cells()), large=True)

    @property
    def parts(self) -> int:
        """Parts of a row's score: its columns, and its code if that has one."""
        return len(self.schema.columns) + (self.code is not None)

    def nats(self, X: object) -> Floats:
        """Return every part of the anomaly score (n, parts) in nats, float64, 0 = perfect.

        Real columns ``1/2 (r / s)**2`` with s the column's spread of held-out residuals; binary
        and categorical columns -log p(observed), counts half the Poisson deviance divided by the
        dispersion (its held-out mean, at least 1); missing cells 0. The last part is the code's.
        The encoder sees the row clipped to the training range, so that one absurd cell does not
        smear over the others; the target never is (docs/maths.md).
        """
        return self.of_rows(X, self.all_nats(), large=True)

    def scores(self, X: object, summed: Callable[[Matrix], Matrix] | None = None) -> Floats:
        """Return every row's nats; no matrix of all cells is ever held.

        ``summed`` makes of the nats of some rows what is summed over a row. The estimator puts the
        left-out columns back, so that a score has the bits of its terms summed.
        """
        nats = self.all_nats()

        def sums(raw: Matrix, tile: Batch) -> Floats:
            parts = nats(raw, tile)
            return np.asarray((parts if summed is None else summed(parts)).sum(axis=1))

        return self.of_rows(X, sums, large=True)

    def score(self, X: object) -> float:
        """Return minus the mean loss of the rows."""

        def sums(raw: Matrix, tile: Batch) -> Floats:
            return np.asarray(self._cells(tile, Cells()).sum(axis=1))

        return -float(self.of_rows(X, sums, large=True).mean())

    def expected(self, X: object) -> Floats:
        """Return the raw value that every cell was scored against."""

        def tile_of(_: Matrix, tile: Batch) -> Floats:
            A_hat = self.output(self.schema.clip(tile.X))
            return np.asarray(self.schema.decode(heads.predict(self.net.blocks, A_hat)))

        return self.of_rows(X, tile_of)

    def scored_codes(self, X: object) -> Matrix:
        """Return the codes of rows as they are scored: clipped to the training range."""
        return self.of_rows(X, lambda _, tile: self._code(self.schema.clip(tile.X)))

    def spread_code(self, X: object, nats: Floats) -> Floats:
        """Share the code's part of the rows' ``nats`` out over the table's columns, (n, columns).

        Large are the columns in which the row is far from what stored codes decode to.
        """
        code = self.code
        if code is None:
            return np.zeros_like(nats)

        def shares(_: Matrix, tile: Batch) -> Floats:
            return np.asarray(self.schema.by_column(code.shares(self.whole(tile))))

        return np.asarray(self.of_rows(X, shares) * nats[:, -1:])

    def whole(self, tile: Batch, H: Matrix | None = None) -> Matrix:
        """Return encoded rows as they are compared with others.

        Clipped, and cells that say nothing (missing, levels never seen) as they are rebuilt. H are
        the codes of the clipped rows, if they are known.
        """
        Z = self.schema.clip(tile.X)
        if tile.mask is None:
            return Z
        silent = tile.mask == 0
        some = silent.any(axis=1)
        if some.any():
            codes = self._code(Z[some]) if H is None else H[some]
            Z[some] = np.where(silent[some], self.rebuilt(codes), Z[some])
        return Z

    def rebuilt(self, H: Matrix) -> Matrix:
        """Return the encoded reconstructions of codes."""
        A_hat = self.engine.decode(self.net, self.parameters(H.dtype), H)
        return heads.predict(self.net.blocks, A_hat)

    def decoded(self, H: Matrix) -> Matrix:
        """Return the encoded reconstructions of codes in the parameters' dtype, some at a time."""
        rows = np.empty((len(H), self.net.d), self.theta.dtype)
        for first in range(0, len(H), DECODED_STEP):
            rows[first : first + DECODED_STEP] = self.rebuilt(H[first : first + DECODED_STEP])
        return rows

    def column_nats(self) -> Callable[[Matrix, Batch], Floats]:
        """Return what gives the nats of a tile's columns, from (raw rows, encoded rows)."""
        nats, unseen = self.seen_nats(), self.schema.unseen
        if not unseen.possible:
            return lambda _, tile: nats(tile)
        return lambda raw, tile: nats(tile) + unseen.nats(raw)

    def seen_nats(self) -> Callable[[Batch], Floats]:
        """Return what gives these nats but for those of levels never seen in training."""
        wanted = self._scored()
        return lambda tile: self._cells(tile, wanted)

    def _scored(self) -> Cells:
        """Return what the engine is asked for: nats above the floor, of clipped rows."""
        factor = self.schema.nats_per_loss / self._dispersion()
        low, high = self.schema.clip(np.outer([-np.inf, np.inf], np.ones(self.net.d)))
        return Cells(low, high, excess=True, factor=factor)

    def all_nats(self) -> Callable[[Matrix, Batch], Floats]:
        """Return what gives the nats of a tile: every column's and the code's (see nats)."""
        wanted, code, unseen = self._scored(), self.code, self.schema.unseen
        if code is None:
            return self.column_nats()

        def nats(raw: Matrix, tile: Batch) -> Floats:
            H = np.empty((len(raw), self.net.k), tile.X.dtype)
            parts = np.empty((len(raw), self.parts))
            parts[:, :-1] = self._cells(tile, wanted, H)
            if unseen.possible:
                parts[:, :-1] += unseen.nats(raw)
            parts[:, -1] = code.nats(self.whole(tile, H))
            if tile.mask is not None:  # nothing is known of a row without cells
                parts[~tile.mask.any(axis=1), -1] = 0
            return parts

        return nats

    def _cells(self, tile: Batch, wanted: Cells, codes: Matrix | None = None) -> Floats:
        """Return every cell's loss, summed over the encoded columns of each; write the codes."""
        loss = self.engine.cells(self.net, self.parameters(tile.X.dtype), tile, wanted, codes)
        cells = np.asarray(self.schema.by_column(loss), np.float64)
        with np.errstate(over="ignore"):
            whole = cells.sum()
        if whole == np.inf:  # cells of 1e155 and the like: a score stays a number
            cells = np.minimum(cells, HIGHEST)
        return cells

    def of_rows(self, X: object, work: Callable[[Matrix, Batch], A], *, large: bool = False) -> A:
        """Return the work of all tiles as one array (see by_tile)."""
        n: int = X.shape[0]  # type: ignore[attr-defined]
        out: Any = None
        for rows, part in self.by_tile(X, work, large=large):
            if out is None:
                out = np.empty((n, *part.shape[1:]), part.dtype)
            out[rows] = part
        return out  # type: ignore[no-any-return]

    def _dispersion(self) -> Floats:
        """Return what each column's loss is divided by: 2 s**2, the counts' dispersion, or 1."""
        schema, s = self.schema, self.residual
        return np.where(schema.squared, 2 * s**2, np.where(schema.counts, s**2, 1.0))

    def _code(self, Z: Matrix) -> Matrix:
        return self.engine.encode(self.net, self.parameters(Z.dtype), Z)

    def output(self, Z: Matrix) -> Floats:
        """Return A_hat of encoded rows, float64."""
        theta = self.parameters(Z.dtype)
        return self.engine.decode(self.net, theta, self._code(Z)).astype(np.float64, copy=False)

    def shown(self, raw: Matrix) -> Batch:
        """Return encoded rows as they are shown to what fills them."""
        return self._filled_in(self._encoded(raw), self.filling_rounds)

    @property
    def filling_rounds(self) -> int:
        """Rounds before such rows are read: a filler, and a denoising model, know the mean."""
        return 0 if self.filler is not None else self.rounds - 1

    def said_of(self, Z: Matrix) -> Floats:
        """Return what is made of the cells of such rows, encoded, float64."""
        if self.filler is not None:
            return self.filler.said(Z)
        return np.asarray(heads.predict(self.net.blocks, self.output(Z)), np.float64)

    def by_tile(
        self,
        X: object,
        work: Callable[[Matrix, Batch], R],
        *,
        large: bool = False,
        rounds: int = READING_ROUNDS,
        threads: int | None = None,
    ) -> Iterator[tuple[slice, R]]:
        """Yield (which rows, ``work(raw rows, encoded rows)``) of every tile, in order.

        Several tiles are worked on at a time, by a thread each, unless the rows are sparse (they
        are dense in use) or few. ``large``: only rows count and no sums are taken, so that the
        size of a tile changes no result. For the rounds see _filled_in.
        """
        n: int = X.shape[0]  # type: ignore[attr-defined]
        if threads is None:
            sparse = scipy.sparse.issparse(getattr(X, "X", X))
            threads = 1 if sparse else self._threads(n)
        size = tile_rows(self.net.d, X)
        if large and size == tile_rows(self.net.d):
            size = max(size, TILE_CELLS // self.net.d)
            size = min(size, max(TILE // 4, -(-n // threads)))

        def one(piece: tuple[slice, object]) -> tuple[slice, R]:
            rows, raw = piece[0], dense(piece[1])
            self.schema.unseen.check(raw, np.arange(rows.start, rows.stop), scored=True)
            return rows, work(raw, self._filled_in(self._encoded(raw), rounds))

        starts = range(0, max(n, 1), size)
        pieces = (slice(start, min(start + size, n)) for start in starts)
        taken = ((rows, X[rows]) for rows in pieces)  # type: ignore[index]
        yield from in_order(one, taken, threads)

    def _threads(self, n: int) -> int:
        """Return how many threads pay for n rows."""
        return thread_limit() if n * self.net.size >= SPLIT else 1

    def _encoded(self, raw: Matrix) -> Batch:
        """Return encoded rows; what was never seen says nothing, as if it were missing.

        What such a cell costs is known without the model (see Unseen.nats).
        """
        tile, unseen = self.schema.encode(raw), self.schema.unseen
        if not unseen.possible or not (new := unseen.cells(raw)).any():
            return tile
        mask = np.where(new[:, self.schema.group], 0, 1 if tile.mask is None else tile.mask)
        X = np.where(mask > 0, tile.X, self.schema.fill)
        return replace(tile, X=X.astype(tile.X.dtype), mask=mask.astype(tile.X.dtype))

    def _filled_in(self, tile: Batch, rounds: int) -> Batch:
        """Return encoded rows whose cells that say nothing hold what the model expects there.

        These are missing cells and levels never seen. They start at the training mean, or at what
        the filler says; each round replaces them by the reconstruction, one of them after the
        filler. A denoising model has learnt what the mean in place of a cell means; any other one
        has not, and would expect nonsense of the other cells.
        """
        if self.rounds == 1 or not rounds or tile.mask is None:
            return tile
        silent, likely = tile.mask == 0, self.schema.inside
        some = silent.any(axis=1)
        if not some.any():
            return tile
        if self.filler is not None:
            tile, rounds = self.filler.completed(tile, silent), 1
            likely = self.schema.likeliest
        part, silent = tile.X[some], silent[some]
        for _ in range(rounds):
            Z_hat = heads.predict(self.net.blocks, self.output(self.schema.clip(part)))
            part = np.where(silent, likely(Z_hat), part).astype(part.dtype)
        X = tile.X.copy()
        X[some] = part
        return replace(tile, X=X)
