"""The sections of a report as plain values: header, verdict, losses, scores, columns, settings.

Knows: facts in, JSON-like values out. Must not know: HTML.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
import sklearn

import xhat
from xhat.data.kinds import Binary, Categorical, Count
from xhat.report.facts import Facts
from xhat.report.limits import Cuts, Limits
from xhat.report.packing import plain, rounded, short
from xhat.scoring import USUAL
from xhat.verdict import rows_of

#: False-alarm rates offered; those the held-out rows cannot support are left out.
RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
BINS = 48
#: The smallest score that the log scale tells from 0.
LEAST = 1e-6
#: What a threshold's rate is a rate of, and what to say where another share lies above.
UNSEEN = (
    "false-alarm rate, held-out rows",
    "The rate is that of rows new to the model; of those it was trained on, usually fewer do.",
)
TRAINED = ("share of the training rows", "")
#: How ``choices_["selection"]`` begins where PCA was kept though a network was trained.
PCA_WON = "PCA ("
Integers = npt.NDArray[np.intp]


def choose_columns(facts: Facts, limits: Limits, cuts: Cuts) -> Integers:
    """Return the columns shown in detail: the ones that cost most, in the table's order."""
    d = len(facts.schema.columns)
    order = np.argsort(-facts.walk.loss, kind="stable")[: limits.columns]
    cuts.note("columns are shown (those with the largest loss)", len(order), d, "columns")
    return np.sort(order)


def columns(facts: Facts, shown: Integers) -> list[dict[str, Any]]:
    """Return name, kind, missing share, loss, share of the total and range of every column."""
    total = float(facts.walk.loss.sum()) or 1.0
    held_out = _held_out_losses(facts)
    found = []
    for j in shown:
        column, store = facts.schema.columns[j], facts.stores[j]
        levels = [short(level, 40) for level in store.levels[:100]]
        found.append(
            {
                "index": int(j),
                "name": short(facts.names[j]),
                "kind": type(column.kind).__name__.lower(),
                "form": store.form,
                "levels": levels,
                "missing": float(facts.walk.missing[j]),
                "loss": float(facts.walk.loss[j]),
                "share": float(facts.walk.loss[j]) / total,
                "nats": float(facts.walk.nats[j]),
                "held_out": dict(zip(("mean", "pca", "xhat"), held_out[j], strict=True)),
                "spread": rounded(_held_out_spread(facts, int(j))),
                "low": rounded(column.training_range[0]),
                "high": rounded(column.training_range[1]),
                "sketch": _sketch(facts, int(j)),
            }
        )
    return found


def _held_out_losses(facts: Facts) -> list[list[float | None]]:
    """Return each column's loss of the mean, PCA and xhat on the verdict's rows, if it is known."""
    stored = facts.ae.verdict_
    if stored is None or stored.by_column is None:
        return [[None] * 3] * len(facts.schema.columns)
    return [[rounded(loss) for loss in losses] for losses in stored.by_column]


def _held_out_spread(facts: Facts, j: int) -> float:
    """Return the residual's spread on held-out rows in the column's own units, else NaN."""
    column = facts.schema.columns[j]
    if isinstance(column.kind, (Binary, Categorical, Count)):
        return float("nan")
    place = facts.schema.starts[j]
    middle, spread = facts.schema.fill[place], facts.model.residual[place]
    low, high = column.decode(np.array([middle - spread, middle + spread]))
    return float(high - low) / 2


def _sketch(facts: Facts, j: int) -> list[list[Any]]:
    """Return (observed, expected) of up to 40 sampled rows."""
    rows = facts.rows[:: max(1, len(facts.rows) // 40)][:40]
    expected = facts.reconstruct(rows)[:, j]
    return [
        [rounded(x, 5), rounded(y, 5)]
        for x, y in zip(rows[:, j], expected, strict=True)
        if np.isfinite(x)
    ]


def verdict(facts: Facts) -> dict[str, Any]:
    """Return the stored verdict, or one on the rows given after partial_fit."""
    stored = facts.ae.verdict_
    if stored is None:
        from xhat.verdict import compare_given  # noqa: PLC0415

        source = facts.ae._source(facts.rows)  # noqa: SLF001
        fit = facts.ae._fit  # noqa: SLF001
        stored = compare_given(fit.model, fit.baseline, source)
    said = dict(plain(stored.to_dict()))
    del said["by_column"]  # stands with the columns
    said["rows"] = rows_of(stored.n_rows, stored.rows)
    return said


def losses(facts: Facts, limits: Limits) -> dict[str, Any]:
    """Return the loss per epoch, thinned to what a picture can show."""
    history = facts.ae.history_
    train = [float(v) for v in history.get("loss", [])]
    held = [float(v) for v in history.get("held_out_loss", [])]
    step = max(1, -(-max(len(train), len(held)) // limits.epochs))
    best = int(getattr(facts.ae, "best_iter_", 0))
    last = max(len(train), len(held) - 1)
    said = facts.ae.choices_.get("selection", "")
    crossed = "folds" in said
    # Training losses are of epochs 1, 2, ...; held-out losses start at epoch 0, the start.
    return {
        "train": [[e, v] for e, v in enumerate(train, 1) if _kept(e, step, best, last)],
        "held_out": [[e, v] for e, v in enumerate(held) if _kept(e, step, best, last)],
        "held_out_rows": "held-out rows" + ", mean of the folds" * crossed,
        "best_epoch": best,
        "mark": f"lowest: epoch {best}" if said.startswith(PCA_WON) else f"kept: epoch {best}",
        "how": _how(facts, said, best, crossed=crossed),
        "epochs": last,
    }


def _how(facts: Facts, said: str, best: int, *, crossed: bool) -> str:
    """Return how the curves are read: who chose the epoch, and why one may end before the other."""
    if facts.ae.verdict_ is None or not facts.ae.history_.get("held_out_loss"):
        return (
            "the training curve should fall and then level off. No rows were held out of the last "
            "training, so that its last epoch is kept."
        )
    if crossed:
        how = (
            "the rows are held out in turn, fold by fold; from where the held-out curve turns up, "
            "a network learns its rows by heart. "
        )
        return how + (
            "The epoch with the lowest held-out loss is kept: the model is trained on the rows of "
            "all folds for as many epochs, and its own curve ends there."
            if best
            else "No epoch was better than PCA, the start, by more than chance: epoch 0 is kept."
        )
    how = (
        "both curves should fall and then level off; where the held-out curve turns up while the "
        "training curve still falls, the model learns the rows by heart. "
    )
    if said.startswith(PCA_WON):
        return f"{how}PCA is kept: {said[len(PCA_WON) : -1]}."
    return how + "The kept epoch is the one with the lowest held-out loss."


def _kept(epoch: int, step: int, best: int, last: int) -> bool:
    return epoch % step == 0 or epoch in {best, last, 0, 1}


def scores(facts: Facts) -> dict[str, Any]:
    """Return what the scores are like and every threshold that can be had, with its histogram."""
    values = facts.walk.scores
    ae = facts.ae
    held_out = len(ae._fit.held_out_scores)  # noqa: SLF001
    auto = ae.contamination == "auto"
    # predict goes by the usual rate; models in files of the first versions have another threshold.
    usual = USUAL if auto and held_out * USUAL >= 1 else None
    if usual and -ae.offset_ != ae.threshold(usual):
        usual = None
    rate = USUAL if auto else float(ae.contamination)
    found = [_threshold(values, -float(ae.offset_), rate, UNSEEN if usual else TRAINED)]
    rates = [rate for rate in RATES if rate != usual and held_out * rate >= 1]
    found += [_threshold(values, ae.threshold(rate), rate, UNSEEN) for rate in rates]
    return {
        "rows": len(values),
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "max": float(values.max()),
        "thresholds": found,
        "held_out_rows": held_out,
    }


def _threshold(
    values: npt.NDArray[Any], limit: float, rate: float, meaning: tuple[str, str]
) -> dict[str, Any]:
    edges, counts, below = histogram(values, limit)
    return {
        "value": float(limit),
        "rate": float(rate),
        "what": meaning[0],
        "note": meaning[1],
        "flagged": int((values > limit).sum()),
        "edges": rounded(edges),
        "counts": counts.tolist(),
        "below": below,
    }


def histogram(
    values: npt.NDArray[Any], limit: float
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp], int]:
    """Return the edges of bars equally wide on a log scale, their rows, how many bars lie below.

    An edge falls on the limit, or on the end of the scores that is nearest to it.

    Examples
    --------
    >>> _, counts, below = histogram(np.array([1.0, 2.0, 2.0, 3.0, 50.0]), 2.0)
    >>> int(counts[:below].sum()), int(counts[below:].sum())
    (3, 2)
    """
    logs = np.log10(np.maximum(values, LEAST))
    low, high = float(logs.min()), max(float(logs.max()), float(logs.min()) + 0.1)
    at, step = float(np.clip(np.log10(max(limit, LEAST)), low, high)), (high - low) / BINS
    below = int((at - low) / step) + 1
    bars = below + max(1, int(np.ceil((high - at) / step)))
    place = np.clip(below + np.floor((logs - at) / step).astype(np.intp), 0, bars - 1)
    # A row at the limit is not above it, whatever its logarithm was rounded to.
    place = np.where(values > limit, np.maximum(place, below), np.minimum(place, below - 1))
    edges = 10 ** (at + step * (np.arange(bars + 1) - below))
    return edges, np.bincount(place, minlength=bars), below


def strangest(facts: Facts, limits: Limits, shown: Integers) -> list[dict[str, Any]]:
    """Return the strangest rows with the columns that made them so, observed beside expected.

    The nats of a column are two numbers: what its cell adds, and its share of the code's part.
    """
    place = {int(j): i for i, j in enumerate(shown)}
    cells, code = facts.strange_nats[:, : len(facts.schema.columns)], facts.strange_code
    found = []
    for i in range(min(limits.strangest, len(facts.strangest))):
        order = np.argsort(-(cells[i] + code[i]), kind="stable")
        top = [int(j) for j in order if int(j) in place]
        found.append(
            {
                "row": int(facts.strangest[i]),
                "score": float(facts.walk.scores[facts.strangest[i]]),
                "parts": [
                    [
                        place[j],
                        rounded(facts.strange_rows[i, j]),
                        rounded(facts.strange_expected[i, j]),
                        rounded(cells[i, j]),
                        rounded(code[i, j]),
                    ]
                    for j in top[: limits.reasons]
                ],
            }
        )
    return found


def originals(facts: Facts, limits: Limits, shown: Integers, units: int) -> dict[str, Any]:
    """Return some sampled rows beside their reconstructions, and the first units of their codes."""
    step = max(1, len(facts.rows) // limits.originals)
    pick = np.arange(0, len(facts.rows), step)[: limits.originals]
    rows = facts.rows[pick]
    return {
        "rows": facts.sample[pick].tolist(),
        "observed": rounded(rows[:, shown]),
        "expected": rounded(facts.reconstruct(rows)[:, shown]),
        "codes": rounded(facts.codes[pick, :units]),
    }


def settings(facts: Facts) -> dict[str, Any]:
    """Return parameters, what "auto" became, and the environment."""
    parameters = facts.ae.get_params(deep=False)
    return {
        "parameters": {name: short(repr(value), 400) for name, value in parameters.items()},
        "choices": {name: short(value, 400) for name, value in facts.ae.choices_.items()},
        "environment": {
            "xhat": xhat.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "system": f"{platform.system()} {platform.machine()}",
            "engine": facts.model.engine.name,
        },
    }
