"""A model applied to a table: columns matched by name, results written.

Knows: the estimator's public methods, tables. Must not know: click, maths.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xhat.badrows import filled, hinting, missing_texts, reasons, score_apart
from xhat.cli_match import match_columns
from xhat.cli_tools import Flags, about, check_output, counted, open_data
from xhat.errors import CellError, DataError, EmptyRowsWarning, ParameterError

if TYPE_CHECKING:
    from xhat.data.table import Table
    from xhat.estimator import Autoencoder

Columns = dict[str, Any]
#: Shares of the rows flagged, in the table of precision and recall.
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class Chunk(NamedTuple):
    """Some rows in the model's columns and in all that were read, and their first one's number."""

    rows: Any
    table: Table
    ids: Any
    labels: list[Any] | None
    first: int


class Warned:
    """Warnings of many chunks: each text once, empty rows added up."""

    def __init__(self) -> None:
        self.empty: EmptyRowsWarning | None = None
        self.others: dict[str, Warning] = {}

    @contextlib.contextmanager
    def of_rows_from(self, first: int) -> Iterator[None]:
        """Keep the warnings of a chunk that begins with this row."""
        with warnings.catch_warnings(record=True) as found:
            yield
        for entry in found:
            warning = entry.message
            if isinstance(warning, EmptyRowsWarning):
                rows, at = warning.rows, first + warning.first
                if self.empty is not None:
                    rows, at = rows + self.empty.rows, self.empty.first
                self.empty = EmptyRowsWarning(rows, at)
            elif isinstance(warning, Warning):
                self.others.setdefault(str(warning), warning)

    def again(self) -> None:
        """Say them."""
        for warning in (*self.others.values(), self.empty):
            if warning is not None:
                warnings.warn(warning, stacklevel=2)


class Job:
    """A model and the rows it is applied to, matched column by column, chunk by chunk."""

    def __init__(
        self,
        model: str,
        data: str,
        flags: Flags,
        *,
        as_json: bool = False,
        output: str = "-",
        digits: int | None = None,
        apart: str | None = None,
        ae: Autoencoder | None = None,
        table: Table | None = None,
        first: int = 0,
        whole: bool = False,
    ) -> None:
        from xhat import load  # noqa: PLC0415
        from xhat.data.stream import of_table  # noqa: PLC0415
        from xhat.data.writers import output_format  # noqa: PLC0415

        self.output, self.digits, self.words, self.data = output, digits, flags.words, data
        self.first, self.as_json = first, as_json
        self.flags, self.apart, self.id_column = flags, apart, flags.id_column
        self.suffix = ".jsonl" if as_json and output == "-" else output_format(output)
        if self.suffix == ".npy" and flags.id_column is not None:
            raise ParameterError(f"-o {output}: npy holds numbers only; leave out --id")
        check_output(output, model, data)
        self.ae = load(model) if ae is None else ae
        with about(data):
            self.stream = open_data(data, flags) if table is None else of_table(table)
            self.match = match_columns(self.ae, self.stream, data, flags, apart)
        for note in () if whole else self.match.notes:
            self.words.say(note)
        kinds, left_out = self.ae.heads_, {s.name for s in self.ae._storage.left_out}  # noqa: SLF001
        pairs = list(zip(self.match.columns, self.match.names, strict=False))
        self.left_out = {column for column, name in pairs if name in left_out}
        self.numeric = {
            column
            for column, name in pairs
            if name in kinds and type(kinds[name]).__name__ != "Categorical"
        }
        aside = [name for name in (self.id_column, self.apart) if name is not None]
        wanted = self.stream.names if whole else [*self.match.columns, *aside]
        self.wanted = list(dict.fromkeys(wanted))

    def chunks(self) -> Iterator[Chunk]:
        """Walk over the rows in their order."""
        first = self.first
        for table in self.stream.select(self.wanted).chunks():
            ids = None if self.id_column is None else table.column(self.id_column)
            labels = None if self.apart is None else table.values(self.apart)
            rows = self.match.rows(table)
            rows = missing_texts(rows, self.numeric) if table.named else rows
            yield Chunk(rows, table, ids, labels, first)
            first += table.n_rows

    @property
    def matrix(self) -> Any:
        """All rows at once, for what needs them so."""
        with about(self.data):
            return self.match.rows(self.stream.select(self.match.columns).whole())

    def apply(self, function: Callable[[Any], Any]) -> Any:
        """Return what ``function`` makes of all rows at once."""
        matrix = self.matrix
        with about(self.data):
            return function(matrix)

    def each(self, function: Callable[[Chunk], Columns]) -> Iterator[Columns]:
        """Yield what ``function`` makes of each chunk; errors name the user's row and line.

        Warnings are said once for all chunks, at the end.
        """
        with about(self.data):
            chunk, said = None, Warned()
            for chunk in self.chunks():
                try:
                    with said.of_rows_from(chunk.first):
                        columns = function(chunk)
                except CellError as error:
                    raise self._placed(error, chunk) from None
                yield columns
            if chunk is None:
                raise DataError("the table has no rows")
            said.again()

    def _placed(self, error: CellError, chunk: Chunk) -> CellError:
        """Return an error about a chunk with the user's row and line."""
        return error.at(chunk.first, self.stream.place(chunk.first + error.row))

    def write_matrix(
        self,
        names: list[str],
        function: Callable[[Any], Any],
        more: Callable[[Any], dict[str, Any]] | None = None,
    ) -> None:
        """Write one column for each name of what ``function`` makes of the rows.

        ``more`` makes further columns out of that: their names must be new.
        """

        def make(chunk: Chunk) -> Columns:
            result = function(chunk.rows)
            columns = {name: column_of(result, j) for j, name in enumerate(names)}
            further = {} if more is None else more(result)
            for name in further:
                if name in columns:
                    raise DataError(
                        f"column {name!r} has the name of a column of the output: rename it"
                    )
            numbers = [name for name, values in columns.items() if _is_array(values)]
            return self.finish({**columns, **further}, numbers, chunk)

        self.write(self.each(make), names)

    def write_scores(self, rate: float | None, *, keep: bool = False) -> None:
        """Write scores and outliers; with labels, say how good they are.

        ``keep``: rows that cannot be scored are kept, without a score but with the reason.
        """
        limit = -self.ae.offset_ if rate is None else self.ae.threshold(rate)
        seen: list[Any] = []
        truth: list[bool] = []
        bad: list[int] = []  # of each chunk
        shown: list[CellError] = []  # the first: to find its line, the file is read again
        rates: list[dict[str, Any]] = []  # none if the reader of a pipe has seen enough

        def make(chunk: Chunk) -> Columns:
            if keep:
                scores, errors = score_apart(self.ae.anomaly_score, chunk.rows)
                bad.append(len(errors))
                if errors and not shown:
                    shown.append(self._placed(errors[min(errors)], chunk))
            else:
                with hinting("--bad-rows keep scores the others"):
                    scores, errors = self.ae.anomaly_score(chunk.rows), {}
            if chunk.labels is not None:
                told = [i for i in range(len(scores)) if i not in errors]
                seen.extend(scores[i] for i in told)
                truth.extend(_truth(chunk.first + i, chunk.labels[i]) for i in told)
            columns: Columns = {"score": scores, "outlier": scores > limit}
            if keep:
                columns = {name: filled(values, errors) for name, values in columns.items()}
                columns["reason"] = reasons(len(scores), errors)
            return self.finish(columns, ["score"], chunk)

        def made() -> Iterator[Columns]:
            yield from self.each(make)
            if self.apart is not None:  # now: a file appears only when this has ended
                with about(self.data):
                    _check_labels(truth)
                rates.append(rate_scores(np.array(seen), limit, np.array(truth)))

        self.write(made(), ["score"])
        if shown:
            rows = counted(sum(bad), "row")
            self.words.say(f"note: {rows} could not be scored; the first: {shown[0]}")
        for found in rates:  # what was asked for, so quiet does not count
            text = json.dumps(found) if self.as_json else rates_table(found)
            replace(self.words, quiet=False).show(text)

    def finish(self, columns: Columns, numbers: Sequence[str], chunk: Chunk) -> Columns:
        """Round the numbers as asked, and put the id in front."""
        if self.digits is not None:
            pattern = f".{self.digits}g"
            for name in numbers:
                columns[name] = _rounded(columns[name], pattern)
        if self.id_column is None:
            return columns
        if self.id_column in columns:
            raise DataError(f"--id {self.id_column}: the output has a column of this name")
        return {self.id_column: chunk.ids, **columns}

    def write(self, tables: Iterator[Columns], numbers: Sequence[str]) -> None:
        """Write tables as they come; ``numbers`` are the columns of an npy file."""
        from xhat.data.writers import write_tables  # noqa: PLC0415

        write_tables(tables, self.output, self.suffix, numbers=numbers)


def _is_array(values: Any) -> bool:
    return isinstance(values, np.ndarray)


def _rounded(values: Any, pattern: str) -> Any:
    """Return float64 numbers with fewer digits; empty ones stay empty."""
    data = np.array([float(format(value, pattern)) for value in np.asarray(values).tolist()])
    return np.ma.masked_array(data, values.mask) if np.ma.isMaskedArray(values) else data


def column_of(result: Any, j: int) -> Any:
    """Return a column of an array or an Arrow table: numbers as an array, all else as it is."""
    if not hasattr(result, "column_names"):
        return result[:, j]
    column = result.column(j)
    if column.null_count == 0 and str(column.type) in ("double", "float"):
        return column.to_numpy()
    return column


def rate_scores(scores: Any, limit: float, truth: Any) -> dict[str, Any]:
    """Return precision and recall at the threshold and at others, and AUROC."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    labelled = int(truth.sum())

    def at(threshold: float) -> dict[str, Any]:
        flagged = scores > threshold
        hits, n = int((flagged & truth).sum()), int(flagged.sum())
        precision = hits / n if n else None
        return {"threshold": threshold, "rows": n, "hits": hits, "precision": precision,
                "recall": hits / labelled}  # fmt: skip

    others = [(share, float(np.quantile(scores, 1 - share))) for share in SHARES]
    return {
        **at(float(limit)),
        "labelled": labelled,
        "auroc": float(roc_auc_score(truth, scores)),
        "flagged": [{"share": share, **at(threshold)} for share, threshold in others],
    }


def rates_table(rates: dict[str, Any]) -> str:
    """Return precision and recall as a sentence and a table."""

    def precision(at: dict[str, Any]) -> float:
        return float("nan") if at["precision"] is None else at["precision"]

    lines = [
        f"{at['share']:>7.1%}  {at['threshold']:>10.4g}{at['rows']:>10}{precision(at):>11.3f}"
        f"{at['recall']:>8.3f}"
        for at in rates["flagged"]
    ]
    sentence = (
        f"precision {precision(rates):.3f} ({rates['hits']} of {rates['rows']} flagged), "
        f"recall {rates['recall']:.3f} ({rates['hits']} of {rates['labelled']} labelled), "
        f"AUROC {rates['auroc']:.3f}"
    )
    return "\n".join([sentence, "flagged   threshold      rows  precision  recall", *lines])


def _check_labels(truth: Sequence[bool]) -> None:
    if len(set(truth)) < 2:
        raise DataError("the labels are all the same: precision and recall need both 0 and 1")


def _truth(row: int, label: Any) -> bool:
    if label in (0, 1):
        return bool(label)
    if label is None or label != label:  # noqa: PLR0124  (NaN)
        raise DataError(
            f"the label in row {row} is missing: 0 (usual) or 1 (strange) is expected; leave the "
            "row out"
        )
    raise DataError(f"label {label!r} in row {row}: 0 (usual) or 1 (strange) is expected")
