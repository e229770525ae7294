"""Quality of the defaults: reconstruction against PCA, anomaly scores, MNIST.

Run ``python -m benchmarks.quality reconstruction --data DIR`` (or semi, unsupervised, mnist-deep,
mnist-keras, binarized). ``--half odd|even`` restricts the 22 tables to the odd lines of their
sorted list, on which choices by AUROC are made, or to the even ones, which confirm them.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from benchmarks import data, figures
from xhat import Autoencoder

Tables = dict[str, tuple[np.ndarray, np.ndarray]]


def reconstruction(tables: Tables, seed: int = 0) -> list[dict[str, object]]:
    """80/20 split, z-scored on the training rows, k = d/3: test squared error divided by PCA's."""
    rows, ratios = [], []
    for name, (X, _) in tables.items():
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(X))
        cut = int(0.8 * len(X))
        train, test = X[order[:cut]], X[order[cut:]]
        mean, std = train.mean(axis=0), train.std(axis=0)
        std[std == 0] = 1
        train, test = (train - mean) / std, (test - mean) / std
        k = max(1, round(X.shape[1] / 3))
        _, _, V = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
        centred = test - train.mean(axis=0)
        pca = ((centred - centred @ V[:k].T @ V[:k]) ** 2).sum(axis=1).mean()
        began = time.perf_counter()
        ae = Autoencoder(k, heads="real", random_state=seed).fit(train)
        seconds = time.perf_counter() - began
        error = ((ae.reconstruct(test) - test) ** 2).sum(axis=1).mean()
        ratios.append(error / pca if pca > 0 else 1.0)
        rows.append(
            {
                "table": name,
                "rows": len(X),
                "columns": X.shape[1],
                "k": k,
                "PCA": float(pca),
                "xhat": float(error),
                "xhat / PCA": float(ratios[-1]),
                "fit s": seconds,
                "kept epoch": f"{ae.best_iter_}/{ae.n_iter_}",
            }
        )
        print(rows[-1], flush=True)
    seconds = [row["fit s"] for row in rows]
    rows.append(
        {
            "table": "geometric mean / largest ratio",
            "xhat / PCA": float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-12))))),
            "fit s": float(np.median(seconds)),
            "kept epoch": f"largest {max(ratios):.4f}, slowest {max(seconds):.0f} s",
        }
    )
    return rows


def _splits(X: np.ndarray, y: np.ndarray, seed: int, *, semi: bool) -> tuple[np.ndarray, ...]:
    """Return (train, test, labels) of the DTE protocol (see the README of the data)."""
    rng = np.random.default_rng(seed)
    if len(X) > 50_000:
        pick = rng.choice(len(X), 50_000, replace=False)
        X, y = X[pick], y[pick]
    elif len(X) < 1000:
        pick = rng.choice(len(X), 1000, replace=True)
        X, y = X[pick], y[pick]
    if semi:
        normal = np.flatnonzero(y == 0)
        half = len(normal) // 2
        test = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
        train = X[normal[:half]]
    else:
        train, test = X[rng.choice(len(X), len(X), replace=True)], np.arange(len(X))
    mean, std = train.mean(axis=0), train.std(axis=0)
    std[std == 0] = 1
    return (train - mean) / std, (X[test] - mean) / std, y[test]


def _anomaly_scores(
    train: np.ndarray, test: np.ndarray, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    yield "norm of z", (test**2).sum(axis=1)
    neighbours = NearestNeighbors(n_neighbors=5).fit(train)
    yield "KNN", neighbours.kneighbors(test)[0][:, -1]
    yield "IForest", -IsolationForest(random_state=seed).fit(train).score_samples(test)
    ae = Autoencoder(heads="real", random_state=seed).fit(train)
    yield "xhat", ae.anomaly_score(test)


def anomalies(tables: Tables, seeds: int, *, semi: bool) -> list[dict[str, object]]:
    """AUROC % of the DTE protocol, mean over seeds."""
    rows = []
    for name, (X, y) in tables.items():
        found: dict[str, list[float]] = {}
        began = time.perf_counter()
        for seed in range(seeds):
            train, test, labels = _splits(X, y, seed, semi=semi)
            for method, scores in _anomaly_scores(train, test, seed):
                found.setdefault(method, []).append(100 * roc_auc_score(labels, scores))
        rows.append(
            {
                "table": name,
                **{m: float(np.mean(v)) for m, v in found.items()},
                "s": time.perf_counter() - began,
            }
        )
        print(rows[-1], flush=True)
    methods = ("norm of z", "KNN", "IForest", "xhat")
    rows.append({"table": "mean", **{m: float(np.mean([row[m] for row in rows])) for m in methods}})
    return rows


def mnist_deep(folder: Path) -> list[dict[str, object]]:
    """784-1000-500-250-30 as in Hinton and Salakhutdinov (2006): squared error per test image."""
    from xhat import recipes

    train, test = data.mnist(folder)
    began = time.perf_counter()
    ae = recipes.hinton2006(random_state=0).fit(train)
    seconds = time.perf_counter() - began
    error = float(((ae.reconstruct(test) - test) ** 2).sum(axis=1).mean())
    return [
        {
            "784-1000-500-250-30": "squared error per test image",
            "xhat": error,
            "PCA (30)": 13.8663,
            "published 2006": 3.00,
            "fit s": seconds,
            "epochs": ae.n_iter_,
        }
    ]


def mnist_keras(folder: Path) -> list[dict[str, object]]:
    """784-32-784 with a logistic output: cross-entropy above its floor, nats per pixel."""
    from xhat import recipes

    train, test = data.mnist(folder)
    began = time.perf_counter()
    ae = recipes.keras_blog(random_state=0).fit(train)
    seconds = time.perf_counter() - began
    floor = 0.05808
    loss = -ae.score(test) / 784
    return [
        {
            "784-32-784": "nats per pixel above the floor",
            "xhat": loss - floor,
            "Keras tutorial": 0.03,
            "fit s": seconds,
            "epochs": ae.n_iter_,
        }
    ]


def binarized(folder: Path) -> list[dict[str, object]]:
    """Binarized MNIST, k = 50, default (deep) model: nats per test image."""
    parts = data.binarized_mnist(folder)
    began = time.perf_counter()
    ae = Autoencoder(50, heads="binary", random_state=0).fit(parts["train"], X_val=parts["valid"])
    seconds = time.perf_counter() - began
    verdict = ae.compare_pca(parts["test"])
    return [
        {
            "binarized MNIST, k = 50": "nats per test image",
            "mean": verdict.mean,
            "logistic decoder on PCA codes": verdict.pca,
            "xhat": verdict.xhat,
            "fit s": seconds,
        }
    ]


def main() -> None:
    """Run one table and write it to benchmarks/results."""
    names = ("reconstruction", "semi", "unsupervised", "mnist-deep", "mnist-keras", "binarized")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=names)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument(
        "--half", choices=("odd", "even"), help="lines of the sorted list of tables"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", help="comma-separated names of tables")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    single = {"mnist-deep": mnist_deep, "mnist-keras": mnist_keras, "binarized": binarized}
    if options.table in single:
        figures.write(f"quality-{options.table}", single[options.table](options.data))
        return
    tables = dict(sorted(data.adbench(options.data).items(), key=lambda item: item[0].lower()))
    if options.half:
        tables = dict(list(tables.items())[options.half == "even" :: 2])
    if options.only:
        tables = {name: tables[name] for name in options.only.split(",")}
    if options.table == "reconstruction":
        rows = reconstruction(tables)
    else:
        rows = anomalies(tables, options.seeds, semi=options.table == "semi")
    name = "-".join(filter(None, ["quality", options.table, options.half]))
    if options.only:
        print(figures.table(rows))
    else:
        figures.write(name, rows)


if __name__ == "__main__":
    main()
