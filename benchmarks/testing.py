"""The figures of the long runs into docs/testing.md: ``python -m benchmarks.testing``.

`make nightly`, `make coverage` and `make mutation` leave a file for each figure in results/testing,
with date, commit and seconds; this script writes the table from them.
"""

import datetime as dt
import json
import re
import subprocess
from pathlib import Path

from benchmarks.figures import RESULTS, table

FOLDER = RESULTS / "testing"
PAGE = Path(__file__).parents[1] / "docs" / "testing.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->"

#: What a file holds, in words; the values of files of one row are summed.
ROWS = [
    ("kills", "kill -9 of a fit", "{killed} killed and resumed, {same} ended with the same bytes"),
    ("score-kills", "kill -9 of scoring a folder",
     ("{killed} killed and run again, {same} ended with the same bytes, "
     "{finished parts redone} finished parts done twice")),
    ("signals", "SIGINT and SIGTERM at random moments",
     ("{stopped} stopped ({of these by a second signal} of them by a second SIGINT), the slowest "
     "in {slowest in s} s, {same afterwards} went on to the same bytes, {problems} problems")),
    ("mutants", "Mutants of model files",
     ("{mutants}: {refused} refused in one line; the others keep every rule and load; "
     "memory grew by {grown} MB")),
    ("bit-flips", "Single-bit flips of a small model", "{bits}: {refused} refused"),
    ("payloads", "Payloads that run code", "{payloads} payloads, {tried} attempts: none ran"),
    ("bad-tables", "Labelled bad tables",
     "{tables} of {kinds} kinds: all refused in one line, {named} with the true row and column"),
    ("odd-tables", "Degenerate tables",
     "{tables}: {refused} refused in one line, all others finite numbers without a warning"),
    ("seeds-from-*", "scikit-learn's checks",
     "{checks} checks over {seeds} seeds passed, {skipped} skipped themselves"),
    ("coverage", "Branch coverage", "{overall} % of src/xhat; loader and readers: {readers} %"),
    ("mutation", "Faults put into the loader",
     "{killed} of {faults} found by its tests ({score} %)"),
]  # fmt: skip


def git(*words):
    """Return what a git command prints."""
    done = subprocess.run(
        ["git", *words], capture_output=True, text=True, check=False, cwd=PAGE.parents[1]
    )
    return done.stdout.strip()


def where(seconds):
    """Return date, commit (with a + if the working tree differs from it) and seconds of a run."""
    changed = git("status", "--porcelain", "--", "src", "tests", "Makefile", "pyproject.toml")
    commit = (git("rev-parse", "--short", "HEAD") or "unknown") + "+" * bool(changed)
    return {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "commit": commit,
        "seconds": round(seconds),
    }


def write(name, values, seconds, folder=FOLDER):
    """Write the figures of one run."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"where": where(seconds), "values": values}, indent=1)
    (folder / f"{name.replace(' ', '-')}.json").write_text(text + "\n")


def rows():
    """Return the rows of the table."""
    found = []
    for pattern, what, words in ROWS:
        files = [json.loads(path.read_text()) for path in sorted(FOLDER.glob(f"{pattern}.json"))]
        if not files:
            found.append(
                {"What": what, "Result": "not run yet", "Date": "", "Commit": "", "Minutes": ""}
            )
            continue
        values = files[0]["values"]
        for other in files[1:]:
            values = {name: value + other["values"][name] for name, value in values.items()}
        where = [file["where"] for file in files]
        found.append({
            "What": what,
            "Result": words.format(**values),
            "Date": max(w["date"] for w in where),
            "Commit": ", ".join(sorted({w["commit"] for w in where})),
            "Minutes": f"{sum(w['seconds'] for w in where) / 60:.1f}",
        })  # fmt: skip
    return found


def page(text):
    """Return the page with its table of figures brought up to date."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{BEGIN}{table(rows())}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(table(rows()))
