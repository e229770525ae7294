"""Steps and scoring against the peers: ``python -m benchmarks.step [--rows 30-8] [-o FILE]``.

Every row runs all peers in one go, a process per peer, interleaved: each round measures every
peer once, and the medians of the rounds are compared. Two threads each; with BENCHMARK_CPU=1 in
the environment one core each and the seconds of that core, for a machine that others use, too.
Install the peers with ``pip install xhat[bench]``. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import RESULTS, provenance, table
from benchmarks.peers import CPU, PEERS, ROWS, THREADS

LEFT_OUT = ("xhat reference", "fit float32", "fit float64")  # unless asked for
OURS = ("xhat", "xhat reference", "floor")


class Worker:
    """One peer's process."""

    def __init__(self, peer, row):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        env = os.environ | dict.fromkeys(variables, str(THREADS))
        self.peer = peer
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers", peer, row],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        answer = self.answer()
        self.rows, self.error = answer.get("rows", 0), answer.get("error")

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def measure(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.rows / self.answer()["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure_row(key, peers, rounds):
    workers = [Worker(peer, key) for peer in peers]
    for worker in workers:
        if worker.error:
            print(f"  {worker.peer}: left out ({worker.error})", file=sys.stderr)
    workers = [worker for worker in workers if not worker.error]
    rates = {worker.peer: [] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            rates[worker.peer].append(worker.measure())
    for worker in workers:
        worker.close()
    return rates


def summarise(key, rates):
    row = ROWS[key]
    median = {peer: statistics.median(values) for peer, values in rates.items()}
    others = {peer: rate for peer, rate in median.items() if peer not in OURS}
    result = {"row": key, "name": row.name, "rows_per_second": median, "all": rates}
    ours = median.get("xhat")
    if ours and others:
        best = max(others, key=others.get)
        result |= {"best_peer": best, "ratio_to_best_peer": ours / others[best]}
        # Least disturbed round of each: what remains where other processes use the machine, too.
        least = {peer: max(rates[peer]) for peer in rates}
        quiet = max(others, key=least.get)
        result |= {"quietest_best_peer": quiet, "quietest_ratio": least["xhat"] / least[quiet]}
        result |= {"ratio_to_pyod": ours / others["pyod"]} if "pyod" in others else {}
    if ours and "floor" in median:
        result["time_over_floor"] = median["floor"] / ours
    return result


def show(result):
    row = ROWS[result["row"]]
    print(f"\n{result['name']}")
    for peer, rate in sorted(result["rows_per_second"].items(), key=lambda item: -item[1]):
        values = result["all"][peer]
        step = "" if row.scoring else f"{1e6 * row.batch / rate:12,.1f} us a step"
        spread = f"{min(values):,.0f} .. {max(values):,.0f}"
        print(f"  {peer:18}{rate:14,.0f} rows/s{step}   ({spread})")
    if "best_peer" in result:
        print(
            f"  = {result['ratio_to_best_peer']:.2f} x the best peer ({result['best_peer']})",
            end="",
        )
        print(
            f", {result['ratio_to_pyod']:.0f} x pyod" if "ratio_to_pyod" in result else "", end=""
        )
        print(f", {result['time_over_floor']:.2f} x the floor's time", end="")
        quiet = f"{result['quietest_ratio']:.2f} x {result['quietest_best_peer']}"
        print(f"; least disturbed rounds: {quiet}")


def overview(results):
    """Print the rows of a results file as the Markdown table of benchmarks/README.md."""
    lines = []
    for result in results:
        row, median = ROWS[result["row"]], result["rows_per_second"]

        def per(peer, row=row, median=median):
            if peer not in median:
                return ""
            rate = median[peer]
            return f"{rate / 1e6:.2f}" if row.scoring else f"{1e6 * row.batch / rate:,.1f}"

        torch = max(rate for peer, rate in median.items() if peer.startswith("torch"))
        peers = ("xhat", "floor", "jax scan", "keras on jax", "torch", "scikit-learn", "pyod")
        lines.append(
            {"work": row.name.replace(" with linear path", " + path")}
            | {peer: per(peer) for peer in peers}
            | {
                "x best peer": f"{result['ratio_to_best_peer']:.1f}",
                "x torch's best": f"{median['xhat'] / torch:.1f}",
                "x pyod": f"{result['ratio_to_pyod']:.0f}" if "ratio_to_pyod" in result else "",
                "time / floor": f"{result['time_over_floor']:.2f}",
            }
        )
    print(table(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--peers", default=",".join(p for p in PEERS if p not in LEFT_OUT))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "-o", "--out", type=Path, default=RESULTS / ("step-cpu.json" if CPU else "step.json")
    )
    parser.add_argument(
        "--table", action="store_true", help="only print what -o holds, as Markdown"
    )
    asked = parser.parse_args()
    results = []
    if asked.out.exists():  # rows not asked for keep their last figures
        results = json.loads(asked.out.read_text())["rows"]
    if asked.table:
        overview(results)
        return
    for key in asked.rows.split(","):
        rates = measure_row(key, asked.peers.split(","), asked.rounds)
        found = summarise(key, rates) | provenance()
        found |= {"threads": THREADS, "clock": "processor" if CPU else "wall"}
        show(found)
        sys.stdout.flush()
        results = [row for row in results if row["row"] != key] + [found]
        results.sort(key=lambda row: list(ROWS).index(row["row"]))
        asked.out.write_text(json.dumps({"rows": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
