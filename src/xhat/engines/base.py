"""The seam between the training loop and an engine: a run of batches, not one operation.

Knows: what an engine is given and must return. Must not know: any implementation, the schedule
of a fit, files. docs/decisions/0001 says why the seam lies here: a call per batch from Python costs
more than a small step itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xhat.maths.objective import Batch, Objective
from xhat.maths.params import Network
from xhat.maths.types import Integers, Matrix, Vector


@dataclass
class OptimizerState:
    """What an optimiser remembers: the step count and its slots.

    Slots have the shape of theta, but for "norm": one number, the mean of the gradient's norm.

    ``decay`` is 1 where decoupled weight decay applies (weight matrices off the linear path).
    """

    step: int = 0
    slots: dict[str, Vector] = field(default_factory=dict)
    decay: Vector | None = None

    def copy(self) -> OptimizerState:
        """Return an independent copy."""
        slots = {name: slot.copy() for name, slot in self.slots.items()}
        return OptimizerState(self.step, slots, self.decay)


class Optimizer(Protocol):
    """A first-order optimiser: a pair (init, update) with explicit state."""

    def init(self, net: Network, theta: Vector) -> OptimizerState:
        """Return the state before the first step."""

    def update(
        self, theta: Vector, grad: Vector, state: OptimizerState, learning_rate: float
    ) -> None:
        """Take one step; theta and state are changed in place."""


@dataclass(frozen=True)
class Run:
    """Consecutive batches of one epoch.

    Attributes
    ----------
    data : Batch
        Resident rows in theta's dtype, C-contiguous.
    order : ndarray of intp, shape (m,)
        Rows of ``data`` in the order of use; the last batch may be short and is used.
    batch_size : int
        Rows per batch.
    learning_rates : ndarray of float64, shape (ceil(m / batch_size),)
        One per batch.
    key : int
        Key of the epoch's corruption.
    first : int
        Position of ``order[0]`` in the epoch: the corruption's counter.
    """

    data: Batch
    order: Integers
    batch_size: int
    learning_rates: npt.NDArray[np.float64]
    key: int = 0
    first: int = 0


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """What is wanted of every cell's loss when rows are scored.

    Attributes
    ----------
    low, high : ndarray of shape (d,) or None
        The encoder sees the row clipped to this range; the loss is against the row as it is.
    excess : bool
        Only what is above the smallest loss possible (the entropy of x), at least 0.
    factor : ndarray of float64, shape (d,), or None
        The result is multiplied by it.
    """

    low: Vector | None = None
    high: Vector | None = None
    excess: bool = False
    factor: Floats | None = None


class Engine(Protocol):
    """What every engine can do. Results agree with the reference engine's to rounding."""

    @property
    def name(self) -> str:
        """The name users give and see."""

    def describe(self) -> str:
        """Return what it runs on: the instruction set or library, the number of threads."""

    def refuses(self, objective: Objective, optimizer: Optimizer | None) -> str | None:
        """Return why this engine cannot train the objective, or None; asked before training.

        The optimiser is None where it runs outside the engine (L-BFGS).
        """

    def run(
        self,
        objective: Objective,
        optimizer: Optimizer,
        theta: Vector,
        state: OptimizerState,
        run: Run,
    ) -> npt.NDArray[np.float64]:
        """Take one step per batch; theta and state change in place.

        Returns
        -------
        ndarray of float64
            J of each batch before its step. Shorter than the run if a J is not finite: that J is
            the last entry and its step was not taken.
        """

    def loss_and_grad(
        self, objective: Objective, theta: Vector, batch: Batch, grad: Vector
    ) -> float:
        """Return J over all rows of the batch and write its gradient (for full-batch methods)."""

    def encode(self, net: Network, theta: Vector, X: Matrix) -> Matrix:
        """Return the codes (n, k); a row's bits do not depend on its neighbours."""

    def decode(self, net: Network, theta: Vector, H: Matrix) -> Matrix:
        """Return the output pre-activations A_hat (n, d); a row's bits do not depend on others."""

    def loss(self, objective: Objective, theta: Vector, batch: Batch, first: int = 0) -> float:
        """Return the mean loss of the rows, without penalties.

        The objective's corruption has key 0 here; ``first`` is the counter of the first row.
        """

    def cells(
        self,
        net: Network,
        theta: Vector,
        batch: Batch,
        wanted: Cells,
        codes: Matrix | None = None,
    ) -> Floats:
        """Return the loss of every cell (n, d) in float64, 0 where masked.

        Writes the codes of the rows as the encoder saw them into ``codes``, (n, k) in theta's
        dtype, if it is given.

        A_hat is computed in theta's dtype, everything after it in float64; a row's bits do not
        depend on its neighbours.
        """

    def nearest(self, X: Matrix, stored: Matrix, sets: int) -> Floats:
        """Return min over p in set s of ``|x - p|**2``, (n, sets), in float64.

        Row i of ``stored`` (m, d) is in set ``i % sets``; m and sets are powers of two, sets from
        16 to 64. Computed in X's dtype; a row's bits do not depend on its neighbours.
        """
