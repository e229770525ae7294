"""Readers of the public data sets used by the benchmarks; every script takes ``--data DIR``."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import scipy.io


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (train, test) images as float32 rows in [0, 1], from the four idx files."""

    def images(stem: str) -> np.ndarray:
        path = next((folder / "mnist").glob(f"{stem}*images*gz"))
        with gzip.open(path) as file:
            raw = file.read()
        _, n, height, width = np.frombuffer(raw, ">i4", 4)
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(n, height * width)
        return (pixels / 255.0).astype(np.float32)

    return images("train"), images("t10k")


def binarized_mnist(folder: Path) -> dict[str, np.ndarray]:
    """Return the fixed split of binarized MNIST as float32 0/1 rows."""
    return {
        part: scipy.io.loadmat(folder / "binarized-mnist" / f"binarized_mnist_{part}.mat")[
            "X"
        ].astype(np.float32)
        for part in ("train", "valid", "test")
    }


def adbench(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return name -> (X float64, y) of the 22 development tables, sorted by name."""
    tables = {}
    for path in sorted((folder / "adbench").glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            tables[path.stem.split("_", 1)[1]] = (archive["X"].astype(np.float64), archive["y"])
    return tables
