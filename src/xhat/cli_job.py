"""A model applied to a table: columns matched by name, results written.

Knows: the estimator's public methods, tables. Must not know: click, maths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xhat.cli_tools import Flags, about, check_output, read
from xhat.errors import DataError, ParameterError

if TYPE_CHECKING:
    from xhat.data.table import Table
    from xhat.estimator import Autoencoder


class Job:
    """A model and the rows it is applied to, matched column by column."""

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
    ) -> None:
        from xhat import load  # noqa: PLC0415
        from xhat.data.writers import output_format  # noqa: PLC0415

        self.output, self.digits, self.words, self.data = output, digits, flags.words, data
        self.id_column = flags.id_column or ""
        self.suffix = ".jsonl" if as_json and output == "-" else output_format(output)
        if self.suffix == ".npy" and flags.id_column:
            raise ParameterError(f"-o {output}: npy holds numbers only; leave out --id")
        check_output(output, model, data)
        self.ae = load(model) if ae is None else ae
        with about(data):
            table, self.ids, self.labels = read(data, flags, apart, table)
            self.matrix = self._matrix(table)
        named = getattr(self.ae, "feature_names_in_", None)
        self.names = [str(name) for name in named] if named is not None else table.names

    def _matrix(self, table: Table) -> Any:
        """Return the rows with the model's columns in the model's order."""
        named = getattr(self.ae, "feature_names_in_", None)
        if named is None or not table.named:
            self._match_positions(table)
        else:
            table = self._match_names(table, [str(name) for name in named])
        return table.data

    def _match_positions(self, table: Table) -> None:
        d = self.ae.n_features_in_
        if len(table.names) != d:
            raise DataError(f"{len(table.names)} columns, but the model was fitted on {d}")
        if table.named or hasattr(self.ae, "feature_names_in_"):
            which = self.data if not table.named else "the model"
            self.words.say(f"note: {which} has no column names: columns are taken by position")

    def _match_names(self, table: Table, names: list[str]) -> Table:
        missing = [name for name in names if name not in set(table.names)]
        if missing:
            shown = ", ".join(missing[:8]) + ", ..." * (len(missing) > 8)
            raise DataError(f"{len(missing)} of the model's {len(names)} columns missing: {shown}")
        extra = [name for name in table.names if name not in set(names)]
        if extra:
            shown = ", ".join(extra[:8]) + ", ..." * (len(extra) > 8)
            self.words.say(f"note: ignored, unknown to the model: {shown}")
        if [name for name in table.names if name in set(names)] != names:
            self.words.say("note: columns reordered by name to the model's order")
        return table.select(names)

    def apply(self, function: Callable[[Any], Any]) -> Any:
        """Return what ``function`` makes of the rows."""
        with about(self.data):
            return function(self.matrix)

    def write_matrix(
        self, names: list[str], result: Any, more: dict[str, Sequence[Any]] | None = None
    ) -> None:
        """Write one column for each name, of an array or an Arrow table."""
        for name in more or {}:
            if name in names:
                raise DataError(
                    f"column {name!r} has the name of a column of the output: rename it"
                )
        columns = {name: _column(result, j) for j, name in enumerate(names)}
        numbers = [name for name, values in columns.items() if not isinstance(values, list)]
        self._write({**columns, **(more or {})}, numbers)

    def write_scores(self, rate: float | None) -> None:
        """Write scores and outliers; with labels, say how good they are."""
        scores = self.apply(self.ae.anomaly_score)
        limit = -self.ae.offset_ if rate is None else self.ae.threshold(rate)
        outlier = scores > limit
        if self.labels is not None:
            with about(self.data):
                self.words.say(rate_scores(scores, outlier, self.labels))
        self._write({"score": scores, "outlier": outlier}, ["score"])

    def _write(self, columns: dict[str, Any], numbers: Sequence[str]) -> None:
        from xhat.data.writers import write_table  # noqa: PLC0415

        if self.digits is not None:
            pattern = f".{self.digits}g"
            for name in numbers:
                columns[name] = [float(format(value, pattern)) for value in columns[name].tolist()]
        if self.ids is not None:
            if self.id_column in columns:
                raise DataError(f"--id {self.id_column}: the output has a column of this name")
            columns = {self.id_column: self.ids, **columns}
        write_table(columns, self.output, self.suffix, numbers=numbers)


def _column(result: Any, j: int) -> Any:
    """Return a column of an array or an Arrow table: numbers as an array, all else as a list."""
    if not hasattr(result, "column_names"):
        return result[:, j]
    column = result.column(j)
    if column.null_count == 0 and str(column.type) in ("double", "float"):
        return column.to_numpy()
    return column.to_pylist()


def rate_scores(scores: Any, outlier: Any, labels: Sequence[Any]) -> str:
    """Return precision and recall at the threshold, and AUROC, in one line."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    truth = [_truth(row, label) for row, label in enumerate(labels)]
    if len(set(truth)) < 2:
        raise DataError("the labels are all the same: precision and recall need both 0 and 1")
    hits = sum(1 for flag, label in zip(outlier, truth, strict=True) if flag and label)
    flagged, positives = int(outlier.sum()), sum(truth)
    precision = hits / flagged if flagged else float("nan")
    return (
        f"precision {precision:.3f} ({hits} of {flagged} flagged), recall {hits / positives:.3f} "
        f"({hits} of {positives} labelled), AUROC {roc_auc_score(truth, scores):.3f}"
    )


def _truth(row: int, label: Any) -> bool:
    if label in (0, 1):
        return bool(label)
    raise DataError(f"label {label!r} in row {row}: 0 (usual) or 1 (strange) is expected")
