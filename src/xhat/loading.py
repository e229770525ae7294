"""The parts of a model from the arrays of its file, each checked against the others.

Knows: what each array may hold. Must not know: bytes, headers as a whole, estimators.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from xhat.codepart import MOST, SETS, CodePart
from xhat.data.column import Column
from xhat.data.columns import Schema
from xhat.engines import choose
from xhat.errors import ModelFileError
from xhat.filler import Filler
from xhat.hidden import Filling, Witness
from xhat.linear import WIDEST, Linear
from xhat.maths.bend import Bend
from xhat.maths.objective import Objective
from xhat.maths.params import Network
from xhat.model import Model
from xhat.plain import rebuild

#: Numbers of every column, in one array.
SCALE = ("center", "spread", "low", "high", "clip_low", "clip_high", "rows", "weight")
#: Of the code's part of the score; all or none: older files have none.
CODE = ("code_stored", "code_constants")
#: How hidden cells are filled; both or none: older files have none.
FILLING = ("filling_share", "filling_spread", "filling_linear_share")
#: How far its own word is to be trusted; all or none: older files have none.
WITNESS = ("filling_said_share", "filling_said_spread", "filling_own")
#: The covariance that helps to fill them; both or none.
LINEAR = ("filling_mean", "filling_covariance")
#: Rounding of a covariance's eigenvalues, as a share of the largest variance.
EXACT = 1e-6


def columns_of(described: Any, scale: Any, fill: Any) -> tuple[Column, ...]:
    """Rebuild the columns; the fills of all stand in one array, one number per encoded column."""
    check_shape("scale", scale, (len(described), len(SCALE)))
    check_shape("fill", fill, (sum(c["width"] for c in described),))
    columns, start = [], 0
    for c, row in zip(described, scale, strict=True):
        numbers = dict(zip(SCALE, (float(v) for v in row), strict=True))
        if not (numbers["spread"] > 0 and numbers["weight"] > 0 and numbers["rows"] >= 0):
            raise ModelFileError(f"column {c['name']!r:.40} has no scale")
        if numbers["clip_low"] > numbers["clip_high"] or numbers["low"] > numbers["high"]:
            raise ModelFileError(f"column {c['name']!r:.40} has no range")
        part = tuple(float(v) for v in fill[start : start + c["width"]])
        bend = Bend(*c["bend"]) if "bend" in c else None
        kind, places = rebuild(c["kind"]), tuple(c["places"])
        rest = {"bend": bend, "rare": tuple(c.get("rare", ())), "whole": "whole" in c}
        column = Column(c["name"], kind, fill=part, places=places, **numbers)  # type: ignore[arg-type]
        columns.append(replace(column, **rest))  # type: ignore[arg-type]
        start += c["width"]
    return tuple(columns)


def network_of(described: dict[str, Any], schema: Schema, theta: Any, name: str) -> Network:
    """Rebuild the network; its sizes are multiplied as whole numbers, which cannot overflow."""
    shape = {**described, "hidden": tuple(described["hidden"])}
    net = Network(schema.d, blocks=schema.blocks, **shape)
    check_shape(name, theta, (sum(math.prod(part) for part in net.shapes.values()),))
    return net


def code_of(tensors: dict[str, Any], model: Model) -> CodePart | None:
    """Rebuild the code's part of the score; None where the file has none."""
    found = [name for name in tensors if name.startswith("code_")]
    if not found:
        return None
    if "code_metric" in found:
        raise ModelFileError("it was written before version 0.1.0 and scores otherwise: fit again")
    if sorted(found) != sorted(CODE):
        raise ModelFileError("it holds only some of the arrays of the code's part of the score")
    stored, constants = (tensors[name] for name in CODE)
    check_shape("code_constants", constants, (3,))
    unit, usual, weight = (float(v) for v in constants)
    if not (unit > 0 and usual >= 0 and weight >= 0):
        raise ModelFileError("array 'code_constants' holds a number that is not what it must be")
    size = len(stored) // SETS
    if len(stored) != SETS * size or size & (size - 1) or not 1 <= size <= MOST:
        raise ModelFileError(f"array 'code_stored' holds {len(stored)} codes")
    check_shape("code_stored", stored, (len(stored), model.net.k))
    return CodePart(stored, model.decoded, unit, usual, weight, model.engine)


def filling_of(tensors: dict[str, Any], schema: Schema) -> Filling | None:
    """Rebuild how cells are filled; None where the file does not say."""
    found = {name for name in tensors if name.startswith("filling_")}
    if not found:
        return None
    told = {*WITNESS} if WITNESS[0] in found else set()
    if found - {*LINEAR} != {*FILLING} | told or len(found & {*LINEAR}) == 1:
        raise ModelFileError("it holds only some of the arrays of how cells are filled")
    for name in found - {LINEAR[1]}:
        check_shape(name, tensors[name], (schema.d,))
    for name in sorted(found):
        values = tensors[name]
        if name.endswith("share") and not ((values >= 0) & (values <= 1)).all():
            raise ModelFileError(f"array {name!r} is no share")
        if name.endswith(("spread", "own")) and not (values > 0).all():
            raise ModelFileError(f"array {name!r} holds a spread that is not > 0")
    share, spread, other = (tensors[name] for name in FILLING)
    witness = Witness(*(tensors[name] for name in WITNESS)) if told else None
    return Filling(share, spread, other, witness, _linear_of(tensors, schema))


def filler_of(described: Any, tensors: dict[str, Any], model: Model) -> Filler | None:
    """Rebuild the network that fills cells; None where the file has none."""
    if (described is None) != ("filler_theta" not in tensors):
        raise ModelFileError("it holds only a part of the network that fills cells")
    if described is None:
        return None
    if model.filling is None or model.filling.witness is None:
        raise ModelFileError("it does not say how far to trust the network that fills cells")
    shape = {"activation": "silu", "code_activation": "identity", **described}
    net = network_of(shape, model.schema, tensors["filler_theta"], "filler_theta")
    engine, _ = choose("auto", Objective(net), None)  # the model's may not know so many layers
    return Filler(model.schema, net, tensors["filler_theta"], engine)


def _linear_of(tensors: dict[str, Any], schema: Schema) -> Linear | None:
    if LINEAR[0] not in tensors:
        return None
    mean, covariance = (tensors[name] for name in LINEAR)
    check_shape(LINEAR[1], covariance, (schema.d, schema.d))
    if schema.d > WIDEST:  # its eigenvalues would take minutes
        raise ModelFileError(f"array {LINEAR[1]!r} has more than {WIDEST} columns")
    if (covariance != covariance.T).any() or np.linalg.eigvalsh(covariance).min() < -EXACT * max(
        float(covariance.diagonal().max()), 1e-300
    ):
        raise ModelFileError(f"array {LINEAR[1]!r} is no covariance")
    return Linear(mean, covariance)


def check_shape(name: str, tensor: Any, shape: tuple[int, ...]) -> None:
    """Refuse an array of another shape."""
    if tensor.shape != shape:
        raise ModelFileError(f"array {name!r} has shape {tensor.shape}, its header says {shape}")
