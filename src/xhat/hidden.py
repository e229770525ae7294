"""How far to trust what is expected of cells that are not shown (docs/maths.md, 21).

Knows: sums over hidden cells. Must not know: rows, how they were hidden, how a model was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xhat.data.columns import Schema
from xhat.linear import Linear

Floats = npt.NDArray[np.float64]
#: Hidden cells that count as much as the model's own word that it is to be trusted in full.
PRIOR = 30.0
#: The least spread of counts, in encoded units.
LEAST = 1e-4


@dataclass(frozen=True)
class Witness:
    """How far what is said of hidden cells is to be trusted by itself, per encoded column, (d,).

    Attributes
    ----------
    share : ndarray
        How much of the way from the mean to what is said of a cell, 0 to 1.
    spread : ndarray
        How far hidden cells usually are from that.
    own : ndarray
        How far they usually are from the mean.
    """

    share: Floats
    spread: Floats
    own: Floats


@dataclass(frozen=True)
class Filling:
    """What hidden cells are filled with, per encoded column.

    Attributes
    ----------
    share : ndarray of shape (d,)
        How much of the way from the mean to what the model expects, 0 to 1.
    spread : ndarray of shape (d,)
        How far hidden cells usually are from that; of counts the root of their dispersion.
    linear_share : ndarray of shape (d,)
        The same of what the columns' covariance alone expects.
    witness : Witness or None
        How far the model's own word is to be trusted; None in older files.
    linear : Linear or None
        That covariance; None where there is none.
    """

    share: Floats
    spread: Floats
    linear_share: Floats
    witness: Witness | None = None
    linear: Linear | None = None

    def expected(self, Z_hat: Floats, of_linear: Floats, mean: Floats) -> Floats:
        """Return what hidden cells are filled with (equation 61)."""
        return np.asarray(
            mean + self.share * (Z_hat - mean) + self.linear_share * (of_linear - mean)
        )


@dataclass(frozen=True)
class Hidden:
    """Weighted sums over hidden cells, (d,) each, in encoded units (of folds much the same).

    Of distances from the mean: a cell's own, what the model said, what the covariance said.

    Attributes
    ----------
    cells : ndarray
        Number of cells.
    own, said, linear : ndarray
        Squares of each.
    own_said, own_linear, said_linear : ndarray
        Products of two.
    """

    cells: Floats
    own: Floats
    said: Floats
    linear: Floats
    own_said: Floats
    own_linear: Floats
    said_linear: Floats

    @staticmethod
    def of(weights: Floats, own: Floats, said: Floats, linear: Floats) -> Floats:
        """Return the sums, (7, d), of cells that count by their weights (0: not hidden)."""
        squares = ((own, own), (said, said), (linear, linear))
        pairs = (*squares, (own, said), (own, linear), (said, linear))
        return np.array([weights.sum(axis=0), *((weights * (a * b)).sum(axis=0) for a, b in pairs)])


def settle(
    held_out: Sequence[Hidden],
    trained_on: Hidden,
    schema: Schema,
    residual: Floats,
    linear: Linear | None,
) -> Filling:
    """Return how to fill the cells of a model, from hidden cells of rows of both sorts.

    The shares minimise the mean squared error (of a category: over its levels) of rows that were
    held out, of one or more models like it, and of rows that were trained on, whose cells are
    filled most often and known better. Spreads are those of held-out rows, and at least those of
    cells that are seen.
    """
    names = list(Hidden.__annotations__)
    new = np.sum([[getattr(h, name) for name in names] for h in held_out], axis=0)
    old = np.array([getattr(trained_on, name) for name in names])
    cells = new[0]
    old = old * np.where(old[0] > 0, cells / np.where(old[0] > 0, old[0], 1.0), 0.0)
    by_column = np.add.reduceat(new + old, schema.starts, axis=1)[:, schema.group]
    best, other = _least_squares(*by_column[2:])
    share = (cells * best + PRIOR) / (cells + PRIOR)
    other = cells * other / (cells + PRIOR)
    _, own, said, of_linear, own_said, own_linear, both = new
    off = own - 2 * share * own_said - 2 * other * own_linear
    off += share**2 * said + other**2 * of_linear + 2 * share * other * both
    spread = np.where(cells > 0, _root(off, cells), residual)
    counts = schema.counts
    dispersion = spread[counts] ** 2 * schema.spread[counts] / np.maximum(schema.fill[counts], 1e-9)
    spread[counts] = np.sqrt(dispersion)
    witness = _witness(Hidden(*new), schema, residual)
    return Filling(share, np.maximum(spread, residual), other, witness, linear)


def _witness(hidden: Hidden, schema: Schema, residual: Floats) -> Witness:
    """Return how far what is said is to be trusted without the covariance's help."""
    own_said, said = np.add.reduceat([hidden.own_said, hidden.said], schema.starts, axis=1)
    best = np.where(said > 0, own_said / np.where(said > 0, said, 1.0), 1.0)
    cells = hidden.cells
    share = (cells * np.clip(best, 0, 1)[schema.group] + PRIOR) / (cells + PRIOR)
    off = hidden.own - 2 * share * hidden.own_said + share**2 * hidden.said
    floor = np.where(schema.counts, LEAST, residual)
    spread = np.maximum(np.where(cells > 0, _root(off, cells), floor), floor)
    return Witness(share, spread, np.maximum(_root(hidden.own, cells), spread))


def _root(squares: Floats, cells: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(squares, 0) / np.maximum(cells, 1e-300)))


def _least_squares(
    said: Floats, linear: Floats, own_said: Floats, own_linear: Floats, both: Floats
) -> tuple[Floats, Floats]:
    """Return the shares of both, 0 to 1; where nothing was ever said, all of the model's."""

    def ratio(a: Floats, b: Floats) -> Floats:
        return np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0)

    determinant = said * linear - both**2
    apart = determinant > 1e-6 * said * linear
    first = np.where(apart, ratio(linear * own_said - both * own_linear, determinant), 1.0)
    second = np.where(apart, ratio(said * own_linear - both * own_said, determinant), 0.0)
    alone, alone_linear = ratio(own_said, said), ratio(own_linear, linear)
    only_linear, only_said = first < 0, (second < 0) | ~apart
    first = np.where(only_linear, 0.0, np.where(only_said, np.where(said > 0, alone, 1.0), first))
    second = np.where(only_linear, alone_linear, np.where(only_said, 0.0, second))
    return np.clip(first, 0, 1), np.clip(second, 0, 1)
