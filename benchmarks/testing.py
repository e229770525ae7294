"""The figures of the last `make nightly`, with date and commit; `python -m benchmarks.testing`."""

import datetime as dt
import json
import subprocess
from pathlib import Path

FIGURES = Path("build/figures")


def main():
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, commit {commit}")
    for path in sorted(FIGURES.glob("*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        print(f"- {path.stem}: " + ", ".join(f"{name} {value}" for name, value in values.items()))


if __name__ == "__main__":
    main()
