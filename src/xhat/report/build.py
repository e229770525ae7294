"""A report's contents, assembled once and made smaller until the page fits.

Knows: the sections and their order. Must not know: HTML.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import xhat
from xhat.errors import ParameterError
from xhat.report import codes, images, sections
from xhat.report.facts import Facts, gather
from xhat.report.limits import Cuts, Limits
from xhat.report.packing import plain, short
from xhat.report.page import Report, render

if TYPE_CHECKING:
    from xhat.sweep import Sweep

#: Cells (rows times columns) up to which "auto" fits the sweep as part of the report, where the
#: compiled engine knows the table: up to seven fits, some seconds on two cores.
SWEEP_CELLS = 60_000


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
    limits = limits or Limits()
    facts = gather(ae, X, limits, names)
    shape = images.check_shape(image_shape, len(facts.schema.columns))
    title = title or f"{type(X).__name__} of {facts.n:,} rows"
    curve = _sweep(sweep, facts, X, f"xhat sweep {title}" if command else None)
    header = _header(facts, title, command, shape)
    asked, cut_to_size = limits, False
    while True:
        content = assemble(facts, limits, shape, curve, header)
        if cut_to_size:
            content["cuts"].insert(
                0,
                {
                    "what": f"limits were lowered so that the page has at most "
                    f"{asked.max_size:,} bytes",
                    "how": f"max_size={4 * asked.max_size}",
                },
            )
        page = render(content)
        if len(page) <= limits.max_size or limits == limits.smaller():
            return Report(content, page)
        limits, cut_to_size = limits.smaller(), True


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
    content = {
        "format": 1,
        "header": header,
        "verdict": sections.verdict(facts),
        "losses": sections.losses(facts, limits),
        "sweep": sweep,
        "plane": codes.plane(facts, limits, shown, cuts),
        "scores": sections.scores(facts),
        "strangest": sections.strangest(facts, limits, shown),
        "columns": sections.columns(facts, shown),
        "originals": sections.originals(facts, limits, shown),
        "units": codes.units(facts, limits, shown),
        "walk": codes.decoder(facts, limits, drawn, cuts),
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


def _sweep(sweep: Any, facts: Facts, X: Any, shell: str | None) -> dict[str, Any]:
    """Return the curve over code sizes, or why there is none and how to get it."""
    from xhat.sweep import MAX_ROWS, Sweep, code_sizes, sweep_rows  # noqa: PLC0415

    if isinstance(sweep, Sweep):
        return sweep.to_dict()
    cells = min(facts.n, MAX_ROWS) * len(facts.schema.columns)
    quick = facts.model.engine.name == "compiled" and cells <= SWEEP_CELLS
    if sweep is True or (sweep == "auto" and quick):
        d = len(facts.schema.columns)
        sizes = code_sizes(d if facts.k < d else facts.schema.d, facts.k)
        return sweep_rows(facts.ae, X, sizes).to_dict()
    reason = "as asked" if sweep is False else "several fits would take a while"
    return {
        "left_out": reason,
        "command": "ae.report(X, sweep=True)",
        "shell": shell,
    }


def limits_of(given: dict[str, Any]) -> Limits:
    """Return limits with some replaced; the names are those of ``Limits``."""
    known = [field.name for field in fields(Limits)]
    for limit, value in given.items():
        if limit not in known:
            raise ParameterError(f"report has no limit {limit!r}; choose from {', '.join(known)}")
        if not value >= 1:
            raise ParameterError(f"{limit}={value!r}: expected a whole number >= 1")
    return replace(Limits(), **given)
