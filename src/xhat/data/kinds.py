"""Kinds of columns users name: Real, Binary, Categorical, Count, Auto; and how "auto" finds them.

Knows: what values a kind may hold and which head it has. Must not know: encoding, containers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xhat.data.statistics import Statistics
from xhat.errors import ParameterError
from xhat.fields import said, settle
from xhat.maths.heads import RANGES

Scale = Literal["auto", "std", "robust", "asinh"] | None
#: "auto" takes whole numbers >= 0 for counts if at least this share of them is 0.
ZERO_SHARE = 0.5
#: ... and none is larger: sums of money are whole numbers too, and anything but Poisson.
MAX_COUNT = 1000


@dataclass(frozen=True)
class Real:
    """Real values, squared error.

    Parameters
    ----------
    scale : {"auto", "std", "robust", "asinh", None}
        What a column is divided by after its centre is taken off: "std" mean and standard
        deviation, "robust" median and interquartile range / 1.349 (equal to the standard
        deviation for normal values), None nothing at all. "asinh" is for heavy tails: "std" of
        ``asinh((x - median) / (interquartile range / 1.349))``, which is straight near the median,
        logarithmic further out and straight again outside the training range (maths/bend.py).
        "robust" and "asinh" are "std" where the quartiles are the same. "auto" is "std" with f
        linear and None otherwise, because scaled values leave the range of f. Undone on the way
        out.
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
        settle(self)
        if self.f not in RANGES:
            raise ParameterError(f"Real(f={said(self.f)}): f must be one of {', '.join(RANGES)}")
        if self.f != "linear" and self.scale not in ("auto", None):
            low, high = RANGES[self.f]
            raise ParameterError(
                f"Real(scale={self.scale!r}, f={self.f!r}): scaled values leave [{low:g}, "
                f"{high:g}], the range of {self.f}; use scale=None or f='linear'"
            )


@dataclass(frozen=True)
class Binary:
    """Values in [0, 1] (0/1, or shares such as grey pixels), logistic output, cross-entropy.

    Parameters
    ----------
    found : bool
        Whether "auto" found it. Then a value outside is scored as a level never seen is; in a
        column that was said to be of this kind it is an error.
    """

    found: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True)
class Categorical:
    """Categories, softmax output, cross-entropy over the levels.

    Parameters
    ----------
    max_levels : int >= 1
        The most frequent levels are kept apart; all others share one place, "rare".
    min_rows : int >= 1
        A level seen in fewer training rows than this is rare as well.
    """

    max_levels: int = 100
    min_rows: int = 5

    def __post_init__(self) -> None:
        settle(self, max_levels="[1, inf)", min_rows="[1, inf)")


@dataclass(frozen=True)
class Count:
    """Counts 0, 1, 2, ...; exponential output, Poisson deviance.

    Parameters
    ----------
    found : bool
        Whether "auto" found it: see Binary.
    """

    found: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True)
class Auto:
    """Kinds found from types and values (see ``resolve_kinds``).

    Parameters
    ----------
    scale : {"auto", "std", "robust", "asinh", None}
        Scale of the real columns.
    """

    scale: Scale = "auto"

    def __post_init__(self) -> None:
        settle(self)


Kind = Real | Binary | Categorical | Count
Heads = str | Kind | Auto | dict[str, "str | Kind"]
#: What a text stands for, in ``heads`` and on the command line.
NAMED: dict[str, Kind | Auto] = {
    "auto": Auto(),
    "real": Real(),
    "robust": Real("robust"),
    "asinh": Real("asinh"),
    "binary": Binary(),
    "categorical": Categorical(),
    "count": Count(),
}


def wish_for(heads: Any, name: str) -> Any:
    """Return what the user said of one column."""
    if not isinstance(heads, dict):
        return heads
    return next((wish for key, wish in heads.items() if str(key) == name), "auto")


def storage_wish(heads: Any, name: str) -> str | None:
    """Return what a head asks of the storage: "categorical", "ignore", "number" or nothing."""
    wish = wish_for(heads, name)
    if wish == "ignore":
        return "ignore"
    kind = _named_kind(wish)
    if isinstance(kind, Auto):
        return None
    return "categorical" if isinstance(kind, Categorical) else "number"


def check_names(heads: Any, names: Sequence[str]) -> None:
    """Refuse a dict of heads that names a column which is not there."""
    unknown = [name for name in heads if str(name) not in names] if isinstance(heads, dict) else []
    if unknown:
        raise ParameterError(
            f"heads names a column that is not there: {unknown[0]!r}; "
            f"the columns are {', '.join(map(repr, names[:8]))}{', ...' * (len(names) > 8)}"
        )


def resolve_kinds(
    names: Sequence[str], heads: Any, statistics: Statistics, forms: Sequence[str]
) -> list[Kind]:
    """Return the kind of every column, from all rows (a value may occur in held-out rows alone).

    The rule of "auto", first match: levels are Categorical; booleans and columns in which 0 and 1
    both occur and nothing else Binary; dates and times Real; columns of an integer type with
    values >= 0 reaching at least 3 and at most 1000,
    half of them 0, Count; everything else Real.
    """
    kinds: list[Kind] = []
    for j, name in enumerate(names):
        kind = _named_kind(wish_for(heads, name))
        if isinstance(kind, Auto):
            kind = _found(kind, statistics, j, forms[j])
        if isinstance(kind, Real) and kind.scale == "auto":
            kind = Real("std" if kind.f == "linear" else None, kind.f)
        kinds.append(kind)
    return kinds


def _found(auto: Auto, statistics: Statistics, j: int, form: str) -> Kind:
    if form == "level":
        return Categorical()
    if form == "bool" or (statistics.zero_one[j] and not statistics.constant[j]):
        return Binary(found=True)
    if (
        form == "integer"
        and statistics.whole[j]
        and statistics.low[j] == 0
        and (3 <= statistics.high[j] <= MAX_COUNT and statistics.zeros[j] >= ZERO_SHARE)
    ):
        return Count(found=True)
    return Real(auto.scale)


def asked(kind: Kind) -> Kind:
    """Return a kind as if it had been asked for by its name."""
    return replace(kind, found=False) if isinstance(kind, (Binary, Count)) else kind


def _named_kind(wish: object) -> Kind | Auto:
    if isinstance(wish, (Real, Binary, Categorical, Count, Auto)):
        return wish
    if isinstance(wish, str) and wish in NAMED:
        return NAMED[wish]
    raise ParameterError(
        f"heads={wish!r} is not known; choose 'auto', {', '.join(map(repr, list(NAMED)[1:]))}, a "
        "head such as Real(scale='robust'), or a dict of column name -> one of these or 'ignore'"
    )
