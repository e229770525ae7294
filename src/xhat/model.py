"""The fitted model: schema, network, parameters and score calibration; everything at prediction.

Knows: raw rows in, codes, reconstructions, losses and nats out, in bounded row tiles.
Must not know: estimators, containers, how the parameters were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from xhat.codepart import CodePart, slope
from xhat.data.batches import TILE, dense, tile_rows
from xhat.data.columns import Schema
from xhat.engines.base import Cells, Engine, one_blas_thread
from xhat.maths import heads
from xhat.maths.objective import Batch
from xhat.maths.params import Network, Views
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
#: Encoded cells per tile of a narrow table, about, where the size of a tile changes no result.
TILE_CELLS = 500_000
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
        How unusual a code is; None in model files that were written before there was one.
    """

    schema: Schema
    net: Network
    theta: Vector
    residual: Floats
    engine: Engine
    rounds: int = ROUNDS
    code: CodePart | None = None
    _cast: dict[str, Vector] = field(default_factory=dict, repr=False, init=False)

    def parameters(self, dtype: npt.DTypeLike) -> Vector:
        """Return theta in the dtype of the work at hand."""
        key = np.dtype(dtype).name
        if key not in self._cast:
            self._cast[key] = self.theta.astype(dtype)
        return self._cast[key]

    def views(self) -> Views:
        """Return the named parameters."""
        return Views(self.net, self.theta)

    def codes(self, X: object) -> Matrix:
        """Return the codes (n, k) of raw rows, in their dtype."""
        n: int = X.shape[0]  # type: ignore[attr-defined]
        H: Matrix | None = None
        for rows, _, tile in self._encoded(X, large=True):
            part = self._code(tile.X)
            if H is None:
                H = np.empty((n, self.net.k), part.dtype)
            H[rows] = part
        assert H is not None
        return H

    def decode(self, H: Matrix) -> Matrix:
        """Return the raw reconstructions of codes, in their dtype; one column per table column."""
        theta = self.parameters(H.dtype)
        X_hat = np.empty((len(H), len(self.schema.columns)), H.dtype)
        for start in range(0, len(H), TILE):
            A_hat = self.engine.decode(self.net, theta, H[start : start + TILE])
            X_hat_tile = self.schema.decode(heads.predict(self.net.blocks, A_hat))
            X_hat[start : start + TILE] = X_hat_tile
        return X_hat

    def losses(self, X: object) -> Floats:
        """Return the training loss of every cell (n, columns), 0 where missing."""
        return self._filled(X, self._cells(X, Cells()), len(self.schema.columns))

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
        return self._filled(X, self.nats_by_tile(X), self.parts)

    def scores(self, X: object, widen: Callable[[Matrix], Matrix] | None = None) -> Floats:
        """Return every row's nats; no matrix of all cells is ever held.

        ``widen`` puts the left-out columns back: the sum has the bits of explain's rows.
        """
        n: int = X.shape[0]  # type: ignore[attr-defined]
        scores = np.empty(n)
        for rows, nats in self.nats_by_tile(X):
            scores[rows] = (nats if widen is None else widen(nats)).sum(axis=1)
        return scores

    def score(self, X: object) -> float:
        """Return minus the mean loss of the rows."""
        parts = [cells.sum(axis=1) for _, cells in self._cells(X, Cells())]
        return -float(np.concatenate(parts).mean())

    def expected(self, X: object) -> Floats:
        """Return the raw value that every cell was scored against."""
        parts = [
            self.schema.decode(
                heads.predict(self.net.blocks, self._output(self.schema.clip(tile.X)))
            )
            for _, _, tile in self._encoded(X)
        ]
        return np.vstack(parts)

    def nats_by_tile(self, X: object) -> Iterator[tuple[slice, Floats]]:
        """Yield (which rows, their nats): for sums over a row, without the cells of all rows."""
        factor = self.schema.nats_per_loss / self._dispersion()
        low, high = self.schema.clip(np.outer([-np.inf, np.inf], np.ones(self.net.d)))
        wanted = Cells(low, high, excess=True, factor=factor)
        for rows, raw, tile in self._encoded(X, large=True):
            if self.code is None:
                yield rows, self._tile(raw, tile, wanted)
                continue
            H = np.empty((len(raw), self.net.k), tile.X.dtype)
            nats = np.empty((len(raw), self.parts))
            nats[:, :-1] = self._tile(raw, tile, wanted, H)
            nats[:, -1] = self.code.nats(H)
            if tile.mask is not None:  # nothing is known of a row without cells
                nats[~tile.mask.any(axis=1), -1] = 0
            yield rows, nats

    def scored_codes(self, X: object) -> Matrix:
        """Return the codes of rows as they are scored: clipped to the training range."""
        return np.concatenate(
            [self._code(self.schema.clip(tile.X)) for _, _, tile in self._encoded(X)]
        )

    def spread_code(self, X: object, nats: Floats) -> Floats:
        """Share the code's part of the rows' ``nats`` out over the table's columns, (n, columns).

        Large are the columns in which the row's reconstruction is far from those of stored codes.
        """
        if self.code is None:
            return np.zeros_like(nats)
        with one_blas_thread():
            if "slope" not in self._cast:
                self._cast["slope"] = slope(self.code.stored, self.rebuilt(self.code.stored))
            B = np.asarray(self._cast["slope"], np.float64)
            shares = self.code.shares(self.scored_codes(X), B)
        return np.asarray(self.schema.by_column(shares) * nats[:, -1:])

    def rebuilt(self, H: Matrix) -> Matrix:
        """Return the encoded reconstructions of codes."""
        A_hat = self.engine.decode(self.net, self.parameters(H.dtype), H)
        return heads.predict(self.net.blocks, A_hat)

    def _cells(self, X: object, wanted: Cells) -> Iterator[tuple[slice, Floats]]:
        """Yield every cell's loss, summed over the encoded columns of each table column."""
        for rows, raw, tile in self._encoded(X, large=True):
            yield rows, self._tile(raw, tile, wanted)

    def _tile(self, raw: Matrix, tile: Batch, wanted: Cells, codes: Matrix | None = None) -> Floats:
        """Return the loss of every cell of a tile, summed like those of _cells; write its codes."""
        loss = self.engine.cells(self.net, self.parameters(tile.X.dtype), tile, wanted, codes)
        cells = np.asarray(self.schema.by_column(loss), np.float64)
        surprises = wanted.excess and any(column.places for column in self.schema.columns)
        return cells + self.schema.unseen(raw) if surprises else cells

    def _filled(self, X: object, tiles: Iterator[tuple[slice, Floats]], width: int) -> Floats:
        """Return all rows of the tiles as one matrix."""
        n: int = X.shape[0]  # type: ignore[attr-defined]
        out = np.empty((n, width))
        for rows, part in tiles:
            out[rows] = part
        return out

    def _dispersion(self) -> Floats:
        """Return what each column's loss is divided by: 2 s**2, the counts' dispersion, or 1."""
        schema, s = self.schema, self.residual
        return np.where(schema.squared, 2 * s**2, np.where(schema.counts, s**2, 1.0))

    def impute(self, X: object, rng: np.random.Generator | None = None) -> Matrix:
        """Return raw rows with missing cells filled; with a generator, by draws instead of means.

        Missing cells start at the training mean; each round replaces them by the reconstruction,
        so that what was filled helps to fill the rest.
        """
        filled: Matrix = np.empty(X.shape, X.dtype)  # type: ignore[attr-defined]
        for rows, raw, tile in self._encoded(X, rounds=self.rounds - 1):
            if tile.mask is None:
                filled[rows] = raw
                continue
            Z_hat = heads.predict(self.net.blocks, self._output(tile.X))
            Z = np.where(tile.mask > 0, tile.X, self.schema.inside(Z_hat)).astype(tile.X.dtype)
            if rng is not None:
                Z = np.where(tile.mask > 0, tile.X, self._draw(Z_hat, rng))
            filled[rows] = np.where(np.isnan(raw), self.schema.decode(Z), raw)
        return filled

    def _draw(self, Z_hat: Matrix, rng: np.random.Generator) -> Floats:
        """Return one draw of every cell from what the model says of it."""
        drawn = Z_hat + self.residual * rng.normal(size=Z_hat.shape)
        for block in self.net.blocks:
            part, f = Z_hat[:, block.columns], block.head.f
            if f == "softmax":
                level = (rng.random((len(part), 1)) > part.cumsum(axis=1)).sum(axis=1)
                drawn[:, block.columns] = np.eye(part.shape[1])[
                    np.minimum(level, part.shape[1] - 1)
                ]
            elif f == "logistic" and not self.schema.squared[block.start]:
                drawn[:, block.columns] = rng.random(part.shape) < part
            elif f == "exp":
                unit = self.schema.spread[block.columns]
                drawn[:, block.columns] = rng.poisson(part * unit) / unit
        return drawn

    def _code(self, Z: Matrix) -> Matrix:
        return self.engine.encode(self.net, self.parameters(Z.dtype), Z)

    def _output(self, Z: Matrix) -> Floats:
        """Return A_hat of encoded rows, float64."""
        theta = self.parameters(Z.dtype)
        return self.engine.decode(self.net, theta, self._code(Z)).astype(np.float64, copy=False)

    def _encoded(
        self, X: object, *, large: bool = False, rounds: int = READING_ROUNDS
    ) -> Iterator[tuple[slice, Matrix, Batch]]:
        """Yield (which rows, raw rows, encoded rows) per tile; see _filled_in for the rounds.

        Tiles may be ``large`` where only rows count and no sums are taken: fewer calls.
        """
        n = X.shape[0]  # type: ignore[attr-defined]
        size = tile_rows(self.net.d, X)
        if large and size == tile_rows(self.net.d):
            size = max(size, TILE_CELLS // self.net.d)
        for start in range(0, n, size):
            raw = dense(X[start : start + size])  # type: ignore[index]
            self.schema.check(raw, np.arange(start, start + len(raw)))
            tile = self._filled_in(raw, self.schema.encode(raw), rounds)
            yield slice(start, start + len(raw)), raw, tile

    def _filled_in(self, raw: Matrix, tile: Batch, rounds: int) -> Batch:
        """Return encoded rows whose cells that say nothing hold what the model expects there.

        These are missing cells and levels never seen. They start at the training mean; each round
        replaces them by the reconstruction. A denoising model has learnt what the mean in place of
        a cell means; any other one has not, and would expect nonsense of the other cells.
        """
        levels = any(column.places for column in self.schema.columns)
        if self.rounds == 1 or (tile.mask is None and not levels):
            return tile
        silent = (np.isnan(raw) | self.schema.new_levels(raw))[:, self.schema.group]
        some = silent.any(axis=1)
        if not some.any():
            return tile
        part, silent = tile.X[some], silent[some]
        for _ in range(rounds):
            Z_hat = heads.predict(self.net.blocks, self._output(part))
            part = np.where(silent, self.schema.inside(Z_hat), part).astype(part.dtype)
        X = tile.X.copy()
        X[some] = part
        return replace(tile, X=X)

    def residuals(self, X: object) -> Iterator[tuple[Floats, Floats]]:
        """Yield (squared residuals of the cells as scored, mask of observed cells) per tile."""
        for _, _, tile in self._encoded(X):
            Z_hat = heads.predict(self.net.blocks, self._output(self.schema.clip(tile.X)))
            # 1e150: its square is finite; only absurd cells of held-out rows are further off
            counts = self.schema.counts
            mean = np.maximum(Z_hat[:, counts], 1e-9)
            squares = np.subtract(Z_hat, tile.X, out=Z_hat)
            np.square(np.clip(squares, -1e150, 1e150, out=squares), out=squares)
            if counts.any():  # Pearson's statistic: 1 on average for Poisson counts
                squares[:, counts] *= self.schema.spread[counts] / mean
            if tile.mask is None:
                yield squares, np.ones(Z_hat.shape)
            else:
                mask = tile.mask.astype(np.float64)
                yield squares * mask, mask


def residual_spread(model: Model, X: object, weight: Vector | None) -> Floats:
    """Return the spread of each encoded column's residual on rows X, with a floor.

    The floor is 1e-4 of the column's own scale: constant and perfectly rebuilt columns have no
    residual, and rounding alone (1e-7 in float32) must not count as strange.
    """
    w = np.ones(X.shape[0]) if weight is None else weight  # type: ignore[attr-defined]
    total, seen, first = np.zeros(model.net.d), np.zeros(model.net.d), 0
    for R, mask in model.residuals(X):
        part = w[first : first + len(R)]
        total += part @ R
        seen += part @ mask
        first += len(R)
    # Nothing observed here: as uncertain as the column itself
    spread = np.where(seen > 0, np.sqrt(total / np.where(seen > 0, seen, 1.0)), 1.0)
    return np.asarray(np.maximum(spread, np.where(model.schema.counts, 1.0, 1e-4)))
