"""``xhat score MODEL in/ -o out/``: every row of a folder scored exactly once, whatever kills it.

Knows: files, row groups, the manifest. Must not know: models beyond Job, click.

A part is a file of scores of one unit: one row group of a Parquet file, or BLOCK rows of another
file. It appears whole or not at all; then one line of the manifest says what it holds. A second
run writes only parts that the manifest does not list, that changed since, or whose input changed.
At the end the manifest is sorted, so that an interrupted run leaves the same bytes as an unbroken
one. Shards share the folder: ``--shard 2/8`` takes every eighth unit (every eighth file, of those
that must be read whole) and keeps a manifest of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xhat import files, interrupts, manifest
from xhat.cli_job import Job
from xhat.cli_tools import Flags, Words, about, counted
from xhat.data.readers import FORMATS, read_row_group, read_table, row_groups
from xhat.data.writers import output_format
from xhat.errors import DataError, ParameterError

if TYPE_CHECKING:
    from xhat.data.table import Table

#: Rows of a part where the file itself has no row groups.
BLOCK = 65_536
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Wish:
    """What is asked for: shard (number, of how many), format of the parts, digits, threshold.

    ``keep``: rows that cannot be scored are kept, with a reason.
    """

    shard: tuple[int, int]
    suffix: str
    digits: int | None
    rate: float | None
    keep: bool = False

    def options(self, flags: Flags) -> str:
        """Return what else than model and rows the bytes of a part depend on."""
        kept = ["bad rows kept"] if self.keep else []
        usual = {"drop": [], "columns": [], "missing": (), "header": True, "decimal": "."}
        read = [(name, getattr(flags, name)) for name in usual]
        read = [(name, value) for name, value in read if value != usual[name]]
        return repr((self.suffix, self.digits, self.rate, flags.id_column, *kept, *read))


@dataclass(frozen=True)
class Unit:
    """Rows of one file that become one part."""

    path: Path
    number: int
    start: int
    rows: int

    def part(self, suffix: str) -> str:
        """Return the name of the part."""
        return manifest.part_name(self.path.name, self.number, suffix)


def parse_shard(text: str | None) -> tuple[int, int]:
    """Return (i, n) of "i/n", 1 <= i <= n.

    Examples
    --------
    >>> parse_shard("2/8"), parse_shard(None)
    ((2, 8), (1, 1))
    """
    if text is None:
        return 1, 1
    first, slash, second = text.partition("/")
    if slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise ParameterError(f"--shard {text}: expected I/N with 1 <= I <= N, such as 2/8")


class Batch:
    """One run over a folder."""

    def __init__(self, model: str, folder: str, out: str, flags: Flags, wish: Wish) -> None:
        from xhat import load  # noqa: PLC0415

        self.model, self.wish, self.flags = model, wish, flags
        self.inputs, self.out = _inputs(Path(folder)), Path(out)
        self.sources = {path.name: path for path in self.inputs}
        if self.out.exists() and self.out.samefile(folder):
            raise ParameterError(f"-o {out} is the folder of the input: give another name")
        self.ae = load(model)
        self.how = {
            "model": _digest(Path(model)),
            "options": wish.options(flags),
        }
        i, n = wish.shard
        self.manifest = self.out / ("manifest.jsonl" if n == 1 else f"manifest-{i}-of-{n}.jsonl")
        self.entries: dict[str, dict[str, Any]] = {}
        self.left: dict[str, list[Path]] = {}

    def run(self) -> None:
        """Score what is not scored yet."""
        interrupts.guard(None, "; the same command again goes on from here")
        files.make_folder(self.out)
        self.entries = self._finished(self.manifest)
        others = [p for p in sorted(self.out.glob("manifest*.jsonl")) if p != self.manifest]
        elsewhere = {name for path in others for name in self._finished(path)}
        for path in sorted(self.out.glob(f".*{files.SUFFIX}")):
            final = path.name[1 : -len(files.SUFFIX)].rsplit(".", 1)[0]
            self.left.setdefault(final, []).append(path)
        self._sweep(self.manifest.name)
        self._write_manifest()
        written, listed = 0, set()
        for unit, table in self._units():
            name = unit.part(self.wish.suffix)
            listed.add(name)
            if name in self.entries or name in elsewhere:
                continue
            self._sweep(name)
            self._score(unit, unit_table(unit, table), name)
            written += 1
        for name in sorted(self.entries.keys() - listed):  # of files that are gone
            files.remove(self.out / name)
            del self.entries[name]
        self._write_manifest()
        there = len(listed) - written
        were = "was" if there == 1 else "were"
        said = f"{counted(written, 'part')} written, {there} {were} there: {self.out}"
        self.flags.words.say(said)

    def _sweep(self, name: str) -> None:
        """Remove what killed runs left of a file; other shards may be writing theirs."""
        for path in self.left.pop(files.stem(name), []):
            files.remove(path)

    def _score(self, unit: Unit, table: Table, name: str) -> None:
        """Write one part and its line in the manifest."""
        flags = self.flags if unit.number == 0 else replace(self.flags, words=Words(quiet=True))
        target = self.out / name
        job = Job(
            self.model, str(unit.path), flags, output=str(target), digits=self.wish.digits,
            ae=self.ae, table=table, first=unit.start,
        )  # fmt: skip
        job.write_scores(self.wish.rate, keep=self.wish.keep)
        state = unit.path.stat()
        entry = {
            "part": name,
            "bytes": target.stat().st_size,
            "sha256": _digest(target),
            "input": unit.path.name,
            "input_bytes": state.st_size,
            "input_mtime_ns": state.st_mtime_ns,
            "unit": unit.number,
            "first_row": unit.start,
            "rows": unit.rows,
            **self.how,
        }
        self.entries[name] = entry
        files.append(self.manifest, manifest.line(entry))

    def _units(self) -> Iterator[tuple[Unit, Table | None]]:
        """Yield this shard's units in order, with the table where a file must be read whole."""
        i, n = self.wish.shard
        number = 0
        for path in self.inputs:
            if path.suffix.lower() in PARQUET:
                start = 0
                with about(str(path)):
                    sizes = row_groups(str(path))
                for group, rows in enumerate(sizes):
                    number += 1
                    if rows and number % n == i % n:
                        yield Unit(path, group, start, rows), None
                    start += rows
                continue
            number += 1
            if number % n == i % n:
                yield from self._blocks(path)

    def _blocks(self, path: Path) -> Iterator[tuple[Unit, Table | None]]:
        known = [e for e in self.entries.values() if e["input"] == path.name]
        if manifest.is_all(known, BLOCK):
            for entry in known:  # no need to read it
                yield Unit(path, entry["unit"], entry["first_row"], entry["rows"]), None
            return
        kept = [] if self.flags.id_column is None else [self.flags.id_column]
        with about(str(path)):
            table = read_table(
                str(path), missing=self.flags.missing, header=self.flags.header, verbatim=kept,
                decimal=self.flags.decimal,
            )  # fmt: skip
        for number, start in enumerate(range(0, table.n_rows, BLOCK)):
            yield Unit(path, number, start, min(BLOCK, table.n_rows - start)), table

    def _finished(self, path: Path) -> dict[str, dict[str, Any]]:
        """Return the entries whose part is there and whose input is what it was."""
        entries = {}
        for entry in manifest.entries(path):
            if {key: entry.get(key) for key in self.how} != self.how:
                raise ParameterError(
                    f"{self.out} holds scores of another model or with other options: give "
                    "another folder"
                )
            manifest.check_part(path, entry, self.wish.suffix)
            entries[entry["part"]] = entry
        return {name: entry for name, entry in entries.items() if self._is_intact(entry)}

    def _is_intact(self, entry: dict[str, Any]) -> bool:
        part = self.out / str(entry["part"])
        source = self.sources.get(entry["input"])
        if source is None:
            return part.exists()
        state = source.stat()
        same = (state.st_size, state.st_mtime_ns) == (entry["input_bytes"], entry["input_mtime_ns"])
        return bool(same and part.exists() and _digest(part) == entry["sha256"])

    def _write_manifest(self) -> None:
        """Replace the manifest by a sorted one, unless it is that already."""
        data = b"".join(manifest.line(self.entries[name]) for name in sorted(self.entries))
        if self.manifest.exists() and self.manifest.read_bytes() == data:
            return
        with files.atomic(self.manifest) as file:
            file.write(data)


def score_folder(
    model: str, folder: str, given: dict[str, Any], wish: Wish, labels: str | None
) -> None:
    """Check what the command line was given, and score the folder."""
    output = given["output"]
    if output == "-":
        raise ParameterError(f"{folder} is a folder: -o needs the name of another one")
    if labels is not None:
        raise ParameterError("--labels needs all rows at once: give one file")
    output_format(f"part{wish.suffix}")
    Batch(model, folder, output, given["flags"], wish).run()


def unit_table(unit: Unit, table: Table | None) -> Table:
    """Return the rows of a unit."""
    with about(str(unit.path)):
        if table is None:
            return read_row_group(str(unit.path), unit.number)
        stop = unit.start + unit.rows
        data = table.data.slice(unit.start, unit.rows) if table.named else None
        return replace(table, data=table.data[unit.start : stop] if data is None else data)


def _inputs(folder: Path) -> list[Path]:
    """Return the tables of a folder, by name."""
    paths = sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    inputs = [path for path in paths if path.suffix.lower() in FORMATS]
    if not inputs:
        raise DataError(f"{folder} holds no table; expected files ending in {', '.join(FORMATS)}")
    return inputs


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
