"""A second network, which learnt to say hidden cells: what the others make of one (maths.md, 22).

Knows: encoded rows, an engine. Must not know: how it was trained, the network it stands beside.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from xhat.data.columns import Schema
from xhat.engines.base import Engine
from xhat.maths import heads
from xhat.maths.objective import Batch
from xhat.maths.params import Network
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Filler:
    """A denoising autoencoder of the same encoded columns: the mean in a cell's place hides it.

    Attributes
    ----------
    schema : Schema
        The columns.
    net : Network
        Its shape: a code wide enough to tell every cell from the others.
    theta : ndarray
        Its parameters.
    engine : Engine
        Computes it.
    """

    schema: Schema
    net: Network
    theta: Vector
    engine: Engine
    _cast: dict[str, Vector] = field(default_factory=dict, repr=False, compare=False, init=False)

    def said(self, Z: Matrix) -> Floats:
        """Return what the network makes of encoded rows, clipped as an encoder sees them."""
        name = Z.dtype.name
        if name not in self._cast:
            self._cast[name] = self.theta.astype(Z.dtype, copy=False)
        theta = self._cast[name]
        H = self.engine.encode(self.net, theta, self.schema.clip(Z))
        A_hat = self.engine.decode(self.net, theta, H).astype(np.float64, copy=False)
        return np.asarray(heads.predict(self.net.blocks, A_hat), np.float64)

    def completed(self, batch: Batch, hidden: Flags | None = None) -> Batch:
        """Return encoded rows whose hidden cells (None: the missing ones) hold what it says.

        Of a category that is one level, counts are whole, as in the rows that the model knows.
        """
        if hidden is None:
            if batch.mask is None:
                return batch
            hidden = batch.mask == 0
        some = hidden.any(axis=1)
        if not some.any():
            return batch
        X, part = batch.X.copy(), batch.X[some]
        said = self.schema.likeliest(self.said(part))
        X[some] = np.where(hidden[some], said, part)
        return replace(batch, X=X)
