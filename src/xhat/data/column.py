"""One column of the table: its kind and scale, its columns of the encoded matrix, and the way back.

Knows: in which scale the network sees a column's cells, and which head it has.
Must not know: the other columns, how the scales were found, missing cells of numbers, networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xhat.data.kinds import Binary, Categorical, Count, Kind, Real
from xhat.maths.bend import Bend
from xhat.maths.heads import BinaryCrossEntropy, Head, Poisson, Softmax, SquaredError
from xhat.maths.types import Integers, Matrix

#: exp of the count head is linear from this factor above the training maximum on.
FAR_ABOVE = 20.0


@dataclass(frozen=True)
class Column:
    """One column of the table: its kind, its scale and its training range.

    The encoded value is ``(x - center) / spread``, of the bent x where there is a ``bend``. In that
    scale, ``low`` and ``high`` are its training range, ``clip_low`` and ``clip_high`` what the
    encoder is shown at most when a row is scored, ``fill`` stands for a missing cell (the training
    mean). A category has one encoded column per place: ``places[level]`` is the place of a level,
    and ``fill`` holds the share of each place.
    ``rare`` holds the shares of the levels that the last place is of, where it is of several;
    ``whole`` says that a real column had only whole numbers.
    ``weight`` balances the columns of a mixed table in training; scores never use it.
    """

    name: str
    kind: Kind
    center: float
    spread: float
    low: float
    high: float
    clip_low: float
    clip_high: float
    fill: tuple[float, ...]
    places: tuple[int, ...] = ()
    rows: float = 0.0
    weight: float = 1.0
    bend: Bend | None = None
    rare: tuple[float, ...] = ()
    whole: bool = False

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.fill)

    @property
    def unit(self) -> float:
        """Nats per unit of loss: a Poisson deviance of x is ``spread`` times that of x / spread."""
        return self.spread if isinstance(self.kind, Count) else 1.0

    @property
    def found(self) -> bool:
        """Whether "auto" found the kind: other values are strange then, not an error."""
        return isinstance(self.kind, (Binary, Count)) and self.kind.found

    def encode(self, x: Matrix) -> Matrix:
        """Return numbers in the scale that the network sees, in their own dtype."""
        if self.bend is not None:
            x = self.bend.bent(x, *self._extremes()).astype(x.dtype)
        return (x - x.dtype.type(self.center)) / x.dtype.type(self.spread)

    def decode(self, z: Matrix) -> Matrix:
        """Return encoded numbers in the table's units: the inverse."""
        x = z * z.dtype.type(self.spread) + z.dtype.type(self.center)
        if self.bend is None:
            return x
        return self.bend.straight(x, *self._extremes()).astype(x.dtype)

    @property
    def training_range(self) -> tuple[float, float]:
        """The smallest and the largest training value, in the table's units."""
        low, high = self.decode(np.array([self.low, self.high]))
        return float(low), float(high)

    def _extremes(self) -> tuple[float, float]:
        return self.low * self.spread + self.center, self.high * self.spread + self.center

    def head(self) -> Head:
        """Return (f, loss)."""
        if isinstance(self.kind, Real):
            return SquaredError(self.kind.f)
        if isinstance(self.kind, Binary):
            return BinaryCrossEntropy()
        if isinstance(self.kind, Categorical):
            return Softmax()
        return Poisson(float(np.log(FAR_ABOVE * max(self.high, 1.0))))

    def encode_cells(self, x: Matrix) -> Matrix:
        """Return cells as columns of the encoded matrix, one per place."""
        if not isinstance(self.kind, Categorical):
            return self.encode(x)[:, None]
        one_hot = np.zeros((len(x), self.width), dtype=x.dtype)
        place = self.place_of(x)
        known = np.flatnonzero(place >= 0)
        one_hot[known, place[known]] = 1
        one_hot[place < 0] = self.fill  # missing or never seen: the encoder sees the mean
        return one_hot

    def decode_cells(self, Z: Matrix) -> Matrix:
        """Return cells in the table's units; of a category, the likeliest level."""
        if not isinstance(self.kind, Categorical):
            return self.decode(Z[:, 0])
        levels: Matrix = self._level_of_place()[Z.argmax(axis=1)].astype(Z.dtype)
        return levels

    def place_of(self, x: Matrix) -> Integers:
        """Return the place of each level; -1 for a missing or never seen one."""
        table = np.append(np.array(self.places, dtype=np.intp), -1)
        codes = np.where(np.isnan(x), len(self.places), x)
        return table[np.minimum(codes, len(self.places)).astype(np.intp)]

    def levels_of(self, place: int) -> Integers:
        """Return the levels of a place: one, of the last perhaps several rare ones."""
        return np.flatnonzero(np.array(self.places) == place)

    def _level_of_place(self) -> Integers:
        """Return the level that stands for each place: its only one, or the commonest rare one."""
        each = [self.levels_of(place) for place in range(self.width)]
        found = np.array([levels[0] if len(levels) else 0 for levels in each])
        if self.rare:
            found[-1] = self.levels_of(self.width - 1)[int(np.argmax(self.rare))]
        return found
