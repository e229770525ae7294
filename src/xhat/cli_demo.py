"""``xhat demo``: the whole job on a real table that ships with scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from xhat.cli_tools import Words

STRANGEST, REASONS, CODE_COLUMNS = 3, 3, 2
#: Written to the current folder.
REPORT = "xhat-demo.html"


def run_demo(output: str | None, words: Words, *, as_json: bool) -> None:
    """Fit the breast-cancer table, print the verdict and the strangest rows with their columns."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    from xhat import Autoencoder  # noqa: PLC0415

    table = load_breast_cancer()
    X, names = table.data, [str(name) for name in table.feature_names]
    if output is not None:
        _write(output, X, names)
    words.say(f"Fitting {X.shape[0]} tumours x {X.shape[1]} measurements (from scikit-learn) ...")
    ae = Autoencoder(random_state=0).fit(X)
    rows = strangest(ae, X, names)
    if as_json:
        print(json.dumps({"verdict": ae.compare_pca().to_dict(), "strangest": rows}))  # noqa: T201
        return
    print(_page(ae, X, rows, output))  # noqa: T201
    page = ae.report(X, names=names, title="569 tumours", command="xhat demo")
    page.write_html(REPORT)
    print(f"\nThe report, to open in a browser: {REPORT} ({page.size_text})")  # noqa: T201


def strangest(ae: Any, X: Any, names: list[str]) -> list[dict[str, Any]]:
    """Return the rows with the highest scores, each with the columns that caused it."""
    scores = ae.anomaly_score(X)
    top = np.argsort(-scores)[:STRANGEST]
    parts = ae.explain(X[top])
    code = ae.explain(X[top], spread_code=True) - parts[:, : len(names)]
    detail = ae.explain(X[top], detail=True).reshape(parts.shape)
    return [
        {
            "row": int(row),
            "score": float(scores[row]),
            "code": float(parts[i, len(names) :].sum()),
            "code_in": [names[j] for j in np.argsort(-code[i])[:CODE_COLUMNS] if code[i, j] > 0],
            "columns": [
                {
                    "name": names[j],
                    "observed": float(X[row, j]),
                    "expected": float(detail["expected"][i, j]),
                    "nats": float(parts[i, j]),
                }
                for j in np.argsort(-parts[i, : len(names)])[:REASONS]
            ],
        }
        for i, row in enumerate(top)
    ]


def _page(ae: Any, X: Any, rows: list[dict[str, Any]], output: str | None) -> str:
    typical = float(np.median(ae.anomaly_score(X)))
    title = f"The {len(rows)} strangest rows (nats; a typical row has {typical:.0f})"
    lines = [str(ae.compare_pca()), "", title]
    for row in rows:
        code_in = f" ({', '.join(row['code_in'])})" if row["code_in"] else ""
        lines.append(
            f"  row {row['row']}, score {row['score']:.0f},"
            f" of it {row['code']:.0f} its code's{code_in}"
        )
        lines += [
            f"    {c['name']:<24}{c['observed']:>9.4g}  expected {c['expected']:>8.4g}"
            f"  {c['nats']:>6.1f}"
            for c in row["columns"]
        ]
    data = output or "YOUR.csv"
    return "\n".join(
        [
            *lines,
            "",
            "Next:",
            f"  xhat fit {data} -o model.xhat",
            f"  xhat score model.xhat {data}",
            f"  xhat explain model.xhat {data}",
            f"  xhat report model.xhat {data}",
        ]
    )


def _write(output: str, X: Any, names: list[str]) -> None:
    from xhat.data.writers import output_format, write_table  # noqa: PLC0415

    columns = {name: X[:, j] for j, name in enumerate(names)}
    write_table(columns, output, output_format(output), numbers=names)
