"""The report object: contents as values, JSON, Markdown and one self-contained page.

Knows: contents made elsewhere, the files of the page. Must not know: models.
"""

from __future__ import annotations

import html
import json
import os
import tempfile
import webbrowser
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from xhat.files import atomic
from xhat.report.markdown import markdown
from xhat.report.packing import script_json

Content = dict[str, Any]

SCRIPTS = ("base", "charts", "tables", "images", "overview", "plane", "rows", "units", "walk")


@cache
def asset(name: str) -> str:
    """Return a file of the page."""
    return files("xhat.report").joinpath("assets", name).read_text(encoding="utf-8")


def render(content: Content) -> bytes:
    """Return the page: markup, style, contents and script in one file, nothing to load."""
    script = "\n".join(asset(f"{name}.js") for name in SCRIPTS)
    page = Template(asset("report.html")).substitute(
        title=html.escape(content["header"]["name"]),
        style=asset("page.css"),
        content=script_json(content),
        script=script,
    )
    return page.encode("utf-8")


class Page:
    """A self-contained page and the values it shows.

    Parameters
    ----------
    content : dict
        Everything the page shows, as plain values.
    page : bytes
        The page.
    """

    def __init__(self, content: Content, page: bytes) -> None:
        self._content = content
        self._page = page

    def html(self) -> str:
        """Return the page."""
        return self._page.decode("utf-8")

    def write_html(self, path: str | os.PathLike[str]) -> str:
        """Write the page; return what there is to know of it: its size, and what was cut."""
        with atomic(path) as file:
            file.write(self._page)
        return "\n".join([f"{os.fspath(path)}: {self.size_text}", *self.cuts])

    @property
    def size(self) -> int:
        """Bytes of the page."""
        return len(self._page)

    @property
    def size_text(self) -> str:
        """The size in words."""
        return f"{self.size / 1000:,.0f} kB"

    @property
    def cuts(self) -> list[str]:
        """What is not in the page, and the argument that brings it in."""
        found = self._content.get("cuts", [])
        return [f"cut: {cut['what']}; more with {cut['how']}" for cut in found]

    def open(self) -> None:
        """Show the page in the browser, from a temporary file."""
        folder = Path(tempfile.mkdtemp(prefix="xhat-"))
        path = folder / "report.html"
        path.write_bytes(self._page)
        webbrowser.open(path.as_uri())

    def json(self) -> str:
        """Return everything the page shows as JSON; arrays are packed in base64."""
        return json.dumps(self._content, allow_nan=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # A frame of its own: neither page's style reaches the other. Notebooks start light.
        page = html.escape(self.html().replace('data-theme="auto"', 'data-theme="light"', 1))
        frame = (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" title="xhat" '
            'style="width:100%;height:720px;border:1px solid #8888;border-radius:6px"></iframe>'
        )
        return {"text/html": frame, "text/plain": repr(self)}


class Report(Page):
    """A fitted model on some rows, to look at, to send, or to test; notebooks show it."""

    def markdown(self) -> str:
        """Return the numbers as Markdown, for an issue or a pull request."""
        return markdown(self._content)

    def __repr__(self) -> str:
        header, verdict = self._content["header"], self._content["verdict"]
        return f"Report({header['name']!r}, {self.size_text}): {verdict['sentence']}"

    def dict(self) -> Content:
        """Return everything the page shows as plain values; arrays are packed in base64."""
        return self._content.copy()
