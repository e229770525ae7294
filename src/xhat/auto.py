"""The rules behind every "auto": one function each, from rows and columns to a value and a reason.

Knows: sizes of the table and what the user fixed. Must not know: the data themselves.
A rule returns (value, reason); the reason is shown in ``choices_`` and by ``xhat info``.
"""

from __future__ import annotations

from dataclasses import dataclass

from xhat.linear import WIDEST
from xhat.maths.corruption import Masking
from xhat.train.monitor import EarlyStopping
from xhat.train.schedules import Constant, OneCycle, Schedule

#: Up to this many rows training is in float64 (and weights are exact repetition).
SMALL = 1000
#: From so many training rows on steps take more of them.
MEDIUM = 5000
#: From so many on fits take more steps, or larger ones.
LARGE = 20_000
#: Weights from which on small batches no longer pay.
MANY_WEIGHTS = 150_000
#: Rows times weights of all full-batch steps together, about: 10 to 20 s on two cores.
FULL_BATCH_WORK = 10**11
#: Share of missing cells from which on small tables hide cells, and networks are for filling them.
FILLING = 0.05
#: Share of missing cells from which on larger and wider tables hide cells during training.
HIDING = 0.005
#: Below this many rows nothing but PCA is fitted unless layers are asked for.
TINY = 50
#: Columns up to which ``explain`` hides every cell once: one or two scorings for each.
EXPLAINED = 100


@dataclass(frozen=True)
class Filling:
    """How a filler is trained: what hides cells, its code, its share of the usual epochs."""

    corruption: Masking
    n_components: int
    share: float


def code_size(n: int, d: int, *, rank: int, encoded: int, missing: float = 0.0) -> tuple[int, str]:
    """Return a third of the columns, from 1 to 64 and the rank of a small table.

    Where many cells are to be filled it is a third of the encoded columns, up to 128: a level is
    told from the others by more units than a number needs (docs/decisions/0029).

    >>> code_size(500, 30, rank=30, encoded=90)
    (10, 'a third of 30 columns')
    >>> code_size(5000, 30, rank=90, encoded=90, missing=0.2)
    (30, 'a third of 90 encoded columns, 20.0% of the cells missing')
    """
    if missing > FILLING and n >= SMALL and encoded > d:
        k = max(1, min(round(encoded / 3), 128))
        return k, f"a third of {encoded} encoded columns, {missing:.1%} of the cells missing"
    k = max(1, min(round(d / 3), 64))
    if k > rank:
        return max(1, rank), f"the rank of the table is {rank}"
    return k, f"a third of {d} columns" if k < 64 else "at most 64 units"


def filler(n: int, d: int, encoded: int, missing: float) -> tuple[Filling | None, str]:
    """Train a second network on hidden cells: a quarter as long, or as long where many are missing.

    It completes rows, fills cells, and tells ``explain`` what the other cells say of one. Its code
    is wide: a narrow one says what the column's cells are about, not which (docs/decisions/0040).

    >>> filler(4000, 10, 27, 0.0)[0]
    Filling(corruption=Masking(p=0.2, visible=0.3), n_components=20, share=0.25)
    >>> filler(4000, 10, 27, 0.2)[0]
    Filling(corruption=Masking(p=0.2, visible=0.2), n_components=9, share=1.0)
    >>> filler(4000, 784, 784, 0.0)[0] is None
    True
    """
    if n < TINY or d < 2:
        return None, f"{n} training rows" if n < TINY else "one column"
    if missing > FILLING:
        noise, reason = hiding(n, WIDEST + 1, missing)  # copying is not its work
        assert noise is not None
        k = round((encoded if n >= SMALL else d) / 3)
        return Filling(noise, max(1, min(k, 128, encoded - 1)), 1.0), reason
    if missing < HIDING and d > EXPLAINED:
        return None, f"{missing:.2%} of the cells are missing, and explain hides none of {d}"
    k = max(1, min(2 * d, 128, encoded - 1))
    return Filling(Masking(0.2, visible=0.3), k, 0.25), "for impute and explain"


def hiding(n: int, encoded: int, missing: float) -> tuple[Masking | None, str]:
    """Hide cells during training where the table has missing cells, at its own rate.

    The columns' covariance fills cells as well, where there is one: small tables then hide from
    FILLING on, and visible cells keep their full weight, half of it in larger ones. Where the
    network alone fills them, that counts more than copying visible ones (docs/decisions/0025).

    >>> hiding(400, 20, 0.01)[0], hiding(400, 20, 0.1)[0], hiding(4000, 20, 0.01)[0]
    (None, Masking(p=0.1, visible=1.0), Masking(p=0.05, visible=0.5))
    >>> hiding(400, 200, 0.001)[0], hiding(400, 200, 0.6)[0]
    (None, Masking(p=0.3, visible=0.2))
    """
    alone, small = encoded > WIDEST, n < SMALL
    if missing < (FILLING if small and not alone else HIDING):
        return None, f"{missing:.2%} of the cells are missing" if missing else "no cell is missing"
    share = float(min(max(round(missing, 2), 0.05), 0.3))
    visible = 1.0 if small else 0.5
    if alone:
        visible = round(max(0.2, 0.6 - 2 * share), 2)
    return Masking(share, visible), f"{missing:.1%} of the cells are missing: learn to fill them"


def weight_decay(*, exact: bool, missing: float) -> tuple[float, str]:
    """Return Adam's: 0.15 where many cells of larger tables are to be filled; else none.

    Hidden cells make a table look larger than it is, and its networks learn it by heart sooner.

    >>> weight_decay(exact=False, missing=0.2)[0], weight_decay(exact=False, missing=0.01)[0]
    (0.15, 0.0)
    """
    if exact or missing <= FILLING:
        return 0.0, "few rows" if exact else f"{missing:.1%} of the cells are missing"
    return 0.15, f"{missing:.1%} of the cells are missing"


def clip(n: int) -> tuple[float, str]:
    """Return Adam's: 2 from 5,000 training rows on, where one row far out outweighs a batch.

    Below, batches are of few rows, and rare rows are what there is to learn (docs/decisions/0038).

    >>> clip(4000)[0], clip(8000)[0]
    (0.0, 2.0)
    """
    return (0.0 if n < MEDIUM else 2.0), f"{n} training rows"


def hidden_widths(n: int, d: int, *, copying: bool = False) -> tuple[tuple[int, ...], str]:
    """No layer for tiny tables (PCA), else two whose width grows with the rows.

    Beside an overcomplete code (``copying``) layers would only help it to copy.

    >>> hidden_widths(40, 5)[0], hidden_widths(400, 5)[0], hidden_widths(5000, 5)[0]
    ((), (48, 48), (128, 128))
    """
    if copying:
        return (), "the code is overcomplete"
    if n < TINY:
        return (), f"{n} training rows are too few for a hidden layer: PCA"
    return (48, 48) if n < SMALL else (128, 128), f"{n} training rows"


def activations(hidden: tuple[int, ...], *, pca: bool) -> tuple[tuple[str, str], str]:
    """Return (hidden, code) activation: silu with a linear code; sigmoid in the shallow form."""
    if hidden:
        return ("silu", "identity"), "silu layers around a linear code"
    if pca:
        return ("identity", "identity"), "no hidden layer: linear, so that it is PCA"
    return ("sigmoid", "sigmoid"), "the textbook form"


def bias_spread(*, exact: bool, linear_path: bool) -> tuple[float, str]:
    """Biases of hidden layers before training, in units of 1 / sqrt(inputs): 3 or none.

    Small tables and networks that do not start at PCA keep biases of 0 (docs/decisions/0027).

    >>> bias_spread(exact=False, linear_path=True)[0], bias_spread(exact=True, linear_path=True)[0]
    (3.0, 0.0)
    """
    if exact or not linear_path:
        return 0.0, "all 0 at the start"
    return 3.0, "uniform at the start, up to 3 / sqrt(inputs) either way"


def linear_path(hidden: tuple[int, ...], k: int, d: int, code: str) -> tuple[bool, str]:
    """Yes beside hidden layers with a linear, undercomplete code."""
    if hidden and k < d and code == "identity":
        return True, "starts at PCA"
    return False, "no start at PCA without hidden layers and a linear code smaller than the row"


def batch_size(
    n: int,
    weights: int,
    optimizer: str = "adam",
    *,
    exact: bool,
    missing: float = 0.0,
    means: bool = False,
) -> tuple[int, str]:
    """Return 64 from 5,000 training rows on, 16 below, and 8 of small tables (see SMALL).

    Noisy gradients keep few rows from being learnt by heart (docs/decisions/0037); where many cells
    are hidden, 1,000 rows are noisy enough with 64. Networks of many weights take 128, 256 from
    20,000 rows on, and all rows of small tables: there a step costs as much for few rows. Nor are
    few rows enough for penalties that are ``means`` over them.

    >>> [batch_size(n, 40_000, exact=n < SMALL)[0] for n in (800, 4000, 8000)]
    [8, 16, 64]
    >>> batch_size(4000, 40_000, exact=False, missing=0.1)[0]
    64
    """
    if optimizer == "lbfgs":
        return n, "all rows, L-BFGS"
    if means and weights <= MANY_WEIGHTS:
        return (n if exact else 64), "KLSparsity is a mean over the batch"
    if weights > MANY_WEIGHTS:
        size = n if exact else 128 if n < LARGE else 256
        return size, f"{n} training rows, {weights} weights"
    if not exact and missing > FILLING:
        return 64, f"{missing:.1%} of the cells are missing"
    return 8 if exact else 16 if n < MEDIUM else 64, f"{n} training rows"


def epochs(n: int, size: int, optimizer: str, weights: int = 0) -> tuple[int, str]:
    """About 20,000 steps, 25,000 or 50,000 of fewer than 128 rows, in 10 to 1,000 epochs.

    Steps of up to 16 rows are 40,000, of up to 8 rows 10,000: cross-fitting runs six such
    trainings. A full batch takes 1,500 steps; of wide tables fewer, at least 200.

    >>> epochs(400, 8, "adam")[0], epochs(800, 800, "adam", 310_000)[0]
    (200, 403)
    >>> epochs(4000, 16, "adam")[0], epochs(8000, 64, "adam")[0]
    (160, 200)
    """
    if optimizer == "lbfgs":
        return 1000, "iterations of L-BFGS at most"
    if size >= n:
        most = FULL_BATCH_WORK // max(n * weights, 1)
        return max(200, min(1500, most)), "full-batch steps"
    wanted = 20_000 if size >= 128 else 25_000 if n < LARGE else 50_000
    wanted = 10_000 if size <= 8 else 40_000 if size <= 16 else wanted
    steps = -(-n // size)
    return max(10, min(1000, round(wanted / steps))), f"about {wanted:,} steps"


def schedule(optimizer: str) -> tuple[Schedule, str]:
    """One cycle up to 2e-3 for Adam; a constant 1e-2 for SGD."""
    if optimizer == "sgd":
        return Constant(1e-2), "constant for SGD"
    return OneCycle(2e-3), "one cycle for Adam"


def stopping(total_epochs: int, *, full_batch: bool) -> tuple[EarlyStopping, str]:
    """Wait a quarter of the epochs (at least 10); average over 3 % of them, of mini-batches only.

    Parameters at a high learning rate are noisy, and the held-out loss is often lowest there.
    """
    patience = max(10, total_epochs // 4)
    averaging = 0.0 if full_batch else 0.03 * total_epochs
    return EarlyStopping(patience, averaging=averaging), "a quarter of the epochs"
