"""The report's numbers as Markdown.

Knows: contents. Must not know: models. Texts of the contents come from tables and model files that
anyone may have written: ``_safe`` is the one way by which they get onto the page.
"""

from __future__ import annotations

from typing import Any

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#&~$"})
#: What makes links of plain text, and lists and headings of the lines that begin with it.
_LINKS, _LEADS = (("://", r":\//"), ("www.", r"www\.")), ("-", "+", "=")


def markdown(content: dict[str, Any]) -> str:
    """Return header, verdict, sweep, columns and strangest rows as Markdown."""
    header, verdict = content["header"], content["verdict"]
    rows = header["rows"]
    lines = [
        f"# xhat report: {_safe(header['name'])}",
        "",
        f"{rows:,} row{'s' * (rows != 1)}, {header['columns']} columns, {_made(header)}",
        "",
        f"**{_safe(verdict['sentence'])}**",
        "",
        *_table(
            ["loss per row", _safe(verdict["unit"])],
            [[name, _number(verdict[name])] for name in ("mean", "pca", "xhat")],
        ),
    ]
    sweep = content["sweep"]
    if "k" in sweep:
        sizes = zip(sweep["k"], sweep["xhat"], sweep["pca"], strict=True)
        lines += ["## Code size", "", _safe(sweep["reason"]), ""]
        lines += _table(
            ["units", "xhat", "PCA"], [[k, _number(x), _number(p)] for k, x, p in sizes]
        )
    lines += ["## Columns", ""]
    lines += _table(
        ["column", "kind", "missing", "held out: mean", "PCA", "xhat", "loss here", "share"],
        [
            [
                _safe(c["name"]),
                _safe(c["kind"]),
                f"{c['missing']:.1%}",
                *(_number(loss, 4) for loss in c["held_out"].values()),
                _number(c["loss"], 4),
                "" if c["share"] is None else f"{c['share']:.1%}",
            ]
            for c in sorted(content["columns"], key=lambda c: -(c["loss"] or 0))
        ],
    )
    lines += ["## Strangest rows", ""]
    lines += _table(
        ["row", "score (nats)", "because of"],
        [
            [r["row"], _number(r["score"], 4), _reasons(r, content["columns"])]
            for r in content["strangest"][:10]
        ],
    )
    return "\n".join(lines)


def _made(header: dict[str, Any]) -> str:
    seed = f"seed {header['seed']}, xhat {header['version']}, {header['made']}"
    return _safe(f"{header['units']} units, {seed}")


def _reasons(row: dict[str, Any], columns: list[dict[str, Any]]) -> str:
    return ", ".join(_safe(columns[part[0]]["name"]) for part in row["parts"][:3])


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines] + [""]


def _number(value: float | None, digits: int = 6) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def _safe(text: object) -> str:
    r"""Return a text that stands on the page as it is, on one line, whatever it holds.

    Examples
    --------
    >>> print(_safe("a|b\n# <img> www.c.de \x1b"))
    a\|b \# \<img\> www\.c.de \\x1b
    """
    line = " ".join(str(text).split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    line = line.translate(_SPECIAL)
    for link, plain in _LINKS:
        line = line.replace(link, plain)
    return f"\\{line}" if line.startswith(_LEADS) else line
