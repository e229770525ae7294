"""How much likelier a cell is a chance draw from its column than what the row's others say of it.

Knows: encoded rows, what is said of hidden cells and how far off that usually is. Must not know:
scores, models (docs/maths.md, 22).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xhat.data.columns import Schema
from xhat.hidden import Witness
from xhat.maths.types import Matrix

Floats = npt.NDArray[np.float64]
#: Degrees of freedom of the distances: cells far from what is said of them are not that rare.
FREEDOM = 4
#: What chance draws are of what is said of a level, at least: nothing is certain.
CHANCE = 0.02
#: The smallest share of a level.
NEVER = 1e-9


def log_odds(schema: Schema, witness: Witness, j: int, Z: Matrix, Z_hat: Floats) -> Floats:
    """Return ``log(chance / said)`` of the cells of column j, (n,), in nats.

    Parameters
    ----------
    schema : Schema
    witness : Witness
        How far what the others say is to be trusted.
    j : int
        Number of the table column.
    Z, Z_hat : ndarray of shape (n, encoded columns)
        The cells, clipped, and what the others say of them.
    """
    start, width = int(schema.starts[j]), schema.columns[j].width
    place = slice(start, start + width)
    z, fill = np.asarray(Z[:, place], np.float64), schema.fill[place]
    z_hat = fill + witness.share[place] * (Z_hat[:, place] - fill)
    if schema.squared[start] or schema.counts[start]:
        spread, own = witness.spread[start], witness.own[start]
        off, usual = (z - z_hat)[:, 0] / spread, (z - fill)[:, 0] / own
        return np.asarray(_distance(off) - _distance(usual) + np.log(spread / own))  # (62)
    fill = np.clip(fill, NEVER, 1 - NEVER)
    if width == 1:
        z, z_hat, fill = (np.stack([1 - v, v], axis=-1) for v in (z[:, 0], z_hat[:, 0], fill[0]))
    said = np.maximum(z_hat, NEVER)
    said = said / said.sum(axis=1, keepdims=True)
    said = (said + CHANCE * fill) / (1 + CHANCE)
    return np.asarray(z @ np.log(fill) - (z * np.log(said)).sum(axis=1))  # (63)


def _distance(r: Floats) -> Floats:
    """Return minus the logarithm of Student's t density, but for a constant."""
    return np.asarray((FREEDOM + 1) / 2 * np.log1p(r * r / FREEDOM))
