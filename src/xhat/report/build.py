"""A report's contents, assembled once and made smaller until the page fits.

Knows: the sections and their order. Must not know: HTML.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

import xhat
from xhat.errors import ParameterError
from xhat.report import codes, images, sections
from xhat.report.curve import check, curve
from xhat.report.facts import Facts, gather
from xhat.report.limits import Cuts, Limits
from xhat.report.packing import plain, short
from xhat.report.page import Report, render
from xhat.requests import build_request

if TYPE_CHECKING:
    from xhat.sweep import Sweep


def make_report(
    ae: Any,
    X: Any,
    *,
    image_shape: tuple[int, int] | None = None,
    sweep: Sweep | bool | str = "auto",
    title: str | None = None,
    names: Sequence[str] | None = None,
    command: str | None = None,
    limits: Limits | None = None,
) -> Report:
    """Return the report of a fitted estimator on rows X; ``Autoencoder.report`` documents it."""
    build_request(ae)  # set_params may have given what a fit refuses
    check(sweep)
    limits = limits or Limits()
    facts = gather(ae, X, limits, names)
    shape = images.check_shape(image_shape, len(facts.schema.columns))
    title = title or f"{type(X).__name__} of {facts.n:,} row{'s' * (facts.n != 1)}"
    over_sizes = curve(sweep, facts, X, f"xhat sweep {title}" if command else None)
    header = _header(facts, title, command, shape)
    return _fitting(lambda limits: assemble(facts, limits, shape, over_sizes, header), limits)


def _fitting(contents: Callable[[Limits], dict[str, Any]], limits: Limits) -> Report:
    """Return the report under the largest limits with which its page is small enough, if any are.

    The page says that limits were lowered, and whether that was enough.
    """
    most, content = limits.max_size, contents(limits)
    page = render(content)
    cut = {"what": f"limits were lowered so that the page has at most {most:,} bytes"}
    cut["how"] = f"max_size={len(page)}"
    while len(page) > most and limits != limits.smaller():
        limits = limits.smaller()
        content = contents(limits)
        content["cuts"].insert(0, cut)
        page = render(content)
    if len(page) > most:
        cut["what"] = (
            f"limits are as low as they go, and the page still has more than {most:,} bytes: "
            f"about {len(page) // 1000 + 1:,} kB"
        )
        content["cuts"] = [cut, *(said for said in content["cuts"] if said is not cut)]
        page = render(content)
    return Report(content, page)


def assemble(
    facts: Facts,
    limits: Limits,
    shape: tuple[int, int] | None,
    sweep: dict[str, Any],
    header: dict[str, Any],
) -> dict[str, Any]:
    """Return the contents of a page under some limits, with what they cut."""
    cuts = Cuts()
    shown = sections.choose_columns(facts, limits, cuts)
    drawn = np.arange(len(facts.schema.columns)) if shape else shown
    plane = codes.plane(facts, limits, shown, cuts)
    walk = codes.decoder(facts, limits, drawn, cuts)
    content = {
        "format": 1,
        "header": header,
        "verdict": sections.verdict(facts),
        "losses": sections.losses(facts, limits),
        "sweep": sweep,
        "plane": plane,
        "scores": sections.scores(facts),
        "strangest": sections.strangest(facts, limits, shown),
        "columns": sections.columns(facts, shown),
        "originals": sections.originals(facts, limits, shown, codes.units_of(walk, facts, limits)),
        "units": codes.units(facts, limits, shown),
        "walk": walk,
        "images": None if shape is None else images.images(facts, shape, limits, cuts),
        "settings": sections.settings(facts),
    }
    content["cuts"] = cuts.said
    return dict(plain(content))


def _header(
    facts: Facts, title: str, command: str | None, shape: tuple[int, int] | None
) -> dict[str, Any]:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")  # for pages that are equal to the byte
    now = dt.datetime.fromtimestamp(int(epoch), dt.UTC) if epoch else dt.datetime.now(dt.UTC)
    image = f"image_shape={shape}" if shape else ""
    kinds = [type(column.kind).__name__.lower() for column in facts.schema.columns]
    return {
        "name": short(title),
        "rows": facts.n,
        "columns": len(facts.schema.columns),
        "kinds": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "left_out": [short(s.name) for s in facts.ae._storage.left_out[:20]],  # noqa: SLF001
        "units": facts.k,
        "hidden": list(facts.model.net.hidden),
        "seed": repr(facts.ae.random_state),
        "version": xhat.__version__,
        "made": now.strftime("%Y-%m-%d %H:%M UTC"),
        "command": command or f'ae.report(X{", " * bool(image)}{image}).write_html("report.html")',
        "loss": "training loss per row, mean over the rows",
    }


def limits_of(given: dict[str, Any]) -> Limits:
    """Return limits with some replaced; the names are those of ``Limits``."""
    known = [field.name for field in fields(Limits)]
    for limit, value in given.items():
        if limit not in known:
            raise ParameterError(f"report has no limit {limit!r}; choose from {', '.join(known)}")
        if value is None and getattr(Limits(), limit) is None:
            continue
        if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 1:
            raise ParameterError(f"{limit}={value!r:.200}: expected a whole number >= 1")
    return replace(Limits(), **given)
