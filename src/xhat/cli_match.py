"""The columns of DATA and those of a model: which is which, which are missing, which stay aside.

Knows: names, left-out columns. Must not know: click, maths, files.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from xhat.cli_tools import Flags, counted, modelled
from xhat.errors import DataError

if TYPE_CHECKING:
    from xhat.data.stream import Stream
    from xhat.data.table import Table
    from xhat.estimator import Autoencoder

#: Names that a message shows.
SHOWN = 8


class Match(NamedTuple):
    """Which columns of DATA a model reads.

    Attributes
    ----------
    columns : list of str
        Their names in DATA, in the model's order.
    names : list of str
        What the model calls them.
    absent : list of (int, str)
        Places and names of columns that the model has left out and DATA does not have.
    notes : list of str
        What to say of it.
    """

    columns: list[str]
    names: list[str]
    absent: list[tuple[int, str]]
    notes: list[str]

    @property
    def places(self) -> dict[str, int]:
        """Return the column's number in the model's rows, by its name in DATA."""
        gone = {place for place, _ in self.absent}
        there = (j for j in range(len(self.columns) + len(gone)) if j not in gone)
        return dict(zip(self.columns, there, strict=True))

    def rows(self, table: Table) -> Any:
        """Return rows as the model knows them: a column that it leaves out may be empty."""
        rows = table.select(self.columns).data
        if self.absent:
            import pyarrow as pa  # noqa: PLC0415

            for place, name in self.absent:
                rows = rows.add_column(place, name, pa.nulls(rows.num_rows))
        return rows


def match_columns(
    ae: Autoencoder, stream: Stream, data: str, flags: Flags, apart: str | None
) -> Match:
    """Match the columns of DATA, but for those set apart, to the model's: by name if both have any.

    Raises
    ------
    DataError
        Naming the columns that are missing, and the way out.
    """
    there = modelled(stream, flags, apart).names
    named = getattr(ae, "feature_names_in_", None)
    if named is None or not stream.named:
        return _by_position(ae, stream, there, data)
    names = [str(name) for name in named]
    left_out = {store.name for store in ae._storage.left_out}  # noqa: SLF001
    given, known = set(there), set(names)
    missing = [name for name in names if name not in given]
    required = [name for name in missing if name not in left_out]
    if required:
        aside = next((name for name in required if name in stream.names), None)
        if aside is not None:
            raise DataError(_set_aside(aside, flags, apart))
        raise DataError(_missing(required, len(names) - len(missing) + len(required)))
    absent = [(place, name) for place, name in enumerate(names) if name not in given]
    present = [name for name in names if name in given]
    notes = []
    if extra := [name for name in there if name not in known]:
        notes.append(f"note: ignored, unknown to the model: {some(extra)}")
    if [name for name in there if name in known] != present:
        notes.append("note: columns reordered by name to the model's order")
    return Match(present, present, absent, notes)


def _by_position(ae: Autoencoder, stream: Stream, there: list[str], data: str) -> Match:
    if len(there) != ae.n_features_in_:
        raise DataError(
            f"{counted(len(there), 'column')}, but the model was fitted on {ae.n_features_in_}"
        )
    named = getattr(ae, "feature_names_in_", None)
    names = there if named is None else [str(name) for name in named]
    if not stream.named and named is None:
        return Match(there, names, [], [])
    which = "the model" if stream.named else data
    note = f"note: {which} has no column names: columns are taken by position"
    return Match(there, names, [], [note])


def _set_aside(name: str, flags: Flags, apart: str | None) -> str:
    """Say that a column of the model cannot be set aside."""
    word = shlex.quote(name)  # as it is typed in a shell
    given, fit = f"--columns: it must name {name}", f"--drop {word}"
    if name == flags.id_column:
        given, fit = f"leave out --id {word}", f"--id {word}"
    elif name == apart:
        given = f"leave out --labels {word}"
    elif name in flags.drop:
        given = f"leave out --drop {word}"
    return f"{name!r} is a column of the model: {given}, or fit with {fit}"


def _missing(required: list[str], total: int) -> str:
    fit = shlex.quote(",".join(required)) if len(required) <= SHOWN else "NAME,NAME"
    return (
        f"{len(required)} of the model's {counted(total, 'column')} missing: {some(required)}; add "
        f"{'them' if len(required) > 1 else 'it'} (cells may be empty), or fit with --drop {fit}"
    )


def some(names: Sequence[str]) -> str:
    """Return the first few names."""
    return ", ".join(name or "''" for name in names[:SHOWN]) + ", ..." * (len(names) > SHOWN)
