"""CSR beside dense: the same result, the memory, and where the time goes.

    python -m benchmarks.sparse --data DIR --epochs 20

Every fit runs in a process of its own, after a fit of a few rows that loads everything. Memory is
the peak of the resident set during ``fit`` minus what was resident before (Linux), beside the bytes
of the CSR arrays and of the model's parameters. "densify" is the share of the time of ``fit`` in
which rows are taken from the CSR matrix and encoded, "steps" that of the engine's runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse
from threadpoolctl import threadpool_limits

from benchmarks import figures
from xhat import Adam, Autoencoder
from xhat.data.batches import LazyRows
from xhat.engines.base import Run
from xhat.engines.compiled.engine import CompiledEngine
from xhat.maths.objective import Objective

TABLES = ("20newsgroups-w100", "bbc-news")


def load(folder: Path, name: str) -> scipy.sparse.csr_array:
    """Return documents by words as float64."""
    if name == "20newsgroups-w100":
        found = scipy.io.loadmat(folder / name / "20news_w100.mat")["documents"]
        return scipy.sparse.csr_array(found.T.astype(np.float64))
    texts = pd.read_csv(
        folder / "bbc-news" / "corpus.tsv",
        sep="\t",
        header=None,
        names=["text", "split", "label"],
        quoting=3,
        keep_default_na=False,
    )["text"]
    words = (folder / "bbc-news" / "vocabulary.txt").read_text().split()
    place = {word: j for j, word in enumerate(words)}
    pairs = [(i, place[w]) for i, text in enumerate(texts) for w in text.split() if w in place]
    rows, columns = np.array(pairs).T
    shape = (len(texts), len(words))
    counts = scipy.sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
    counts.sum_duplicates()
    return counts


def status(name: str) -> int:
    """Return a line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


class Clock:
    """Seconds spent inside a method, of all calls."""

    def __init__(self, owner: type, name: str) -> None:
        self.seconds = 0.0
        method = getattr(owner, name)

        def timed(*given, **named):
            began = time.perf_counter()
            try:
                return method(*given, **named)
            finally:
                self.seconds += time.perf_counter() - began

        setattr(owner, name, timed)


def one(folder: Path, name: str, form: str, epochs: int, output: str, *, trace: bool) -> None:
    """Fit in this process; write codes and scores of the first rows, print the figures."""
    warnings.simplefilter("ignore")
    X = load(folder, name)
    sizes = [X.data.nbytes, X.indices.nbytes, X.indptr.nbytes]
    given = X if form == "csr" else X.toarray()
    ae = Autoencoder(random_state=0, max_iter=epochs)
    Autoencoder(2, random_state=0, max_iter=1).fit(X[:1200, :50])
    densify, steps = Clock(LazyRows, "take"), Clock(CompiledEngine, "run")
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    if trace:
        tracemalloc.start()
    began = time.perf_counter()
    ae.fit(given)
    seconds = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1] if trace else status("VmHWM") - before
    some = given[:1000]
    np.savez(output, codes=ae.transform(some), scores=ae.anomaly_score(some))
    figures_ = {
        "table": name,
        "form": form,
        "rows": X.shape[0],
        "columns": X.shape[1],
        "fit s": seconds,
        "densify s": densify.seconds,
        "steps s": steps.seconds,
        "peak MB": peak / 1e6,
        "CSR MB": sum(sizes) / 1e6,
        "model MB": ae._fit.model.theta.nbytes / 1e6,
        "held-out loss": ae.verdict_.xhat,
        "PCA's": ae.verdict_.pca,
    }
    print(json.dumps(figures_))


def compared(folder: Path, epochs: int, *, trace: bool) -> list[dict[str, object]]:
    """Return the figures of both forms of both tables, and how far their results are apart."""
    table = []
    for name in TABLES:
        found = {}
        for form in ("dense", "csr"):
            output = f"/tmp/xhat-sparse-{form}.npz"
            command = [sys.executable, "-m", "benchmarks.sparse", "--data", str(folder)]
            command += ["--epochs", str(epochs), "--one", name, form, output]
            command += ["--trace"] * trace
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            with np.load(output) as archive:
                found[form] = dict(archive)
            Path(output).unlink()
            table.append(json.loads(done.stdout.splitlines()[-1]))
        for what in ("codes", "scores"):
            a, b = found["dense"][what], found["csr"][what]
            table[-1][f"{what} differ by"] = float(np.abs(a - b).max() / np.abs(a).max())
    return table


def product(folder: Path, name: str, rows: int = 128) -> dict[str, object]:
    """Time a step, its first layer's two products (NumPy), and the same with SciPy's CSR.

    Only these two can be spared: of what is as wide as the table, the output, its loss and its two
    products remain dense.
    """
    X = load(folder, name)
    # Nothing held out: PCA cannot win, the network is the default's.
    model = Autoencoder(random_state=0, max_iter=1, validation_fraction=0).fit(X)._fit.model
    width = model.net.hidden[0] + model.net.k * model.net.linear_path
    sparse = scipy.sparse.csr_array(X[:rows].astype(np.float32))
    dense = sparse.toarray()
    W = np.ones((width, X.shape[1]), np.float32)
    D = np.ones((rows, width), np.float32)
    adam, theta = Adam(), model.theta.astype(np.float32)
    state = adam.init(model.net, theta)
    batch = model.schema.encode(sparse, np.float32)
    run = Run(batch, np.arange(rows), rows, np.full(1, 1e-9))
    engine, objective = CompiledEngine(), Objective(model.net)
    with threadpool_limits(1):
        step = _fastest(lambda: engine.run(objective, adam, theta, state, run))
        encode = _fastest(lambda: model.schema.encode(sparse, np.float32))
        products = _fastest(lambda: (dense @ W.T, D.T @ dense))
        products_csr = _fastest(lambda: (sparse @ W.T, sparse.T @ D))
    return {
        "table": name,
        "non-zeros": X.nnz / X.shape[0] / X.shape[1],
        "step ms": step,
        "densify ms": encode,
        "dense products ms": products,
        "CSR products ms": products_csr,
        "spared at most": (products - products_csr + encode) / (step + encode),
    }


def _fastest(function: Callable[[], object], repeats: int = 30) -> float:
    """Return the least milliseconds of some calls."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return 1e3 * min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--trace", action="store_true", help="NumPy's memory, by tracemalloc")
    parser.add_argument("--one", nargs=3, metavar=("TABLE", "FORM", "OUTPUT"))
    parser.add_argument("--product", action="store_true", help="time the first layer's product")
    options = parser.parse_args()
    if options.product:
        warnings.simplefilter("ignore")
        figures.write("sparse-product", [product(options.data, name) for name in TABLES])
        return
    if options.one:
        name, form, output = options.one
        one(options.data, name, form, options.epochs, output, trace=options.trace)
        return
    figures.write("sparse", compared(options.data, options.epochs, trace=options.trace))


if __name__ == "__main__":
    main()
