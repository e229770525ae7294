"""Rows that are pictures: originals, reconstructions, strange rows and units as small images.

Knows: facts and the shape of an image. Must not know: HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np

from xhat.errors import ParameterError
from xhat.report.codes import unit_weights
from xhat.report.facts import Facts
from xhat.report.limits import Cuts, Limits
from xhat.report.packing import pack, rounded

#: Bytes of pixels of one kind, before base64 adds a third.
PIXEL_BYTES = 60_000


def check_shape(shape: Any, d: int) -> tuple[int, int] | None:
    """Return (height, width), or None; refuse a shape that does not hold the columns."""
    if shape is None:
        return None
    pair = tuple(shape) if isinstance(shape, Iterable) else ()
    if len(pair) != 2 or not all(isinstance(v, Integral) and int(v) >= 1 for v in pair):
        raise ParameterError(f"image_shape={shape!r:.200}: expected (height, width) in pixels")
    height, width = (int(v) for v in pair)
    if height * width != d:
        raise ParameterError(
            f"image_shape=({height}, {width}) holds {height * width} pixels, the rows have {d}"
        )
    return height, width


def images(facts: Facts, shape: tuple[int, int], limits: Limits, cuts: Cuts) -> dict[str, Any]:
    """Return the pixels of every picture of the page, in the table's values."""
    d = shape[0] * shape[1]
    most = max(1, PIXEL_BYTES // (4 * d))
    step = max(1, len(facts.rows) // limits.originals)
    pick = np.arange(0, len(facts.rows), step)[: min(limits.originals, most)]
    rows = facts.rows[pick]
    strange = min(most, 12, len(facts.strangest))
    units = min(most, limits.units, facts.k)
    cuts.note("units are drawn as images", units, min(limits.units, facts.k), "units")
    schema = facts.schema
    values = [column.training_range for column in schema.columns]
    return {
        "shape": list(shape),
        "low": rounded(min(v[0] for v in values)),
        "high": rounded(max(v[1] for v in values)),
        "rows": facts.sample[pick].tolist(),
        "observed": pack(rows),
        "expected": pack(facts.reconstruct(rows)),
        "strange_observed": pack(facts.strange_rows[:strange]),
        "strange_expected": pack(facts.strange_expected[:strange]),
        "strange_nats": pack(facts.strange_nats[:strange, :d]),
        "units": pack(unit_weights(facts, units)),
    }
