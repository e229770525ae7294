"""What the user asked for, and what every "auto" became: network and training plan.

Knows: sizes of the table and the rules of auto.py. Must not know: the data, how training runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from xhat import auto
from xhat.data.kinds import Heads
from xhat.engines.base import Optimizer
from xhat.errors import ParameterError
from xhat.maths.corruption import Corruption
from xhat.maths.heads import Block
from xhat.maths.params import Network
from xhat.maths.penalties import KLSparsity, Penalty
from xhat.train.monitor import EarlyStopping
from xhat.train.optimizers import LBFGS, Adam
from xhat.train.schedules import Schedule


@dataclass(frozen=True)
class Request:
    """The estimator's parameters, checked; None means "auto"."""

    n_components: int | None
    hidden: tuple[int, ...] | None
    linear_path: bool | None
    #: A pair (hidden layers, code), or one name, which is a pair once ``hidden`` is settled.
    activation: str | tuple[str, str] | None
    heads: Heads
    penalties: tuple[Penalty, ...]
    corruption: Corruption | None
    tied: bool
    optimizer: Optimizer | LBFGS
    #: Not a name alone, but an object with constants of the user's choice.
    optimizer_given: bool
    schedule: Schedule | None
    batch_size: int | None
    epochs: int | None
    validation_fraction: float
    stopping: EarlyStopping | None
    engine: str
    #: Whether it is a filler that is asked for, and no model.
    fills: bool = False

    @property
    def lbfgs(self) -> bool:
        """Whether training is L-BFGS on all rows at once."""
        return isinstance(self.optimizer, LBFGS)

    def exact(self, n: int) -> bool:
        """Whether training is in float64: small tables and L-BFGS."""
        return self.lbfgs or (n <= auto.SMALL and self.batch_size is None)


@dataclass
class Choices:
    """What was chosen and why, for people: name -> "value (reason)"."""

    said: dict[str, str] = field(default_factory=dict)

    def settle(self, name: str, asked: Any, rule: Callable[[], tuple[Any, str]]) -> Any:
        """Return what was asked for, or what the rule says; note it either way."""
        value, reason = (asked, "as asked") if asked is not None else rule()
        self.said[name] = f"{value} ({reason})"
        return value


@dataclass(frozen=True)
class Size:
    """What the rules look at: training rows, columns, encoded columns, rank, missing cells."""

    rows: int
    columns: int
    encoded: int
    rank: int
    missing: float  # share of the cells, where these are to be filled


@dataclass(frozen=True)
class Shape:
    """The network, and whether it is PCA by rule (a table too small for anything else)."""

    net: Network
    is_pca: bool


def settle_network(
    request: Request, size: Size, blocks: tuple[Block, ...], choices: Choices
) -> Shape:
    """Settle code size, layers, activations and linear path.

    Raises
    ------
    ParameterError
        If what was asked for does not fit together.
    """
    n, d = size.rows, size.encoded
    k = choices.settle(
        "n_components",
        request.n_components,
        lambda: auto.code_size(
            n, size.columns, rank=size.rank, encoded=size.encoded, missing=size.missing
        ),
    )
    copying = k >= d and request.n_components is not None
    hidden = choices.settle(
        "hidden",
        request.hidden,
        lambda: auto.hidden_widths(n, d, copying=copying),
    )
    is_pca = (
        not hidden
        and request.hidden is None
        and not copying
        and request.activation is None
        and request.linear_path is not False
        and not request.penalties
        and request.corruption is None
        and not request.tied
    )
    first, code = choices.settle(
        "activation",
        _pair(request.activation, hidden),
        lambda: auto.activations(hidden, pca=is_pca),
    )
    path = choices.settle(
        "linear_path", request.linear_path, lambda: auto.linear_path(hidden, k, d, code)
    )
    _check_linear_path(path, hidden, k, d, (first, code))
    net = Network(d, k, blocks, tuple(hidden), first, code, tied=request.tied, linear_path=path)
    for penalty in request.penalties:
        problem = penalty.needs(net)
        if problem is not None:
            raise ParameterError(problem)
    return Shape(net, is_pca)


def _pair(
    activation: str | tuple[str, str] | None, hidden: tuple[int, ...]
) -> tuple[str, str] | None:
    """Return (hidden layers, code): one name is the layers', and the code's only without layers."""
    if isinstance(activation, str):
        return (activation, "identity" if hidden else activation)
    return activation


def _check_linear_path(
    path: bool,  # noqa: FBT001
    hidden: tuple[int, ...],
    k: int,
    d: int,
    activation: tuple[str, str],
) -> None:
    if not path:
        return
    if not hidden:
        raise ParameterError(
            "linear_path=True needs hidden layers: without them W itself is the linear path; "
            "give hidden=(128,) or leave linear_path='auto'"
        )
    if activation[1] != "identity":
        raise ParameterError(
            f"linear_path=True needs a linear code, but the code's activation is {activation[1]!r};"
            f" use linear_path=False or activation=({activation[0]!r}, 'identity')"
        )
    if k >= d:
        raise ParameterError(
            f"linear_path=True with n_components={k} >= {d} columns would start at the identity; "
            "use fewer units or linear_path=False"
        )


def settle_optimizer(request: Request, size: Size, choices: Choices, *, exact: bool) -> Request:
    """Settle the weight decay and clipping of Adam, where it was asked for by its name."""
    optimizer = request.optimizer
    if request.optimizer_given or not isinstance(optimizer, Adam):
        return request
    decay = choices.settle(
        "weight decay", None, lambda: auto.weight_decay(exact=exact, missing=size.missing)
    )
    clip = choices.settle("clip", None, lambda: auto.clip(size.rows))
    return replace(request, optimizer=replace(optimizer, weight_decay=decay, clip=clip))


@dataclass(frozen=True)
class Schooling:
    """How the network is trained: rows per step, epochs, rates, when to stop."""

    batch_size: int
    epochs: int
    schedule: Schedule
    stopping: EarlyStopping | None


def automatic_batch(request: Request, size: Size, weights: int, *, exact: bool) -> tuple[int, str]:
    """Return the batch size that the rules choose, and why."""
    kind = type(request.optimizer).__name__.lower()
    means = any(isinstance(p, KLSparsity) for p in request.penalties)
    return auto.batch_size(size.rows, weights, kind, exact=exact, missing=size.missing, means=means)


def settle_training(
    request: Request, size: Size, weights: int, *, exact: bool, choices: Choices
) -> Schooling:
    """Settle batch size, epochs, schedule and stopping for some training rows and weights."""
    kind = type(request.optimizer).__name__.lower()
    n = size.rows
    batch = choices.settle(
        "batch_size",
        request.batch_size,
        lambda: automatic_batch(request, size, weights, exact=exact),
    )
    epochs = choices.settle(
        "max_iter", request.epochs, lambda: auto.epochs(n, batch, kind, weights)
    )
    schedule = choices.settle("learning_rate", request.schedule, lambda: auto.schedule(kind))
    stopping = choices.settle(
        "stopping", request.stopping, lambda: auto.stopping(epochs, full_batch=batch >= n)
    )
    return Schooling(batch, epochs, schedule, stopping)
