"""Whole fits, as users call them: ``python -m benchmarks.fit [PART ...] [--rows 30-8]``.

Parts: fit (five epochs from cold, ``Autoencoder.fit`` beside the peers, float32 and float64),
memory (peak beyond the data), start (imports, command line), growth (time over rows and columns,
with the exponent and a plot in SVG), code (scoring with the code's part and without). Default: all.
Each part updates its entry of results/fit.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.figures import RESULTS, provenance, table
from benchmarks.peers import EPOCHS, ROWS

PEERS = ("fit float32", "fit float64", "torch", "jax scan", "scikit-learn", "pyod")
SHAPES = {
    "rows": [(n, 30) for n in (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)],
    "columns": [(2_000, d) for d in (10, 30, 100, 300, 1_000, 2_000, 4_096)],
}


def fit(rows: list[str], rounds: int) -> list[dict[str, object]]:
    """Rows per second of five epochs from the rows in memory on, each in a fresh process.

    xhat's are whole fits: reading, scales, PCA, epochs, scores' calibration. A peer's are the
    first epochs of its model, compiling included, imports not; nothing before or after them.
    """
    found = []
    for key in rows:
        rates: dict[str, list[float]] = {peer: [] for peer in PEERS}
        for _ in range(rounds):
            for peer in PEERS:
                line = _python("-m", "benchmarks.peers", peer, key, "cold")
                seconds = json.loads(line.splitlines()[-1])["seconds"]
                rates[peer].append(EPOCHS * ROWS[key].n / seconds)
        median = {peer: statistics.median(values) for peer, values in rates.items()}
        best = max((peer for peer in median if not peer.startswith("fit")), key=median.get)
        row: dict[str, object] = {"work": ROWS[key].name}
        row |= {peer: f"{median[peer]:,.0f}" for peer in PEERS}
        row |= {"best peer": best, "ratio (float32)": median["fit float32"] / median[best]}
        found.append(row | {"ratio (float64)": median["fit float64"] / median[best]})
        print(table(found[-1:]), flush=True)
    return found


MEMORY = """
import resource, sys
import numpy as np
from xhat import Autoencoder
n, dtype, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
X = np.empty((n, 30), dtype)
rng = np.random.default_rng(0)
for start in range(0, n, 10_000):
    X[start : start + 10_000] = rng.standard_normal((10_000, 30))
ae = Autoencoder(max_iter=2, random_state=0)
if what == "score":
    ae.fit(X[:20_000])
else:
    ae.fit(X[:5_000].copy())
before = peak()
ae.fit(X) if what == "fit" else ae.anomaly_score(X)
print(peak() - before, X.nbytes / 2**20)
"""


def memory() -> list[dict[str, object]]:
    """Peak memory beyond the data and the imports, in MiB, in processes of their own."""
    found = []
    for what in ("fit", "score"):
        for dtype in ("float32", "float64"):
            for n in (100_000, 1_000_000):
                line = _python("-c", MEMORY, str(n), dtype, what)
                extra, size = map(float, line.split())
                row = {"what": what, "rows x 30": f"{n:,}", "dtype": dtype, "data MiB": size}
                found.append(row | {"beyond MiB": extra, "beyond / data": extra / size})
    return found


def start(rounds: int) -> list[dict[str, object]]:
    """Seconds of a fresh process, the bare interpreter's included; medians, interleaved."""
    commands = {
        "python -c pass": ("-c", "pass"),
        "import sklearn.decomposition": ("-c", "import sklearn.decomposition"),
        "import xhat": ("-c", "import xhat"),
        "from xhat import Autoencoder": ("-c", "from xhat import Autoencoder"),
        "xhat --help": ("-m", "xhat", "--help"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(3 * rounds):
        for name, command in commands.items():
            began = time.perf_counter()
            _python(*command)
            seconds[name].append(time.perf_counter() - began)
    reference = statistics.median(seconds["import sklearn.decomposition"])
    return [
        {
            "command": name,
            "median s": statistics.median(values),
            "least s": min(values),
            "times sklearn.decomposition": statistics.median(values) / reference,
        }
        for name, values in seconds.items()
    ]


def growth(rounds: int) -> list[dict[str, object]]:
    """Seconds of a fit of 5 epochs over rows and columns; CPU time, so that neighbours matter less.

    The exponent is the slope of log seconds over log size across the upper half of the sizes.
    """
    from xhat import Autoencoder

    found: list[dict[str, object]] = []
    for axis, shapes in SHAPES.items():
        line = []
        for n, d in shapes:
            rng = np.random.default_rng(0)
            X = rng.standard_normal((n, d), dtype=np.float32)
            seconds = []
            for _ in range(rounds if n * d < 5_000_000 else 1):
                model = Autoencoder(8, max_iter=5, stopping=None, random_state=0)
                began = time.process_time()
                model.fit(X)
                seconds.append(time.process_time() - began)
            line.append((n if axis == "rows" else d, min(seconds)))
        half = np.log(np.array(line[len(line) // 2 :]))
        exponent = float(np.polyfit(half[:, 0], half[:, 1], 1)[0])
        for (n, d), (_, least) in zip(shapes, line, strict=True):
            found.append({"over": axis, "rows": n, "columns": d, "s": least, "exponent": exponent})
    plot(found, RESULTS / "growth.svg")
    return found


def code(rounds: int) -> list[dict[str, object]]:
    """CPU nanoseconds a row of scoring by default networks, with the code's part and without."""
    from xhat import Autoencoder

    found = []
    for d in (10, 30, 100, 784):
        rng = np.random.default_rng(0)
        X = np.tanh(rng.normal(size=(4_000, 5)) @ rng.normal(size=(5, d))).astype(np.float32)
        model = Autoencoder(heads="real", random_state=0, max_iter=20).fit(X)._fit.model
        row: dict[str, object] = {"columns": d, "weights": model.net.size}
        for what, part in (("with", model.code), ("without", None)):
            model.code = part
            seconds = []
            for _ in range(rounds):
                began = time.process_time()
                model.scores(X)
                seconds.append(time.process_time() - began)
            row[f"{what}, ns"] = 1e9 * statistics.median(seconds) / len(X)
        found.append(row | {"with / without": row["with, ns"] / row["without, ns"]})
    return found


def plot(found: list[dict[str, object]], path: Path) -> None:
    """Draw both curves on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "growth"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), constrained_layout=True, sharey=True)
    for axis, of in zip(axes, SHAPES, strict=True):
        line = [row for row in found if row["over"] == of]
        axis.loglog([row[of] for row in line], [row["s"] for row in line], "o-", color="#1f6f8b")
        other = "30 columns" if of == "rows" else f"{line[0]['rows']:,} rows"
        axis.set(xlabel=f"{of} ({other})", title=f"exponent {line[0]['exponent']:.2f}")
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].set_ylabel("CPU seconds of 5 epochs")
    figure.savefig(path, metadata={"Date": None})


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["fit", "memory", "start", "growth", "code"])
    parser.add_argument("--rows", default=",".join(key for key in ROWS if key != "score"))
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    path = RESULTS / "fit.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for part in asked.parts:
        if part == "fit":
            rows = fit(asked.rows.split(","), asked.rounds)
        elif part == "memory":
            rows = memory()
        else:
            rows = {"start": start, "growth": growth, "code": code}[part](asked.rounds)
        results[part] = {"where": provenance(), "rows": rows}
        print(f"\n{part}\n\n{table(rows)}", flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
