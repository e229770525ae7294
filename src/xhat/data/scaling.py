"""The scale of every column, from the training rows: the schema is settled here, once.

Knows: kinds, statistics. Must not know: how cells are encoded, containers, networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xhat.data.column import Column
from xhat.data.columns import Schema
from xhat.data.kinds import Binary, Categorical, Count, Kind, Real
from xhat.data.statistics import Statistics, Tiles, column_statistics, level_counts, quartiles
from xhat.maths.bend import Bend
from xhat.maths.types import Integers, Matrix, Vector

Floats = npt.NDArray[np.float64]
#: Standard deviations from the mean that the encoder is shown at most (see _clip).
CLIP = 4.0
#: Interquartile range of the standard normal distribution.
NORMAL = 1.349
#: Units from the median beyond which asinh and its inverse are not exact any more.
FAR = 1e100
#: Spreads below it are none: a number divided by a denormal one overflows.
TINY = 1e-290


def fit_schema(
    names: Sequence[str],
    kinds: Sequence[Kind],
    levels: Sequence[int],
    tiles: Tiles,
    everything: Statistics,
    like: Schema | None = None,
) -> Schema:
    """Settle the scale of every column from the training rows.

    Parameters
    ----------
    names : sequence of str
        Column names.
    kinds : sequence of Kind
        Kind of each column (see kinds.resolve_kinds).
    levels : sequence of int
        Number of levels of each column held as levels, 0 for the others.
    tiles : callable
        Fresh iterator over (raw rows, weights or None) of the training rows.
    everything : Statistics
        Of all rows given to fit: the scale of columns that are constant on the training rows.
    like : Schema or None
        Of more training rows of the same table: its places of levels are taken over, so that both
        have the same encoded columns; levels that only these have are new ones, as to new rows.
    """
    statistics = column_statistics(tiles, len(names)).or_else(everything)
    scales = [kind.scale if isinstance(kind, Real) else None for kind in kinds]
    robust = [j for j, scale in enumerate(scales) if scale in ("robust", "asinh")]
    quarters = quartiles(tiles, robust) if robust else {}
    bends = {
        j: Bend(float(q[1]), float((q[2] - q[0]) / NORMAL))
        for j, q in quarters.items()
        if scales[j] == "asinh" and _bends(q, float(statistics.low[j]), float(statistics.high[j]))
    }
    if bends:
        statistics = _bent(statistics, bends, tiles)
    categories = {j: levels[j] for j, kind in enumerate(kinds) if isinstance(kind, Categorical)}
    counts = level_counts(tiles, categories) if categories else {}
    columns = []
    for j, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        if isinstance(kind, Categorical):
            if like is None:
                places = _places(kind, counts[j])
                columns.append(_category(name, kind, counts[j], places, int(places.max()) + 1))
            else:  # what these rows lack is a level never seen to them
                places = np.where(counts[j] > 0, like.columns[j].places, -1)
                columns.append(_category(name, kind, counts[j], places, like.columns[j].width))
        else:
            columns.append(_numeric(name, kind, statistics, j, quarters.get(j), bends.get(j)))
    return Schema(tuple(columns))


def _bends(quarters: Floats, low: float, high: float) -> bool:
    """Whether a column can be bent: its quartiles differ, and no cell is astronomically far out."""
    unit = float(quarters[2] - quarters[0]) / NORMAL
    with np.errstate(over="ignore"):
        far = max(abs(low - quarters[1]), abs(high - quarters[1])) / max(unit, TINY)
    return unit >= TINY and bool(far < FAR)


def _bent(statistics: Statistics, bends: dict[int, Bend], tiles: Tiles) -> Statistics:
    """Return the statistics with those of the bent values where a column has a bend."""
    low, high = statistics.low, statistics.high

    def bent(x: Matrix, j: int) -> Floats:
        u = (np.array([low[j], high[j]]) - bends[j].median) / bends[j].unit
        return bends[j].bent(x, *np.arcsinh(u).tolist())

    def bent_tiles() -> Iterator[tuple[Matrix, Vector | None]]:
        for X, weight in tiles():
            yield np.column_stack([bent(X[:, j], j) for j in bends]), weight

    found, index = column_statistics(bent_tiles, len(bends)), list(bends)
    values = {name: getattr(statistics, name).copy() for name in ("mean", "std", "low", "high")}
    for name, value in values.items():
        value[index] = getattr(found, name)
    return replace(statistics, **values)


def _numeric(
    name: str,
    kind: Kind,
    statistics: Statistics,
    j: int,
    quarters: Floats | None,
    bend: Bend | None,
) -> Column:
    center, spread = _scale(kind, statistics, j, quarters)
    low, high, mean = (
        float((value[j] - center) / spread)
        for value in (statistics.low, statistics.high, statistics.mean)
    )
    clip = _clip(kind, low, high, mean, float(statistics.std[j]) / spread)
    rows = float(statistics.rows[j]) if getattr(kind, "found", False) else 0.0
    whole = isinstance(kind, Real) and bend is None and bool(statistics.whole[j])
    return Column(
        name, kind, center, spread, low, high, *clip, (mean,), rows=rows, bend=bend, whole=whole
    )


def _places(kind: Categorical, counts: Floats) -> Integers:
    """Give each frequent level a place of its own and all rare ones together one more.

    Frequent are the ``max_levels`` most frequent levels with at least ``min_rows`` training rows;
    a level of the table that no training row has is rare as well.
    """
    order = np.argsort(-counts, kind="stable")
    frequent = [int(i) for i in order[: kind.max_levels] if counts[i] >= kind.min_rows]
    frequent = frequent or [int(order[0])]
    places = np.full(len(counts), len(frequent))
    places[frequent] = np.arange(len(frequent))
    return places


def _category(name: str, kind: Categorical, counts: Floats, places: Integers, width: int) -> Column:
    known = places >= 0
    share = np.bincount(places[known], weights=counts[known], minlength=width) + 1e-9
    share /= share.sum()
    last = counts[places == width - 1] + 1e-9
    return Column(
        name,
        kind,
        0.0,
        1.0,
        0.0,
        1.0,
        0.0,
        1.0,
        tuple(map(float, share)),
        tuple(map(int, places)),
        float(counts.sum()),
        rare=tuple(map(float, last / last.sum())) if len(last) > 1 else (),
    )


def _clip(kind: Kind, low: float, high: float, mean: float, std: float) -> tuple[float, float]:
    """Return the range shown to the encoder when a row is scored.

    The training range and one standard deviation more, but at most CLIP standard deviations from
    the mean. Of errors of 8 standard deviations planted in California housing, the largest term of
    the score is the cell's in 99.6 % with 4, 97.5 % with 6, 87.2 % without a clip; ``explain``,
    which hides each cell, names 99.8 % (``python -m benchmarks.tables clip``).
    """
    if isinstance(kind, Binary):
        return low, high
    return max(low - std, mean - CLIP * std), min(high + std, mean + CLIP * std)


def _scale(
    kind: Kind, statistics: Statistics, j: int, quarters: Floats | None
) -> tuple[float, float]:
    """Return (center, spread) of a column; a constant column is divided by its own size."""
    if isinstance(kind, Count):
        return 0.0, float(statistics.std[j]) or 1.0
    if not isinstance(kind, Real) or kind.scale is None:
        return 0.0, 1.0
    center, spread = float(statistics.mean[j]), float(statistics.std[j])
    if kind.scale == "robust" and quarters is not None and quarters[2] > quarters[0]:
        center, spread = float(quarters[1]), float((quarters[2] - quarters[0]) / NORMAL)
    if statistics.constant[j] or spread < TINY:
        size = abs(float(statistics.low[j]))
        return float(statistics.low[j]), size if size >= TINY else 1.0
    return center, spread
