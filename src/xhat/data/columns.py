"""The schema: kind of column -> block of the encoded matrix, head, and the way back.

Knows: what values a column may hold and in which scale the network sees them.
Must not know: containers (pandas, polars), files, networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from xhat.data.statistics import Statistics, Tiles, column_statistics
from xhat.errors import DataError, ParameterError
from xhat.maths.heads import RANGES, BinaryCrossEntropy, Block, Head, SquaredError
from xhat.maths.types import Integers, Matrix

Floats = npt.NDArray[np.float64]
Scale = Literal["auto", "std", "robust"] | None
#: Standard deviations from the mean that the encoder is shown at most (see _clip).
CLIP = 4.0
_SCALES = ("auto", "std", "robust", None)


@dataclass(frozen=True)
class Real:
    """Real values, squared error.

    Parameters
    ----------
    scale : {"auto", "std", "robust", None}
        What a column is divided by after its centre is taken off: "std" mean and standard
        deviation, "robust" median and interquartile range / 1.349 (equal to the standard
        deviation for normal values), None nothing at all. "auto" is "std" with f linear and
        None otherwise, because scaled values leave the range of f. Undone on the way out.
    f : {"linear", "logistic", "tanh"}
        Output function: linear reaches every value, logistic [0, 1], tanh [-1, 1].

    Examples
    --------
    >>> Real(scale="robust")
    Real(scale='robust', f='linear')
    """

    scale: Scale = "auto"
    f: str = "linear"

    def __post_init__(self) -> None:
        if self.scale not in _SCALES:
            raise ParameterError(f"Real(scale={self.scale!r}): choose 'std', 'robust' or None")
        if self.f not in RANGES:
            raise ParameterError(f"Real(f={self.f!r}): choose one of {', '.join(RANGES)}")
        if self.f != "linear" and self.scale not in ("auto", None):
            low, high = RANGES[self.f]
            raise ParameterError(
                f"Real(scale={self.scale!r}, f={self.f!r}): scaled values leave [{low:g}, "
                f"{high:g}], the range of {self.f}; use scale=None or f='linear'"
            )

    def head(self) -> Head:
        """Return (f, loss)."""
        return SquaredError(self.f)


@dataclass(frozen=True)
class Binary:
    """Values in [0, 1] (0/1, or shares such as grey pixels), logistic output, cross-entropy."""

    def head(self) -> Head:
        """Return (f, loss)."""
        return BinaryCrossEntropy()


@dataclass(frozen=True)
class Auto:
    """Kinds found from the values: columns of 0 and 1 are Binary, all others Real.

    Parameters
    ----------
    scale : {"auto", "std", "robust", None}
        Scale of the real columns.
    """

    scale: Scale = "auto"


Kind = Real | Binary
Heads = str | Kind | Auto | dict[str, "str | Kind"]


@dataclass(frozen=True)
class Column:
    """One column of the table: its kind, its scale and its training range.

    The encoded value is ``(x - center) / spread``; ``low`` and ``high`` are its training range,
    ``clip_low`` and ``clip_high`` what the encoder is shown at most when a row is scored.
    """

    name: str
    kind: Kind
    center: float
    spread: float
    low: float
    high: float
    clip_low: float
    clip_high: float


@dataclass(frozen=True)
class Schema:
    """All columns of a table, in its order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Column names."""
        return [column.name for column in self.columns]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Heads over runs of neighbouring columns of the same kind."""
        blocks: list[Block] = []
        for j, column in enumerate(self.columns):
            head = column.kind.head()
            if blocks and blocks[-1].head == head:
                blocks[-1] = Block(blocks[-1].start, j + 1, head)
            else:
                blocks.append(Block(j, j + 1, head))
        return tuple(blocks)

    @cached_property
    def center(self) -> Floats:
        """Centre of each column, in raw units."""
        return np.array([column.center for column in self.columns])

    @cached_property
    def spread(self) -> Floats:
        """Divisor of each column, in raw units."""
        return np.array([column.spread for column in self.columns])

    @cached_property
    def low(self) -> Floats:
        """Encoded training minimum of each column."""
        return np.array([column.low for column in self.columns])

    @cached_property
    def high(self) -> Floats:
        """Encoded training maximum of each column."""
        return np.array([column.high for column in self.columns])

    def clip(self, Z: Matrix) -> Matrix:
        """Return what the encoder sees of encoded rows that are scored: no absurd cell."""
        low = np.array([column.clip_low for column in self.columns], dtype=Z.dtype)
        high = np.array([column.clip_high for column in self.columns], dtype=Z.dtype)
        clipped: Matrix = np.clip(Z, low, high)
        return clipped

    @cached_property
    def squared(self) -> npt.NDArray[np.bool_]:
        """Columns with squared error (the others' loss is already in nats)."""
        return np.array([isinstance(column.kind, Real) for column in self.columns])

    def encode(self, X: Matrix, dtype: npt.DTypeLike | None = None) -> Matrix:
        """Return the encoded rows, C-contiguous, in ``dtype`` (the input's if None)."""
        Z = (X - self.center.astype(X.dtype)) / self.spread.astype(X.dtype)
        return np.ascontiguousarray(Z, dtype=dtype or X.dtype)

    def decode(self, Z: Matrix) -> Matrix:
        """Return encoded values in raw units: the inverse of encode."""
        return Z * self.spread.astype(Z.dtype) + self.center.astype(Z.dtype)

    def check(self, X: Matrix, index: Integers) -> None:
        """Refuse values that a column's output function can never produce.

        ``index`` holds the row numbers of X, for the message.

        Raises
        ------
        DataError
            Naming the first such row, its column, the value and the range.
        """
        for block in self.blocks:
            low, high = block.head.range
            if low == -np.inf:
                continue
            part = X[:, block.columns]
            outside = (part < low) | (part > high)
            if outside.any():
                i, j = (int(v) for v in np.argwhere(outside)[0])
                raise DataError(
                    _out_of_range(
                        self.columns[block.start + j], int(index[i]), float(part[i, j]), low, high
                    )
                )


def _out_of_range(column: Column, row: int, value: float, low: float, high: float) -> str:
    f = column.kind.head().f
    return (
        f"column {column.name!r}, row {row}: {value:g} is outside [{low:g}, {high:g}], the range "
        f"of f = {f}, so x_hat could never reach it; use heads='real' (f linear) for this column"
    )


def fit_schema(names: Sequence[str], kinds: Sequence[Kind], tiles: Tiles) -> Schema:
    """Settle the scale of every column from the training rows.

    Parameters
    ----------
    names : sequence of str
        Column names.
    kinds : sequence of Kind
        Kind of each column (see resolve_kinds).
    tiles : callable
        Fresh iterator over (raw rows, weights or None) of the training rows.
    """
    statistics = column_statistics(tiles, len(names))
    robust = [
        j for j, kind in enumerate(kinds) if isinstance(kind, Real) and kind.scale == "robust"
    ]
    quartiles = _quartiles(tiles, robust) if robust else {}
    columns = []
    for j, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        center, spread = _scale(kind, statistics, j, quartiles.get(j))
        low = float((statistics.low[j] - center) / spread)
        high = float((statistics.high[j] - center) / spread)
        mean = float((statistics.mean[j] - center) / spread)
        clip = _clip(kind, low, high, mean, float(statistics.std[j]) / spread)
        columns.append(Column(name, kind, center, spread, low, high, *clip))
    return Schema(tuple(columns))


def resolve_kinds(names: Sequence[str], heads: Heads, statistics: Statistics) -> list[Kind]:
    """Return the kind of every column, from all rows (a level may occur in held-out rows alone).

    The rule of "auto": 0 and 1 both occur and nothing else -> Binary, otherwise Real.
    """
    if isinstance(heads, dict):
        unknown = [name for name in heads if name not in names]
        if unknown:
            raise ParameterError(
                f"heads names a column that is not there: {unknown[0]!r}; "
                f"the columns are {', '.join(map(repr, names[:8]))}{', ...' * (len(names) > 8)}"
            )
    kinds: list[Kind] = []
    for j, name in enumerate(names):
        wish = heads.get(name, "auto") if isinstance(heads, dict) else heads
        kind = _named_kind(wish)
        if isinstance(kind, Auto):
            is_binary = statistics.zero_one[j] and not statistics.constant[j]
            kind = Binary() if is_binary else Real(kind.scale)
        if isinstance(kind, Real) and kind.scale == "auto":
            kind = Real("std" if kind.f == "linear" else None, kind.f)
        kinds.append(kind)
    return kinds


def _named_kind(wish: object) -> Kind | Auto:
    named: dict[str, Kind | Auto] = {"auto": Auto(), "real": Real(), "binary": Binary()}
    if isinstance(wish, (Real, Binary, Auto)):
        return wish
    if isinstance(wish, str) and wish in named:
        return named[wish]
    raise ParameterError(
        f"heads={wish!r} is not known; choose 'auto', 'real', 'binary', a head such as "
        "Real(scale='robust') or Binary(), or a dict of column name -> head"
    )


def _clip(kind: Kind, low: float, high: float, mean: float, std: float) -> tuple[float, float]:
    """Return the range shown to the encoder when a row is scored.

    The training range and one standard deviation more, but at most CLIP standard deviations from
    the mean. On planted errors of 8 standard deviations in California housing, 4 names the column
    in 99.8 %, 6 in 97.8 %, no clip in 85.8 % (benchmarks/foundation.py, planted).
    """
    if isinstance(kind, Binary):
        return low, high
    return max(low - std, mean - CLIP * std), min(high + std, mean + CLIP * std)


def _scale(
    kind: Kind, statistics: Statistics, j: int, quartiles: Floats | None
) -> tuple[float, float]:
    """Return (center, spread) of a column; a constant column is divided by its own size."""
    if isinstance(kind, Binary) or kind.scale is None:
        return 0.0, 1.0
    center, spread = float(statistics.mean[j]), float(statistics.std[j])
    if quartiles is not None and quartiles[2] > quartiles[0]:
        # 1.349: interquartile range of the standard normal distribution
        center, spread = float(quartiles[1]), float((quartiles[2] - quartiles[0]) / 1.349)
    if statistics.constant[j] or not spread > 0:
        return float(statistics.low[j]), abs(float(statistics.low[j])) or 1.0
    return center, spread


def _quartiles(tiles: Tiles, columns: list[int], rows: int = 100_000) -> dict[int, Floats]:
    """Quartiles of some columns from the first ``rows`` rows (a bound on memory)."""
    parts: list[Matrix] = []
    seen = 0
    for X, _ in tiles():
        parts.append(X[: rows - seen, columns])
        seen += len(parts[-1])
        if seen >= rows:
            break
    quartiles = np.percentile(np.vstack(parts).astype(np.float64), [25, 50, 75], axis=0)
    return {j: quartiles[:, position] for position, j in enumerate(columns)}
