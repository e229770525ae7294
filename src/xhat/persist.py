"""Model files: one safetensors file with a JSON header, a SHA-256 over all of it, no pickle.

Knows: the format (docs/decisions/0006) and how to refuse everything else in one line.
Must not know: training. What is loaded is data: dataclasses are rebuilt from a closed list of
names, nothing is imported or executed because a file says so.

The header is the value of the one metadata key "xhat". The digest covers the whole file with the
digest's own 64 characters set to 0, so a flipped bit anywhere is seen. No clock, path or duration
is stored: the same fit gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from xhat.baseline import Baseline, linear_network
from xhat.data.columns import Column, Schema
from xhat.data.containers import Storage
from xhat.data.kinds import Auto, Binary, Categorical, Count, Real
from xhat.data.storage import Store
from xhat.engines import choose
from xhat.errors import ModelFileError
from xhat.files import atomic
from xhat.fitting import Fit
from xhat.maths.activations import ACTIVATIONS
from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
from xhat.maths.objective import Objective
from xhat.maths.params import Network
from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code
from xhat.model import Model
from xhat.train.monitor import EarlyStopping
from xhat.train.optimizers import LBFGS, SGD, Adam
from xhat.train.schedules import Constant, Cosine, OneCycle
from xhat.verdict import Comparison

if TYPE_CHECKING:
    from xhat.estimator import Autoencoder

FORMAT = 1
_SCALE = ("center", "spread", "low", "high", "clip_low", "clip_high", "rows", "weight")
_BLANK = "0" * 64
_CLASSES = {
    cls.__name__: cls
    for cls in (
        Real,
        Binary,
        Auto,
        Categorical,
        Count,
        Masking,
        Gaussian,
        SaltAndPepper,
        L2,
        L1Code,
        KLSparsity,
        Contractive,
        Adam,
        SGD,
        LBFGS,
        Constant,
        Cosine,
        OneCycle,
        EarlyStopping,
    )
}
#: Refused before anything is read: no model of this library comes near.
MAX_HEADER = 64 * 2**20


def save(estimator: Autoencoder, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to ``path``, whole or not at all."""
    with atomic(path) as file:
        file.write(to_bytes(estimator))


def to_bytes(estimator: Autoencoder) -> bytes:
    """Return the model file of a fitted estimator."""
    import xhat  # noqa: PLC0415

    fit = estimator._fit  # noqa: SLF001
    model, net, schema = fit.model, fit.model.net, fit.model.schema
    parameters = estimator.get_params(deep=False)
    if parameters["random_state"] is not None:  # a RandomState object has no plain value
        seed = parameters["random_state"]
        parameters["random_state"] = int(seed) if isinstance(seed, (int, np.integer)) else None
    header = {
        "format": FORMAT,
        "xhat_version": xhat.__version__,
        "sha256": _BLANK,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "columns": [
            {"name": c.name, "kind": _plain(c.kind), "places": list(c.places), "width": c.width}
            for c in schema.columns
        ],
        "storage": [
            {"name": s.name, "form": s.form, "levels": list(s.levels), "reason": s.reason}
            for s in estimator._storage.stores  # noqa: SLF001
        ],
        "named": hasattr(estimator, "feature_names_in_"),
        "network": {
            "k": net.k,
            "hidden": list(net.hidden),
            "activation": net.activation,
            "code_activation": net.code_activation,
            "tied": net.tied,
            "linear_path": net.linear_path,
        },
        "baseline_k": fit.baseline.net.k,
        "verdict": None if fit.verdict is None else dataclasses.asdict(fit.verdict),
        "history": fit.history,
        "choices": fit.choices,
        "epochs": fit.epochs,
        "best_epoch": fit.best_epoch,
        "identity_score": fit.identity_score,
        "offset": estimator.offset_,
        "rounds": model.rounds,
    }
    scale = np.array([[getattr(c, name) for name in _SCALE] for c in schema.columns])
    tensors = {
        "theta": model.theta,
        "residual": model.residual,
        "scale": scale,
        "fill": schema.fill,
        "baseline": fit.baseline.theta,
        "baseline_mean": fit.baseline.theta_mean,
        "held_out_scores": fit.held_out_scores,
    }
    text = json.dumps(header, allow_nan=True, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    blank = bytes(safetensors.numpy.save(contiguous, metadata={"xhat": text}))
    digest = hashlib.sha256(blank).hexdigest()
    return _with_digest(blank, _BLANK, digest)


def _with_digest(data: bytes, old: str, new: str) -> bytes:
    """Replace the digest in the header; it stands there once, behind its escaped key."""
    key = rb"\"sha256\": \""
    length = int.from_bytes(data[:8], "little")
    head = data[8 : 8 + length]
    position = head.find(key + old.encode())
    if position < 0 or head.count(key) != 1:
        raise ModelFileError("the model file has no digest where one must stand: it is damaged")
    at = 8 + position + len(key)
    return data[:at] + new.encode() + data[at + 64 :]


def _plain(value: Any) -> Any:
    """Return a JSON value; dataclasses of the closed list become {"class": name, fields...}."""
    if type(value).__name__ in _CLASSES and dataclasses.is_dataclass(value):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {"map": [[str(name), _plain(item)] for name, item in value.items()]}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _rebuild(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_rebuild(item) for item in value)
    if isinstance(value, dict) and "map" in value:
        return {name: _rebuild(item) for name, item in value["map"]}
    if isinstance(value, dict):
        fields = {name: _rebuild(item) for name, item in value.items() if name != "class"}
        return _CLASSES[value["class"]](**fields)
    return value


def load(path: str | os.PathLike[str]) -> Autoencoder:
    """Return the fitted estimator of a model file.

    Parameters
    ----------
    path : path-like
        A file written by ``Autoencoder.save``.

    Raises
    ------
    ModelFileError
        In one line, if the file is anything but an intact model of a known format.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from xhat import Autoencoder, load
    >>> X = np.random.default_rng(0).normal(size=(60, 4))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.xhat"
    >>> ae = Autoencoder(2, random_state=0).fit(X)
    >>> ae.save(path)
    >>> bool((load(path).transform(X) == ae.transform(X)).all())
    True
    """
    data = Path(path).read_bytes()
    try:
        header, tensors = _read(data)
        return _restore(header, tensors)
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:120]
        raise ModelFileError(f"{os.fspath(path)}: the model file is damaged ({reason})") from None


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the checked header of a model file, for ``xhat info``."""
    try:
        return _read(Path(path).read_bytes())[0]
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)}: {error}") from None


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check size, header, version and digest, in this order; then read the arrays."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8) or data[8:9] != b"{":
        raise ModelFileError("not an xhat model file (wrong layout at the start)")
    try:
        outer = json.loads(data[8 : 8 + length], object_pairs_hook=_no_duplicates)
        text = outer["__metadata__"]["xhat"]
        header = json.loads(text, object_pairs_hook=_no_duplicates)
        version, digest = header["format"], header["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ModelFileError("not an xhat model file (no xhat header in it)") from None
    if not isinstance(version, int) or version > FORMAT:
        raise ModelFileError(
            f"written in format {version!r} by xhat {header.get('xhat_version')!r}; "
            f"this xhat reads formats up to {FORMAT}: update xhat"
        )
    blank = _with_digest(data, str(digest), _BLANK)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise ModelFileError("its SHA-256 does not match: the model file was changed or damaged")
    try:
        tensors = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"the arrays cannot be read ({str(error)[:80]})") from None
    return header, tensors


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _restore(header: dict[str, Any], tensors: dict[str, Any]) -> Autoencoder:
    from xhat.estimator import Autoencoder  # noqa: PLC0415  (persist is below the estimator)

    for name, tensor in tensors.items():
        if tensor.dtype not in (np.float32, np.float64) or not np.isfinite(tensor).all():
            raise ModelFileError(f"array {name!r} holds values that are not finite numbers")
    scale, d = tensors["scale"], len(header["columns"])
    _check_shape("scale", scale, (d, len(_SCALE)))
    columns = _restore_columns(header["columns"], scale, tensors["fill"])
    schema, shape = Schema(columns), header["network"]
    for name in (shape["activation"], shape["code_activation"]):
        if name not in ACTIVATIONS:
            raise ModelFileError(f"unknown activation {name!r}")
    net = Network(
        schema.d,
        int(shape["k"]),
        schema.blocks,
        tuple(int(m) for m in shape["hidden"]),
        shape["activation"],
        shape["code_activation"],
        bool(shape["tied"]),
        bool(shape["linear_path"]),
    )
    _check_shape("theta", tensors["theta"], (net.size,))
    _check_shape("residual", tensors["residual"], (schema.d,))
    base = linear_network(schema.d, int(header["baseline_k"]), schema.blocks)
    for name in ("baseline", "baseline_mean"):
        _check_shape(name, tensors[name], (base.size,))
    estimator = Autoencoder(**{name: _rebuild(v) for name, v in header["parameters"].items()})
    engine, _ = choose("auto", Objective(net), None)
    verdict = None if header["verdict"] is None else Comparison(**header["verdict"])
    estimator._fit = Fit(  # noqa: SLF001
        Model(schema, net, tensors["theta"], tensors["residual"], engine, int(header["rounds"])),
        Baseline(base, tensors["baseline"], tensors["baseline_mean"]),
        choices=header["choices"],
        verdict=verdict,
        history=header["history"],
        held_out_scores=tensors["held_out_scores"],
        epochs=int(header["epochs"]),
        best_epoch=int(header["best_epoch"]),
        identity_score=header["identity_score"],
    )
    estimator._storage = Storage(  # noqa: SLF001
        tuple(
            Store(str(s["name"]), s["form"], tuple(s["levels"]), str(s["reason"]))
            for s in header["storage"]
        )
    )
    if estimator._storage.names != schema.names:  # noqa: SLF001
        raise ModelFileError("its table and its schema name different columns")
    estimator.n_features_in_ = len(header["storage"])
    if header["named"]:
        estimator.feature_names_in_ = np.array([s["name"] for s in header["storage"]], dtype=object)
    estimator.offset_ = float(header["offset"])
    estimator._settle()  # noqa: SLF001
    return estimator


def _restore_columns(described: Any, scale: Any, fill: Any) -> tuple[Column, ...]:
    """Rebuild the columns; the fills of all stand in one array, one number per encoded column."""
    _check_shape("fill", fill, (sum(int(c["width"]) for c in described),))
    columns, start = [], 0
    for c, row in zip(described, scale, strict=True):
        numbers = dict(zip(_SCALE, (float(v) for v in row), strict=True))
        part = tuple(float(v) for v in fill[start : start + int(c["width"])])
        places = tuple(int(p) for p in c["places"])
        if places and not 0 <= min(places) <= max(places) < len(part):
            raise ModelFileError(f"column {c['name']!r} has levels without a place")
        columns.append(
            Column(str(c["name"]), _rebuild(c["kind"]), fill=part, places=places, **numbers)
        )
        start += int(c["width"])
    return tuple(columns)


def _check_shape(name: str, tensor: Any, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise ModelFileError(f"array {name!r} has shape {tensor.shape}, its header says {shape}")
