"""Figures of the foundation: linear = PCA, textbook on binarized MNIST, planted errors, precision.

Run ``python -m benchmarks.foundation linear --data DIR`` (or binarized, planted, precision).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import data, figures
from xhat import Autoencoder, Real


def linear(folder: Path) -> list[dict[str, object]]:
    """Fit a linear model with squared error to raw MNIST pixels: it must reach PCA's error."""
    train, test = data.mnist(folder)
    began = time.perf_counter()
    ae = Autoencoder(
        30,
        hidden=(),
        linear_path=False,
        activation="identity",
        max_iter=30,
        batch_size=256,
        heads=Real(scale=None),
        validation_fraction=0,
        random_state=0,
    )
    ae.fit(train)
    seconds = time.perf_counter() - began
    rows = []
    for name, X in (("train", train), ("test", test)):
        verdict = ae.compare_pca(X)
        rows.append(
            {
                "MNIST, k = 30": name,
                "mean": verdict.mean,
                "PCA": verdict.pca,
                "linear xhat": verdict.xhat,
                "relative gap": verdict.xhat / verdict.pca - 1,
                "largest angle, rad": max(verdict.angles or [np.nan]),
                "fit s": seconds,
            }
        )
    return rows


def binarized(folder: Path) -> list[dict[str, object]]:
    """Fit the textbook model with cross-entropy to binarized MNIST, k = 64."""
    parts = data.binarized_mnist(folder)
    began = time.perf_counter()
    ae = Autoencoder.textbook(64, heads="binary", random_state=0, max_iter=40)
    ae.fit(parts["train"], X_val=parts["valid"])
    seconds = time.perf_counter() - began
    verdict = ae.compare_pca(parts["test"])
    return [
        {
            "binarized MNIST test, k = 64": "nats per image",
            "mean": verdict.mean,
            "logistic decoder on PCA codes": verdict.pca,
            "textbook xhat": verdict.xhat,
            "epochs": ae.n_iter_,
            "fit s": seconds,
        }
    ]


def planted(folder: Path, n: int = 500) -> list[dict[str, object]]:
    """Move one cell of a row by 8 standard deviations; does ``explain`` name its column?"""
    frame = pd.read_csv(folder / "california-housing" / "housing.csv")
    frame = frame.drop(columns=["ocean_proximity", "total_bedrooms"])
    X = frame.to_numpy()
    std = X.std(axis=0)
    rows = []
    for seed in range(3):
        ae = Autoencoder(random_state=seed).fit(X)
        rng = np.random.default_rng(seed)
        which, column = rng.integers(0, len(X), n), rng.integers(0, X.shape[1], n)
        moved = X[which].copy()
        moved[np.arange(n), column] += 8 * std[column] * rng.choice([-1, 1], n)
        named = ae.explain(moved)[:, :-1].argmax(axis=1) == column
        z = np.abs((moved - X.mean(axis=0)) / std).argmax(axis=1) == column
        rows.append(
            {
                "California housing, seed": seed,
                "rows": n,
                "named by explain": float(named.mean()),
                "named by |z|": float(z.mean()),
            }
        )
    return rows


def precision(folder: Path) -> list[dict[str, object]]:
    """Train the same network in float32 and in float64: the price of precision."""
    rows = []
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50_000, 8)) @ rng.normal(size=(8, 30)) + 0.1 * rng.normal(
        size=(50_000, 30)
    )

    from xhat import preparing

    rule = preparing._training_dtype
    try:
        for name in ("float32", "float64", "float32", "float64"):
            preparing._training_dtype = lambda request, source, name=name: np.dtype(name)
            began = time.perf_counter()
            ae = Autoencoder(8, hidden=(128,), max_iter=5, random_state=0).fit(X)
            rows.append(
                {
                    "trained in": name,
                    "fit s": time.perf_counter() - began,
                    "verdict loss": ae.verdict_.xhat,
                }
            )
    finally:
        preparing._training_dtype = rule
    return rows


def main() -> None:
    """Run one table and write it to benchmarks/results."""
    tables = {"linear": linear, "binarized": binarized, "planted": planted, "precision": precision}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=tables)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    options = parser.parse_args()
    figures.write(options.table, tables[options.table](options.data))


if __name__ == "__main__":
    main()
