"""The views of the report as matplotlib pictures: ``plot.loss(ae)``, ``plot.sweep(curve)``, ...

Knows: fitted estimators, matplotlib (extra ``plot``, imported at the first picture). Must not
know: pages. Every function draws on ``ax`` (or a new one) and returns it.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from xhat.errors import MissingExtraError, ParameterError
from xhat.sweep import Sweep

#: Okabe and Ito's blue and vermillion; dashes and markers differ as well.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"


def _axes(ax: Any, size: tuple[float, float] = (6.0, 3.6)) -> Any:
    """Return ``ax``, or a new one."""
    if ax is not None:
        return ax
    return _pyplot().subplots(figsize=size, layout="constrained")[1]


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("xhat.plot needs matplotlib: pip install 'xhat[plot]'") from None
    return plt


def _names(ae: Any, longest: int) -> list[str]:
    """Return the columns' names, cut; a dollar as such, not as the start of a formula."""
    names = [str(name)[:longest] for name in ae._fit.model.schema.names]  # noqa: SLF001
    return [name.replace("$", r"\$") for name in names]


def loss(ae: Any, ax: Any = None) -> Any:
    """Draw training and held-out loss per epoch; a line marks the epoch that is kept."""
    ax = _axes(ax)
    train = ae.history_.get("loss", [])
    held = ae.history_.get("held_out_loss", [])
    ax.plot(np.arange(1, len(train) + 1), train, color=BLUE, label="training rows")
    if held:
        ax.plot(np.arange(len(held)), held, color=ORANGE, linestyle="--", label="held-out rows")
    ax.axvline(ae.best_iter_, color=GREY, linestyle=":", label=f"kept: epoch {ae.best_iter_}")
    ax.set(xlabel="epoch", ylabel="loss per row")
    ax.legend(frameon=False)
    return ax


def sweep(curve: Sweep, ax: Any = None) -> Any:
    """Draw held-out loss against code size, xhat beside PCA; ``curve`` comes from ``sweep``."""
    ax = _axes(ax)
    ax.plot(curve.k, curve.xhat, "o-", color=BLUE, label="xhat")
    ax.plot(curve.k, curve.pca, "s--", color=ORANGE, label="PCA")
    ax.axvline(curve.recommended, color=GREY, linestyle=":", label=f"take {curve.recommended}")
    ax.set(xlabel="units of the code", ylabel="held-out loss per row", xticks=curve.k)
    ax.legend(frameon=False)
    return ax


def codes(
    ae: Any, X: Any, *, units: tuple[int, int] | None = None, color: Any = None, ax: Any = None
) -> Any:
    """Draw the rows in the plane of two units, or of the codes' two principal directions.

    Parameters
    ----------
    ae : Autoencoder
    X : rows
    units : (int, int) or None
        Units to draw; None: principal directions (the only unit, if there is one).
    color : array of shape (n,) or None
        Numbers to colour by; None: the anomaly score, in orders of magnitude.
    ax : Axes or None
    """
    ax = _axes(ax, (5.4, 4.4))
    H = np.asarray(ae.transform(X), dtype=np.float64)
    label = ""
    if color is None:
        color, label = np.log10(np.maximum(ae.anomaly_score(X), 1e-6)), "log10 of the score in nats"
    if units is None and H.shape[1] > 1:
        centred = H - H.mean(axis=0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
        points, names = centred @ directions.T, ["principal direction 1", "principal direction 2"]
    else:
        pair = units or (0, 0)
        points, names = H[:, list(pair)], [f"code{u}" for u in pair]
    drawn = ax.scatter(points[:, 0], points[:, 1], c=np.asarray(color), s=12, cmap="cividis")
    ax.figure.colorbar(drawn, ax=ax, label=label)
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def scores(ae: Any, X: Any, *, false_alarm_rate: float | None = None, ax: Any = None) -> Any:
    """Draw the histogram of anomaly scores with the threshold (of ``predict``, or a rate's)."""
    ax = _axes(ax)
    values = np.maximum(ae.anomaly_score(X), 1e-6)
    limit = -ae.offset_ if false_alarm_rate is None else ae.threshold(false_alarm_rate)
    edges = np.geomspace(values.min(), max(values.max(), values.min() * 1.01), 49)
    ax.hist(values, edges, color=BLUE)
    ax.axvline(limit, color=ORANGE, linestyle="--", label=f"threshold {limit:.4g}")
    ax.set(xscale="log", xlabel="anomaly score in nats", ylabel="rows")
    ax.legend(frameon=False)
    return ax


def reconstruction(
    ae: Any,
    X: Any,
    *,
    row: int = 0,
    image_shape: tuple[int, int] | None = None,
    count: int = 8,
    ax: Any = None,
) -> Any:
    """Draw a row beside its reconstruction, in training spreads; or ``count`` rows as images.

    Parameters
    ----------
    ae : Autoencoder
    X : rows
    row : int
        The (first) row to draw.
    image_shape : (height, width) or None
        Draw images: originals above, reconstructions below.
    count : int
        Images to draw.
    ax : Axes or None
    """
    model = ae._fit.model  # noqa: SLF001
    matrix = ae._read(X)  # noqa: SLF001
    _check_count("row", row, 0, matrix.shape[0] - 1)
    _check_count("count", count, 1)
    rows = np.asarray(matrix[row : row + (count if image_shape else 1)], dtype=np.float64)
    expected = model.decode(model.codes(rows))
    if image_shape is not None:
        return _images(rows, expected, image_shape, ax)
    ax = _axes(ax, (6.0, 0.28 * rows.shape[1] + 1))
    schema = model.schema
    places = np.arange(len(schema.columns))
    observed, rebuilt = (
        [c.encode(v[:1, j])[0] if c.width == 1 else v[0, j] for j, c in enumerate(schema.columns)]
        for v in (rows, expected)
    )
    ax.hlines(places, observed, rebuilt, color=GREY)
    ax.plot(observed, places, "o", color="black", label="observed")
    ax.plot(rebuilt, places, "D", color=BLUE, markersize=4, label="reconstruction")
    ax.set(xlabel="value in training spreads (categories: level)", ylabel="column")
    ax.set_yticks(places, _names(ae, 40))
    ax.invert_yaxis()
    ax.legend(frameon=False)
    return ax


def _mosaic(images: npt.NDArray[Any], across: int) -> npt.NDArray[np.float64]:
    """Return images (n, height, width) side by side, with a pixel of nothing between them."""
    n, height, width = images.shape
    down = -(-n // across)
    sheet = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = (i // across) * (height + 1), (i % across) * (width + 1)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _check_count(name: str, value: object, low: int, high: int | None = None) -> None:
    good = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low
    if not good or (high is not None and int(value) > high):  # type: ignore[call-overload]
        most = f"from {low} to {high}" if high is not None else f">= {low}"
        raise ParameterError(f"{name}={value!r:.200}: expected a whole number {most}")


def _shaped(rows: Any, shape: Any) -> npt.NDArray[Any]:
    pair = tuple(shape) if isinstance(shape, Iterable) else ()
    if len(pair) != 2 or not all(isinstance(v, Integral) and int(v) >= 1 for v in pair):
        raise ParameterError(f"image_shape={shape!r:.200}: expected (height, width) in pixels")
    if pair[0] * pair[1] != rows.shape[1]:
        raise ParameterError(f"image_shape={shape} does not hold {rows.shape[1]} pixels")
    return np.asarray(rows).reshape(len(rows), *pair)


def _images(rows: Any, expected: Any, shape: tuple[int, int], ax: Any) -> Any:
    ax = _axes(ax, (0.9 * len(rows), 2.2))
    sheet = _mosaic(_shaped(np.vstack([rows, expected]), shape), len(rows))
    ax.imshow(sheet, cmap="gray", vmin=np.nanmin(rows), vmax=np.nanmax(rows))
    half = shape[0] / 2
    ax.set_yticks([half, shape[0] + 1 + half], ["original", "reconstruction"])
    ax.set(xticks=[], xlabel="rows")
    return ax


def units(ae: Any, *, image_shape: tuple[int, int] | None = None, ax: Any = None) -> Any:
    """Draw what each unit does to the columns: W* of a one-layer model, else one step's change.

    Parameters
    ----------
    ae : Autoencoder
    image_shape : (height, width) or None
        Draw each unit as an image; None: units by columns as a heat map.
    ax : Axes or None
    """
    weights = _unit_weights(ae)
    most = float(np.abs(weights).max()) or 1.0
    if image_shape is not None:
        across = min(8, len(weights))
        sheet = _mosaic(_shaped(weights, image_shape), across)
        ax = _axes(ax, (across, -(-len(weights) // across) + 0.5))
        drawn = ax.imshow(sheet, cmap="PuOr", vmin=-most, vmax=most)
        ax.set(xticks=[], yticks=[], xlabel=f"units code0 to code{len(weights) - 1}, row by row")
    else:
        ax = _axes(ax, (0.2 * weights.shape[1] + 2, 0.24 * len(weights) + 1.6))
        drawn = ax.imshow(weights, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
        names = _names(ae, 24)
        ax.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=7)
        ax.set_yticks(np.arange(len(weights)), [f"code{u}" for u in range(len(weights))])
        ax.set(xlabel="column", ylabel="unit")
    ax.figure.colorbar(drawn, ax=ax, label="weight")
    return ax


def _unit_weights(ae: Any) -> npt.NDArray[np.float64]:
    """Return (units, columns): W*, or the change of x_hat while a unit goes from -1 to 1."""
    if hasattr(ae, "W_star_"):
        return np.asarray(ae.W_star_, dtype=np.float64).T
    model = ae._fit.model  # noqa: SLF001
    if model.schema.d != len(model.schema.columns):
        raise ParameterError("units of a table with categories: see ae.report(X), section Units")
    step = np.eye(model.net.k)
    up, down = (model.schema.encode(model.decode(H)).X for H in (step, -step))
    return np.asarray(up - down)
