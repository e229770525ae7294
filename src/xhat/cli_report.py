"""``xhat report``, ``xhat sweep`` and ``xhat lesson``: pages and the curve over code sizes.

Knows: files, the estimator's public methods. Must not know: click, maths.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from xhat.cli_job import Job
from xhat.cli_tools import Flags, Words, about, check_output, modelled, open_data
from xhat.errors import ParameterError


def write_report(
    model: str,
    data: str,
    flags: Flags,
    *,
    output: str,
    as_json: bool,
    image_shape: tuple[int, int] | None,
    sweep: bool | None,
    limit: tuple[str, ...],
) -> None:
    """Write the page and say its size and what was cut; with --json print its contents."""
    check_output(output, model, data)
    job = Job(model, data, flags, output="-")
    command = ["xhat", "report", Path(model).name, Path(data).name, "-o", Path(output).name]
    if flags.id_column is not None:
        command += ["--id", flags.id_column]
    if image_shape:
        command += ["--image-shape", *map(str, image_shape)]
    page = job.apply(
        lambda rows: job.ae.report(
            rows,
            image_shape=image_shape or None,
            sweep="auto" if sweep is None else sweep,
            title=Path(data).name,
            command=shlex.join(command),
            **_limits(limit),
        )
    )
    said = page.write_html(output)
    if as_json:
        print(page.json())  # noqa: T201
    flags.words.show(said)


def _limits(given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value.isdigit():
            raise ParameterError(f"--limit {text}: expected NAME=N, e.g. points=10000")
        found[name] = int(value)
    return found


def print_sweep(
    data: str, components: str | None, flags: Flags, *, seed: int, as_json: bool
) -> None:
    """Print held-out losses over code sizes."""
    from xhat.sweep import sweep  # noqa: PLC0415

    try:
        sizes = [int(k) for k in components.split(",")] if components else None
    except ValueError:
        raise ParameterError(f"--components {components}: expected numbers, e.g. 2,4,8") from None
    with about(data):
        stream = modelled(open_data(data, flags), flags)
        curve = sweep(stream.whole().data, sizes, random_state=seed)
    print(json.dumps(curve.to_dict()) if as_json else str(curve))  # noqa: T201


def write_lesson(output: str, words: Words, *, as_json: bool) -> None:
    """Write the lesson page."""
    from xhat.report.lesson import make_lesson  # noqa: PLC0415

    check_output(output)
    page = make_lesson()
    page.write_html(output)
    if as_json:
        print(page.json())  # noqa: T201
    words.say(f"lesson {output}: {page.size_text}, open it in any browser")
