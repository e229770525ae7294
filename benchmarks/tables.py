"""Figures of real tables: planted errors named by ``explain``, cells filled by ``impute``.

Run ``python -m benchmarks.tables planted --data DIR``, ``imputation`` or ``clip``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks import figures
from xhat import Autoencoder
from xhat.data import scaling


def load(folder: Path, name: str) -> pd.DataFrame:
    """Return one of the public tables as pandas reads it (see the README of the data)."""
    if name == "adult":
        frame = pd.read_csv(
            folder / "adult" / "adult-train.csv", header=None, skipinitialspace=True, na_values="?"
        )
        return frame.rename(columns=str)
    if name == "ames":
        frame = pd.read_csv(
            folder / "ames" / "AmesHousing.txt",
            sep="\t",
            keep_default_na=False,
            na_values=[""],
            dtype={"MS SubClass": str, "PID": str},
        )
        return frame.drop(columns=["Order", "PID"])
    path = {
        "titanic": "titanic/train.csv",
        "penguins": "seaborn-mixed/penguins.csv",
        "diamonds": "seaborn-mixed/diamonds.csv",
        "spam": "imputation/spam.csv",
    }[name]
    return pd.read_csv(folder / path)


def planted(folder: Path, rows: int = 500) -> list[dict[str, object]]:
    """Plant one error in a row; does the largest entry of ``explain`` stand in its column?

    (a) absurd: a real cell moved by 8 standard deviations, or a level never seen; (b) swapped: the
    cell of another row. Baselines: chance, |z| of the raw column (rarity of the level), PCA
    residual on the one-hot table.
    """
    table = []
    for name in ("adult", "ames", "titanic", "penguins", "diamonds"):
        frame = load(folder, name)
        ae = Autoencoder(random_state=0).fit(frame)
        used = list(ae.heads_)
        real = [c for c in used if pd.api.types.is_numeric_dtype(frame[c])]
        rng = np.random.default_rng(0)
        for kind in ("absurd", "swapped"):
            which, column = rng.integers(0, len(frame), rows), rng.choice(used, rows)
            bad = frame.iloc[which].reset_index(drop=True).copy()
            ok = np.ones(rows, bool)
            for i, c in enumerate(column):
                old = bad.at[i, c]
                if kind == "swapped":
                    other = frame[c].dropna().to_numpy()
                    new = other[rng.integers(len(other))]
                    ok[i] = new != old
                elif c in real:
                    values = frame[c].astype(float)
                    ok[i] = np.isfinite(float(old)) and values.std() > 0
                    new = float(old) + 8 * values.std() * rng.choice([-1, 1])
                    if str(ae.heads_[c]).startswith(("Binary", "Count")):
                        ok[i] = False  # such a head refuses impossible values with an error
                else:
                    new = "never seen before"
                if ok[i]:
                    if bad[c].dtype.kind in "iub":
                        bad[c] = bad[c].astype(float)
                    bad.at[i, c] = new
            bad, column = bad[ok].reset_index(drop=True), column[ok]
            top = np.array(list(frame.columns))[
                np.asarray(ae.explain(bad))[:, : frame.shape[1]].argmax(axis=1)
            ]
            z = _rarity(frame, bad, used)
            pca = _pca_residual(frame, bad, used, real, ae.n_components_)
            number = np.isin(column, real)
            groups = {"all": number | True, "numbers": number, "levels": ~number}
            for group, which in groups.items():
                if which.any() and (group == "all" or kind == "swapped"):
                    hits = {
                        title: float((found == column)[which].mean())
                        for title, found in (("xhat", top), ("|z|, rarity", z), ("PCA", pca))
                    }
                    line = {"table": name, "planted": kind, "columns": group}
                    line |= {"rows": int(which.sum()), "chance": 1 / len(used), **hits}
                    table.append(line)
                    print(line, flush=True)
    return table


def clip(folder: Path, rows: int = 1000) -> list[dict[str, object]]:
    """Plant 8 standard deviations in California housing, for several CLIP of data/scaling.py."""
    frame = pd.read_csv(folder / "california-housing" / "housing.csv")
    X = frame.drop(columns=["ocean_proximity", "total_bedrooms"]).to_numpy()
    rng = np.random.default_rng(0)
    which, column = rng.integers(0, len(X), rows), rng.integers(0, X.shape[1], rows)
    moved = X[which].copy()
    moved[np.arange(rows), column] += 8 * X.std(axis=0)[column] * rng.choice([-1, 1], rows)
    table = []
    for deviations in (2.0, 3.0, 4.0, 6.0, 1e9):
        scaling.CLIP = deviations
        ae = Autoencoder(random_state=0).fit(X)
        parts = ae.explain(moved)[:, : X.shape[1]]
        named = float((parts.argmax(axis=1) == column).mean())
        table.append({"CLIP": deviations, "rows": rows, "named by explain": named})
        print(table[-1], flush=True)
    return table


def _rarity(frame: pd.DataFrame, bad: pd.DataFrame, used: list[str]) -> np.ndarray:
    scores = []
    for c in used:
        if pd.api.types.is_numeric_dtype(frame[c]):
            values = frame[c].astype(float)
            scores.append((bad[c].astype(float) - values.mean()).abs() / (values.std() or 1.0))
        else:
            share = frame[c].value_counts(normalize=True)
            scores.append(-np.log(bad[c].map(share).astype(float).fillna(1 / (2 * len(frame)))))
    return np.array(used)[np.nan_to_num(np.column_stack(scores)).argmax(axis=1)]


def _pca_residual(frame, bad, used, real, k) -> np.ndarray:
    levels = [c for c in used if c not in real]
    coder = ColumnTransformer(
        [
            ("real", StandardScaler(), real),
            ("level", OneHotEncoder(handle_unknown="ignore", sparse_output=False), levels),
        ]
    )
    fill = {c: frame[c].mean() if c in real else "" for c in used}
    Z = coder.fit_transform(frame[used].fillna(fill))
    Y = coder.transform(bad[used].fillna(fill))
    mean = Z.mean(axis=0)
    _, _, V = np.linalg.svd((Z - mean)[:20000], full_matrices=False)
    R = ((Y - mean) - (Y - mean) @ V[:k].T @ V[:k]) ** 2
    owner = real + [
        c
        for c, cats in zip(
            levels, coder.named_transformers_["level"].categories_ if levels else [], strict=True
        )
        for _ in cats
    ]
    scores = pd.DataFrame(R.T).groupby(pd.Series(owner)).sum()
    return scores.index.to_numpy()[scores.to_numpy().argmax(axis=0)]


METHODS = ("mean/mode", "xhat", "KNN", "iterative")


def imputation(
    folder: Path, names: list[str], methods: list[str], seeds: int
) -> list[dict[str, object]]:
    """Hide 20 % of the cells at random; RMSE of min-max scaled numbers, accuracy of levels.

    Of adult the first 10,000 rows are used: KNN compares every row with every other.
    """
    table = []
    for name in names:
        frame = load(folder, name)
        if name == "adult":
            frame = frame.iloc[:10_000]
        for method in methods:
            found = [_impute_once(frame, method, seed) for seed in range(seeds)]
            rmse, accuracy, seconds = np.array(found, float).T
            table.append(
                {
                    "table": name,
                    "method": method,
                    "seeds": seeds,
                    "RMSE": float(np.nanmean(rmse)),
                    "accuracy": float(np.nanmean(accuracy)) if np.isfinite(accuracy).any() else "",
                    "s": float(np.mean(seconds)),
                }
            )
            print(table[-1], flush=True)
    return table


def _impute_once(frame: pd.DataFrame, method: str, seed: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(seed)
    hidden = (rng.random(frame.shape) < 0.2) & frame.notna().to_numpy()
    numeric = [c for c in frame if pd.api.types.is_numeric_dtype(frame[c])]
    holes = frame.astype(dict.fromkeys(numeric, float)).mask(hidden)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "xhat":
            filled = Autoencoder(random_state=seed).fit(holes).impute(holes)
        else:
            filled = _peer(holes, numeric, method)
    seconds = time.perf_counter() - began
    errors, hits = [], []
    for j, c in enumerate(frame.columns):
        at = hidden[:, j]
        if c in numeric:
            low, high = frame[c].min(), frame[c].max()
            if high > low:
                error = (filled[c].astype(float) - frame[c].astype(float)).to_numpy()[at] / (
                    high - low
                )
                errors.append(error**2)
        else:
            hits.append((filled[c].astype(str) == frame[c].astype(str)).to_numpy()[at])
    rmse = float(np.sqrt(np.concatenate(errors).mean()))
    return rmse, float(np.concatenate(hits).mean()) if hits else np.nan, seconds


def _peer(holes: pd.DataFrame, numeric: list[str], method: str) -> pd.DataFrame:
    """Fill by scikit-learn on standardised numbers beside one-hot levels (argmax at the end).

    The iterative imputer gets one level fewer of each column, as usual before a regression: with
    all of them it fills the mean, because the others of the same cell tell each one exactly.
    """
    levels = [c for c in holes if c not in numeric]
    filled = holes.copy()
    if method == "mean/mode":
        for c in holes:
            filled[c] = holes[c].fillna(
                holes[c].mean() if c in numeric else holes[c].mode().iloc[0]
            )
        return filled
    first = int(method == "iterative")
    scaler = StandardScaler().fit(holes[numeric])
    parts, owners = [scaler.transform(holes[numeric])], []
    for c in levels:
        dummies = pd.get_dummies(holes[c]).astype(float)
        dummies[holes[c].isna()] = np.nan
        owners.append((c, dummies.columns))
        parts.append(dummies.to_numpy()[:, first:])
    imputer = (
        KNNImputer(n_neighbors=5)
        if method == "KNN"
        else IterativeImputer(max_iter=10, random_state=0)
    )
    Z = imputer.fit_transform(np.hstack(parts))
    filled[numeric] = scaler.inverse_transform(Z[:, : len(numeric)])
    start = len(numeric)
    for c, names in owners:
        shares = Z[:, start : start + len(names) - first]
        if first:
            shares = np.column_stack([1 - shares.sum(axis=1), shares])
        best = np.array(names)[shares.argmax(axis=1)]
        filled[c] = holes[c].where(holes[c].notna(), pd.Series(best, index=holes.index))
        start += len(names) - first
    return filled


def main() -> None:
    """Run one table and write it to benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("planted", "imputation", "clip"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--only", nargs="*", default=["penguins", "spam", "adult", "ames"])
    parser.add_argument("--seeds", type=int, default=5, help="of imputation")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.table != "imputation":
        table = {"planted": planted, "clip": clip}[options.table](options.data)
        figures.write(f"tables-{options.table}", table)
        return
    found = imputation(options.data, options.only, options.methods, options.seeds)
    figures.write(f"tables-imputation-{'-'.join(options.only)}", found)


if __name__ == "__main__":
    main()
