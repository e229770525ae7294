"""The lesson page: the textbook model on digits, trained and traced in the browser.

Knows: the estimator's public methods, the page's files. Must not know: maths. The page computes
everything itself in double precision; the weights it opens with and the trace it is checked
against come from ``Autoencoder.textbook``.
"""

from __future__ import annotations

import html
from string import Template
from typing import Any

import numpy as np

import xhat
from xhat.data.kinds import Heads, Real
from xhat.report.packing import pack, plain, script_json
from xhat.report.page import Page, asset

SCRIPTS = ("base", "charts", "tables", "images", "lesson-model", "lesson-pca", "lesson", "network")
#: Rows of the page: enough for ten kinds of digits, few enough for a step in milliseconds.
ROWS, UNITS, STEPS, TRACED = 300, 8, 300, 0
HEADS: dict[str, Heads] = {
    "logistic": "binary",
    "logistic-squared": Real(None, "logistic"),
    "tanh": Real(None, "tanh"),
    "linear": Real(None),
}


def digits() -> Any:
    """Return the rows of the lesson: 8 x 8 pixels in [0, 1]."""
    from sklearn.datasets import load_digits  # noqa: PLC0415

    return load_digits().data[:ROWS] / 16


def models() -> dict[str, Any]:
    """Return one fitted textbook model per head."""
    from xhat.estimator import Autoencoder  # noqa: PLC0415

    X = digits()
    return {
        name: Autoencoder.textbook(
            UNITS,
            heads=heads,
            optimizer="lbfgs",
            max_iter=STEPS,
            validation_fraction=0,
            random_state=0,
        ).fit(X)
        for name, heads in HEADS.items()
    }


def make_lesson() -> Page:
    """Fit the models, trace one row with each, and return the page."""
    X = digits()
    fitted = {}
    for name, ae in models().items():
        trace = ae.trace(X[TRACED])
        fitted[name] = {
            "parameters": {
                key: pack(getattr(ae, attribute), "<f8")
                for key, attribute in (("W", "W_"), ("b", "b_"), ("Ws", "W_star_"), ("c", "c_"))
            },
            "trace": {key: pack(trace[key], "<f8") for key in trace.keys()},  # noqa: SIM118
        }
    content = plain(
        {
            "header": {"name": "An autoencoder, step by step", "version": xhat.__version__},
            "images": {"shape": [8, 8], "low": 0, "high": 1},
            "pixels": pack(np.round(X * 16), "<u1"),
            "rows": ROWS,
            "units": UNITS,
            "traced": TRACED,
            "fitted": fitted,
        }
    )
    page = Template(asset("report.html")).substitute(
        title=html.escape("a lesson"),
        style=asset("page.css"),
        content=script_json(content),
        script="\n".join(asset(f"{name}.js") for name in SCRIPTS),
    )
    return Page(content, page.encode("utf-8"))
