"""Branch coverage of the everyday suite: ``make coverage``; refuses less than what is promised.

Reads the JSON report of coverage.py. The share is of lines and branches together, as coverage.py
counts them; OVERALL is asked of all files, everything of the loader and the readers.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.testing import write

OVERALL = 95.0
#: What reads files that others have written.
READERS = [
    "container.py", "header.py", "loading.py", "persist.py", "plain.py", "data/readers.py",
    "data/delimited.py", "data/arrays.py", "data/blocks.py",
]  # fmt: skip


def summary(files):
    """Return the share of lines and branches taken, in percent, rounded down to 0.1."""
    taken = sum(file["covered_lines"] + file["covered_branches"] for file in files)
    there = sum(file["num_statements"] + file["num_branches"] for file in files)
    return int(1000 * taken / there) / 10 if there else 100.0


def main(path):
    report = json.loads(Path(path).read_text())
    files = {name.split("xhat/", 1)[1]: file for name, file in report["files"].items()}
    for name, file in sorted(files.items(), key=lambda item: summary([item[1]["summary"]])):
        share = summary([file["summary"]])
        if share < 100:
            branches = [f"{a}->{b}" for a, b in file["missing_branches"]]
            print(f"{share:6.1f} %  {name}: lines {file['missing_lines']}, branches {branches}")
    overall = summary([file["summary"] for file in files.values()])
    readers = summary([files[name]["summary"] for name in READERS])
    print(f"{overall} % overall, {readers} % of loader and readers")
    if overall < OVERALL or readers < 100:
        sys.exit(f"promised are {OVERALL} % overall and 100 % of loader and readers")
    seconds = time.time() - Path(path).with_name("began").stat().st_mtime
    write("coverage", {"overall": overall, "readers": readers}, seconds)


if __name__ == "__main__":
    main(sys.argv[1])
