"""The report's numbers as Markdown.

Knows: contents. Must not know: models.
"""

from __future__ import annotations

from typing import Any

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#"})


def markdown(content: dict[str, Any]) -> str:
    """Return header, verdict, sweep, columns and strangest rows as Markdown."""
    header, verdict = content["header"], content["verdict"]
    lines = [
        f"# xhat report: {_safe(header['name'])}",
        "",
        f"{header['rows']:,} rows, {header['columns']} columns, {_made(header)}",
        "",
        f"**{verdict['sentence']}**",
        "",
        *_table(
            ["loss per row", verdict["unit"]],
            [[name, f"{verdict[name]:.6g}"] for name in ("mean", "pca", "xhat")],
        ),
    ]
    sweep = content["sweep"]
    if "k" in sweep:
        rows = zip(sweep["k"], sweep["xhat"], sweep["pca"], strict=True)
        lines += ["## Code size", "", sweep["reason"], ""]
        lines += _table(["units", "xhat", "PCA"], [[k, f"{x:.6g}", f"{p:.6g}"] for k, x, p in rows])
    lines += ["## Columns", ""]
    lines += _table(
        ["column", "kind", "missing", "held out: mean", "PCA", "xhat", "loss here", "share"],
        [
            [
                _safe(c["name"]),
                c["kind"],
                f"{c['missing']:.1%}",
                *("" if loss is None else f"{loss:.4g}" for loss in c["held_out"].values()),
                *(f"{c['loss']:.4g} {c['share']:.1%}").split(),
            ]
            for c in sorted(content["columns"], key=lambda c: -c["loss"])
        ],
    )
    lines += ["## Strangest rows", ""]
    lines += _table(
        ["row", "score (nats)", "because of"],
        [
            [r["row"], f"{r['score']:.4g}", _reasons(r, content["columns"])]
            for r in content["strangest"][:10]
        ],
    )
    return "\n".join(lines)


def _made(header: dict[str, Any]) -> str:
    seed = f"seed {header['seed']}, xhat {header['version']}, {header['made']}"
    return f"{header['units']} units, {seed}"


def _reasons(row: dict[str, Any], columns: list[dict[str, Any]]) -> str:
    return ", ".join(_safe(columns[part[0]]["name"]) for part in row["parts"][:3])


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines] + [""]


def _safe(text: str) -> str:
    return " ".join(text.translate(_SPECIAL).split())
