"""What ``xhat info`` prints. Knows: the header of a model file. Must not know: click."""

from __future__ import annotations

import json
from typing import Any

from xhat.cli_tools import counted
from xhat.errors import printable


def describe(path: str, *, as_json: bool) -> str:
    """Return the description of a model file."""
    from xhat.persist import load, read_header  # noqa: PLC0415

    header = read_header(path)
    ae = load(path)
    if as_json:
        return json.dumps({name: value for name, value in header.items() if name != "history"})
    columns = [f"  {name}  {kind}" for name, kind in ae.heads_.items()]
    width = max((len(name) for name in ae.choices_), default=0)
    choices = [f"  {name:<{width}}  {text}" for name, text in ae.choices_.items()]
    size = f"{counted(len(columns), 'column')} -> {counted(ae.n_components_, 'unit')}"
    lines = [
        f"{path}: xhat {header['xhat_version']}, format {header['format']}",
        f"{size}{_layers(ae.hidden_)}",
        f"epoch {header['best_epoch']} of {header['epochs']} kept",
        "columns",
        *columns,
        "choices",
        *choices,
        "verdict",
        *(f"  {line}" for line in str(ae.verdict_ or "none").split("\n")),
    ]
    return "\n".join(map(printable, lines))


def _layers(hidden: tuple[int, ...]) -> str:
    return f", hidden layers {', '.join(map(str, hidden))}" if hidden else ""


def engine_names() -> list[str]:
    """Return the names of the engines of this installation."""
    from xhat.engines import available  # noqa: PLC0415

    names: Any = available()
    return list(names)
