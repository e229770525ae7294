"""The manifest of a folder of scores: one JSON line for each part, which says what is in it.

Knows: the lines. Must not know: tables, models. A manifest may come from anyone: a line that is not
about a part that xhat itself would write is refused, for parts of files that are gone are removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xhat.errors import DataError

Entry = dict[str, Any]
#: What every line of a manifest holds.
FIELDS = {
    **dict.fromkeys(("part", "sha256", "input", "model", "options"), str),
    **dict.fromkeys(("bytes", "input_bytes", "input_mtime_ns", "unit", "first_row", "rows"), int),
}


def part_name(source: str, unit: int, suffix: str) -> str:
    """Return the name of a part.

    Examples
    --------
    >>> part_name("june.csv", 2, ".csv")
    'june.csv.00002.csv'
    """
    return f"{source}.{unit:05d}{suffix}"


def line(entry: Entry) -> bytes:
    """Return the line of an entry."""
    return (json.dumps(entry, sort_keys=True) + "\n").encode()


def entries(manifest: Path) -> list[Entry]:
    """Return the entries of a manifest; a last line that a crash cut off is none.

    Raises
    ------
    DataError
        Naming the line that is none of xhat's.
    """
    if not manifest.exists():
        return []
    found = []
    whole = manifest.read_bytes().split(b"\n")[:-1]
    for number, text in enumerate(whole, 1):
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or any(
            type(entry.get(name)) is not kind for name, kind in FIELDS.items()
        ):
            raise DataError(f"{manifest}: line {number} is damaged: remove the file")
        found.append(entry)
    return found


def check_part(manifest: Path, entry: Entry, suffix: str) -> None:
    """Refuse an entry about any other file than the part that a unit of its input becomes."""
    source, numbers = entry["input"], [entry[name] for name in FIELDS if FIELDS[name] is int]
    good = Path(source).name == source and all(0 <= number < 2**63 for number in numbers)
    if not good or entry["part"] != part_name(source, entry["unit"], suffix):
        raise DataError(
            f"{manifest}: {entry['part']!r} is no part that xhat writes for {source!r}: remove the "
            "file"
        )


def is_all(found: list[Entry], block: int) -> bool:
    """Return whether these are all the parts of a file: whole blocks, then one that is not."""
    blocks = sorted((entry["unit"], entry["first_row"], entry["rows"]) for entry in found)
    if not blocks or not 0 < blocks[-1][2] < block:
        return False
    whole = [(number, number * block, block) for number in range(len(blocks) - 1)]
    return blocks == [*whole, (len(whole), len(whole) * block, blocks[-1][2])]
