"""The code in pictures: the plane of sampled rows, the units, and the decoder for the sliders.

Knows: facts in, JSON-like values out; which weights the page needs to run the decoder itself.
Must not know: HTML.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.data.column import Column
from xhat.data.kinds import Categorical
from xhat.maths.heads import Poisson, predict
from xhat.report.facts import Facts
from xhat.report.limits import Cuts, Limits
from xhat.report.packing import pack, rounded, short

Integers = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
#: Bytes of the sampled rows, before base64 adds a third.
POINT_BYTES = 300_000
#: Up to this many weights are exported in single precision, more in half precision.
SINGLE = 50_000
#: Curves instead of weights: units, and positions along each.
CURVE_UNITS, CURVE_STEPS = 16, 21
BINS = 24


def plane(facts: Facts, limits: Limits, shown: Integers, cuts: Cuts) -> dict[str, Any]:
    """Return the sampled rows: codes, two principal directions of them, scores and columns."""
    k = min(facts.k, limits.units)
    cuts.note("units are shown", k, facts.k, "units")
    count = min(limits.points or POINT_BYTES // (4 * (k + len(shown) + 4)), len(facts.rows))
    rng = np.random.default_rng(0)
    pick = np.sort(rng.choice(len(facts.rows), count, replace=False))
    cuts.note("rows are drawn in the code plane (a random sample)", count, facts.n, "points")
    H = facts.codes[pick].astype(np.float64)
    centred = H - H.mean(axis=0)
    _, s, Vt = np.linalg.svd(centred, full_matrices=False)
    part = s / max(float(s[0]), 1e-300)  # the squares of codes may overflow
    share = part**2 / max(float((part**2).sum()), 1e-300)
    directions = np.zeros((len(H), 2))
    directions[:, : min(2, len(Vt))] = centred @ Vt[:2].T
    return {
        "rows": facts.sample[pick].tolist(),
        "k": k,
        "codes": pack(H[:, :k]),
        "directions": pack(directions),
        "direction_share": rounded(np.append(share, [0, 0])[:2]),
        "score": pack(facts.walk.scores[facts.sample[pick]]),
        "values": pack(facts.rows[pick][:, shown]),
    }


def _bars(values: Floats) -> tuple[Integers, Floats]:
    """Return counts and edges of bars; of values that differ by rounding alone one stands out."""
    low, high = float(values.min()), float(values.max())
    least = 1e-12 * max(abs(low), abs(high), 1e-12)
    ends = (low, high) if high - low > least else (low - 0.5, low + 0.5)
    if ends[0] == ends[1]:  # too large for 0.5 to count
        ends = (low - abs(low), low + abs(low))
    counts, edges = np.histogram(values, BINS, ends)
    return counts, edges


def units(facts: Facts, limits: Limits, shown: Integers) -> dict[str, Any]:
    """Return per unit: its weight on each column, its histogram, the rows that excite it most."""
    count = min(facts.k, limits.units)
    H = facts.codes[:, :count].astype(np.float64)
    weights = unit_weights(facts, count)
    found = []
    for u in range(count):
        counts, edges = _bars(H[:, u])
        top = np.argsort(-H[:, u], kind="stable")[:5]
        found.append(
            {
                "weights": rounded(weights[u, shown], 6),
                "counts": counts.tolist(),
                "edges": rounded([edges[0], edges[-1]]),
                "mean": rounded(H[:, u].mean()),
                "std": rounded(_spread(H[:, u])),
                "top": [[int(facts.sample[i]), rounded(H[i, u])] for i in top],
            }
        )
    textbook = hasattr(facts.ae, "W_star_")
    return {
        "units": found,
        "rows": len(H),
        "textbook": textbook,
        "meaning": (
            "weights W* of the decoder, in the table's units"
            if textbook
            else "change of the reconstruction while the unit goes from its 5% to its 95% "
            "quantile and the others stay at their medians (standard deviations, or probability)"
        ),
    }


def _spread(values: Floats) -> float:
    """Return the standard deviation, also of numbers whose squares overflow."""
    far = max(1.0, float(np.abs(values).max()))
    return far * float((values / far).std())


def unit_weights(facts: Facts, count: int) -> Floats:
    """Return one signed number for each of the first units and every table column."""
    if hasattr(facts.ae, "W_star_"):
        return np.asarray(facts.ae.W_star_[:, :count], dtype=np.float64).T
    net, model = facts.model.net, facts.model
    theta = model.parameters(np.float64)
    ends = []
    for bound in np.quantile(facts.codes[:, :count].astype(np.float64), [0.05, 0.95], axis=0):
        H = np.tile(facts.middle, (count, 1))
        np.fill_diagonal(H, bound)
        ends.append(predict(net.blocks, model.engine.decode(net, theta, H)))
    change = ends[1] - ends[0]
    sums = facts.schema.by_column(np.abs(change) / 2)
    for j, (start, column) in enumerate(
        zip(facts.schema.starts, facts.schema.columns, strict=True)
    ):
        if not isinstance(column.kind, Categorical):
            sums[:, j] = change[:, start]
    return np.asarray(sums, dtype=np.float64)


def decoder(facts: Facts, limits: Limits, shown: Integers, cuts: Cuts) -> dict[str, Any]:
    """Return what the sliders need: the decoder's weights, or curves where it is too large."""
    net = facts.model.net
    encoded = np.flatnonzero(np.isin(facts.schema.group, shown))
    inner = sum(net.sizes[i] * net.sizes[i + 1] for i in range(1, net.depth))
    size = inner + len(encoded) * (net.sizes[1 if net.depth > 1 else -1] + net.k * net.linear_path)
    whole = size + net.k * (limits.originals + 3)  # and codes, and where each slider ends
    bent = any(facts.schema.columns[j].bend for j in shown)  # the page knows straight scales alone
    if not bent and whole > limits.weights:
        cuts.say(
            f"the sliders use curves computed beforehand: the decoder has {size:,} weights",
            f"weights={whole}",
        )
    if bent or whole > limits.weights:
        ends = _ends(facts, shown, min(net.k, CURVE_UNITS))
        return {**ends, "mode": "curves", **_curves(facts, shown, cuts)}
    ends = _ends(facts, shown, net.k)
    return {**ends, "mode": "weights", "size": size, **_layers(facts, encoded, size)}


def units_of(walk: dict[str, Any], facts: Facts, limits: Limits) -> int:
    """Return how many units of a code the page needs: a decoder on the page needs all."""
    return facts.k if walk["mode"] == "weights" else min(facts.k, limits.units)


def _ends(facts: Facts, shown: Integers, count: int) -> dict[str, Any]:
    """Return where the first sliders begin, end and stand, and what columns they move."""
    low, high = _range(facts, count)
    return {
        "low": rounded(low),
        "high": rounded(high),
        "middle": rounded(facts.middle[:count]),
        "columns": [_column(facts, int(j)) for j in shown],
    }


def _range(facts: Facts, count: int) -> tuple[Floats, Floats]:
    """Return the lowest and the highest percent of the first units, apart from each other."""
    low, high = np.quantile(facts.codes[:, :count].astype(np.float64), [0.01, 0.99], axis=0)
    flat = high <= low
    low[flat] -= 0.5
    high[flat] += 0.5
    return low, high


def _column(facts: Facts, j: int) -> dict[str, Any]:
    column: Column = facts.schema.columns[j]
    head = column.head()
    found: dict[str, Any] = {
        "f": head.f,
        "width": column.width,
        "center": column.center,
        "spread": column.spread,
    }
    if isinstance(head, Poisson):
        found["limit"] = head.limit
    if isinstance(column.kind, Categorical):
        levels = facts.stores[j].levels
        found["places"] = [
            _place_name(column, levels, place, column.width) for place in range(column.width)
        ]
    return found


def _place_name(column: Column, levels: tuple[Any, ...], place: int, width: int) -> str:
    own = [level for level, p in zip(levels, column.places, strict=False) if p == place]
    return short(own[0], 40) if len(own) == 1 else f"rare ({len(own)} levels)"


def _layers(facts: Facts, encoded: Integers, size: int) -> dict[str, Any]:
    net, views = facts.model.net, facts.model.views()
    largest = float(np.abs(facts.model.theta).max())
    single = size <= SINGLE or largest > 6e4  # float16 ends at 65,504
    dtype = "<f4" if single else "<f2"
    layers = []
    for layer in range(net.depth):
        W, c = views.decoder(layer)
        if layer == net.depth - 1:
            W, c = W[encoded], c[encoded]
        layers.append({"W": pack(W, dtype), "c": pack(c)})
    found = {"layers": layers, "activation": net.activation, "single": single}
    if net.linear_path:
        found["Q"] = pack(views.Q[encoded], dtype)
    return found


def _curves(facts: Facts, shown: Integers, cuts: Cuts) -> dict[str, Any]:
    """Return the reconstruction along each unit, the others at their medians."""
    count = min(facts.k, CURVE_UNITS)
    cuts.note("units have a curve", count, facts.k, "weights")
    low, high = _range(facts, count)
    curves = []
    for u in range(count):
        H = np.tile(facts.middle, (CURVE_STEPS, 1))
        H[:, u] = np.linspace(low[u], high[u], CURVE_STEPS)
        curves.append(facts.model.decode(H)[:, shown])
    return {"curves": pack(np.array(curves)), "steps": CURVE_STEPS}
