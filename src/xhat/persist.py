"""Model files: an estimator to and from one file of arrays under a JSON header, no pickle.

Knows: what belongs into the file (docs/decisions/0006) and how its parts must agree.
Must not know: training, bytes (container.py). What is loaded is data: dataclasses are rebuilt from
a closed list of names (plain.py), every field is checked (header.py), nothing is executed.
No clock, path or duration is stored: the same fit gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import os
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from xhat.baseline import Baseline, linear_network
from xhat.container import Arrays, Damaged, Format, pack, unpack
from xhat.data.columns import Schema
from xhat.data.containers import Storage
from xhat.data.storage import Store
from xhat.engines import choose
from xhat.errors import ModelFileError, ParameterError
from xhat.files import atomic
from xhat.fitting import Fit
from xhat.header import check_header, read_verdict
from xhat.loading import (
    FILLING,
    LINEAR,
    SCALE,
    WITNESS,
    check_shape,
    code_of,
    columns_of,
    filler_of,
    filling_of,
    network_of,
)
from xhat.maths.objective import Objective
from xhat.maths.params import Network, Views
from xhat.model import Model
from xhat.plain import plain, rebuild
from xhat.requests import build_request, check_path

if TYPE_CHECKING:
    from xhat.estimator import Autoencoder

MODEL = Format("xhat", "model file", 1)
ARRAYS = ("theta", "residual", "scale", "fill", "baseline", "baseline_mean", "held_out_scores")
#: What values that no fit wrote may end in.
_FORGED = (
    *(KeyError, TypeError, ValueError, AttributeError, IndexError),
    *(ArithmeticError, RecursionError),
)


def save(estimator: Autoencoder, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to ``path``, whole or not at all."""
    check_path(path)
    with atomic(path) as file:
        file.write(to_bytes(estimator))


def to_bytes(estimator: Autoencoder) -> bytes:
    """Return the model file of a fitted estimator."""
    import xhat  # noqa: PLC0415

    fit = estimator._fit  # noqa: SLF001
    model, net, schema = fit.model, fit.model.net, fit.model.schema
    build_request(estimator)  # set_params may have given what load() refuses
    header = {
        "xhat_version": xhat.__version__,
        "parameters": _plain_parameters(estimator),
        "columns": [
            {"name": c.name, "kind": plain(c.kind), "places": list(c.places), "width": c.width}
            | ({"bend": list(c.bend)} if c.bend else {})
            | ({"rare": list(c.rare)} if c.rare else {})
            | ({"whole": True} if c.whole else {})
            for c in schema.columns
        ],
        "storage": [
            {"name": s.name, "form": s.form, "levels": list(s.levels), "reason": s.reason}
            | ({"clock": s.clock} if s.clock else {})
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
        }
        | ({} if model.filler is None else {"filler": _shape_of(model.filler.net)}),
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
    scale = np.array([[getattr(c, name) for name in SCALE] for c in schema.columns])
    tensors: dict[str, Any] = {
        "theta": model.theta,
        "residual": model.residual,
        "scale": scale,
        "fill": schema.fill,
        "baseline": fit.baseline.theta,
        "baseline_mean": fit.baseline.mean,
        "held_out_scores": fit.held_out_scores,
    }
    if model.code is not None:
        code = model.code
        tensors["code_stored"] = code.stored
        tensors["code_constants"] = np.array([code.unit, code.usual, code.weight])
    if model.filler is not None:
        tensors["filler_theta"] = model.filler.theta
    if model.filling is not None:
        filling, linear = model.filling, model.filling.linear
        found = (filling.share, filling.spread, filling.linear_share)
        tensors |= zip(FILLING, found, strict=True)
        if (w := filling.witness) is not None:
            tensors |= zip(WITNESS, (w.share, w.spread, w.own), strict=True)
        if linear is not None:
            tensors |= zip(LINEAR, (linear.mean, linear.covariance), strict=True)
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ModelFileError(
                f"array {name!r} holds numbers that are not finite, and could not be loaded again: "
                "are there cells of 1e150 and more in the table?"
            )
    _check_kept(header)
    return pack(MODEL, header, tensors)


def _shape_of(net: Network) -> dict[str, Any]:
    """Return the shape of a network by the rules, as a filler is."""
    return {"k": net.k, "hidden": list(net.hidden), "linear_path": net.linear_path}


def _plain_parameters(estimator: Autoencoder) -> dict[str, Any]:
    """Return the parameters as JSON values."""
    parameters = estimator.get_params(deep=False)
    if not isinstance(parameters.get("random_state"), Integral):
        parameters["random_state"] = None  # a RandomState object has no plain value
    found = {}
    for name, value in parameters.items():
        try:
            found[name] = plain(value)
        except TypeError as error:
            raise ModelFileError(f"the parameter {name!r} cannot be saved: {error}") from None
    return found


def _check_kept(header: dict[str, Any]) -> None:
    """Refuse, before anything is written, a header that ``load`` would refuse."""
    try:
        kept = json.loads(json.dumps({"format": MODEL.version, "sha256": "", **header}))
        check_header(kept)
        _restore_parameters(kept)
    except _FORGED as error:
        raise ModelFileError(f"the model could not be loaded again: {error}") from None


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
    header, arrays = _read(path)
    try:
        with np.errstate(all="ignore"):  # forged numbers may overflow; they do no harm
            return _restore(header, arrays)
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)}: {error}") from None
    except _FORGED as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:120]
        raise ModelFileError(f"{os.fspath(path)}: the model file is damaged ({reason})") from None


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the checked header of a model file, for ``xhat info``."""
    return _read(path)[0]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Arrays]:
    check_path(path)
    try:
        header, arrays = unpack(MODEL, path, ARRAYS, optional=("code_", "filling_", "filler_"))
        check_header(header)
    except (Damaged, ModelFileError) as error:
        raise ModelFileError(f"{os.fspath(path)}: {error}") from None
    return header, arrays


def _restore(header: dict[str, Any], tensors: dict[str, Any]) -> Autoencoder:
    schema = Schema(columns_of(header["columns"], tensors["scale"], tensors["fill"]))
    shape = {**header["network"]}
    filler_shape = shape.pop("filler", None)
    net = network_of(shape, schema, tensors["theta"], "theta")
    check_shape("residual", tensors["residual"], (schema.d,))
    if not (tensors["residual"] > 0).all():
        raise ModelFileError("array 'residual' holds a spread that is not > 0")
    if not 1 <= header["baseline_k"] <= schema.d:
        raise ModelFileError("its baseline has more units than columns")
    base = linear_network(schema.d, header["baseline_k"], schema.blocks)
    check_shape("baseline", tensors["baseline"], (base.size,))
    mean = tensors["baseline_mean"]
    if mean.shape == (base.size,):  # the first files held a whole network of zeros and the mean
        mean = Views(base, mean)["c"].copy()
    check_shape("baseline_mean", mean, (schema.d,))
    if tensors["held_out_scores"].ndim != 1:
        raise ModelFileError("array 'held_out_scores' is no list of numbers")
    estimator = _restore_parameters(header)
    engine, _ = choose("auto", Objective(net), None)
    verdict = None if header["verdict"] is None else read_verdict(header["verdict"])
    if verdict and verdict.by_column and len(verdict.by_column) != len(schema.columns):
        raise ModelFileError("its verdict has losses of other columns")
    model = Model(schema, net, tensors["theta"], tensors["residual"], engine, header["rounds"])
    model.code = code_of(tensors, model)
    model.filling = filling_of(tensors, schema)
    model.filler = filler_of(filler_shape, tensors, model)
    estimator._fit = Fit(  # noqa: SLF001
        model,
        Baseline(base, tensors["baseline"], mean),
        choices=header["choices"],
        verdict=verdict,
        history=header["history"],
        held_out_scores=tensors["held_out_scores"],
        epochs=header["epochs"],
        best_epoch=header["best_epoch"],
        identity_score=header["identity_score"],
    )
    estimator._storage = Storage(  # noqa: SLF001
        tuple(
            Store(s["name"], s["form"], tuple(s["levels"]), s["reason"], s.get("clock", ""))
            for s in header["storage"]
        )
    )
    estimator.n_features_in_ = len(header["storage"])
    if header["named"]:
        estimator.feature_names_in_ = np.array([s["name"] for s in header["storage"]], dtype=object)
    estimator.offset_ = float(header["offset"])
    estimator._settle()  # noqa: SLF001
    return estimator


def _restore_parameters(header: dict[str, Any]) -> Autoencoder:
    """Return an estimator; what a fit would refuse is refused: reports and partial_fit use it."""
    from xhat.estimator import Autoencoder  # noqa: PLC0415  (persist is below the estimator)

    parameters = {name: rebuild(value) for name, value in header["parameters"].items()}
    estimator = Autoencoder(**parameters)
    try:
        build_request(estimator)
    except ParameterError as error:
        raise ModelFileError(f"its parameters are not what they must be: {error}") from None
    return estimator
