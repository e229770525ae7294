"""The command line: options and help texts; every command is a few lines over cli_tools.

Knows: click. Must not know: maths. The estimator is imported inside the commands, so that
``xhat --help`` answers at once. Data go to standard output or -o, words to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xhat import __version__
from xhat.cli_tools import Flags, Words, split_names

Command = Callable[..., Any]


def data_options(command: Command) -> Command:
    """Add the options that every command reading DATA has."""
    options = [
        click.option("--id", "id_", metavar="COL", help="Column passed through, not modelled."),
        click.option("--drop", multiple=True, metavar="COL,COL", help="Columns to leave out."),
        click.option("--columns", multiple=True, metavar="COL,COL", help="Columns to use, only."),
        click.option("--no-header", is_flag=True, help="The CSV has no names: x0, x1, ..."),
        click.option("--missing", multiple=True, metavar="TEXT", help="Spelling of an empty cell."),
        *talk_options(),
    ]
    return _apply(options, command)


def talk_options() -> list[Callable[[Command], Command]]:
    """Return --json and --quiet."""
    return [
        click.option("--json", "json_", is_flag=True, help="Machine-readable output."),
        click.option("--quiet", is_flag=True, help="Nothing on standard error but errors."),
    ]


def output_option(command: Command) -> Command:
    """Add -o and --digits."""
    options = [
        click.option(
            "-o",
            "--output",
            default="-",
            metavar="FILE",
            help="csv, tsv, jsonl, parquet, arrow or npy by extension; default: CSV on stdout.",
        ),
        click.option(
            "--digits", type=click.IntRange(1, 17), help="Significant digits of the numbers."
        ),
    ]
    return _apply(options, command)


def _apply(options: list[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _flags(
    id_: str | None,
    drop: tuple[str, ...],
    columns: tuple[str, ...],
    missing: tuple[str, ...],
    *,
    no_header: bool,
    quiet: bool,
) -> Flags:
    return Flags(id_, split_names(drop), split_names(columns), missing, not no_header, Words(quiet))


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 64 usage, 65 data, 70 bug, 74 files. XHAT_DEBUG=1 shows tracebacks.",
)
@click.version_option(__version__, message="xhat %(version)s")
def cli() -> None:
    """Fit an autoencoder to a table: codes, reconstructions, anomaly scores with reasons.

    \b
    xhat demo                                  a real table, in seconds
    xhat fit table.csv --id name -o m.xhat     fit, and compare with PCA
    xhat score m.xhat new.csv --id name        how strange is each row
    xhat explain m.xhat new.csv --id name      which columns made it so

    DATA is a CSV, TSV, Parquet, Arrow, npy or npz file; - is CSV on standard input.
    """


@cli.command()
@click.option("-o", "--output", metavar="FILE", help="Also write the table, to go on with.")
@_apply_talk if False else (lambda f: _apply(talk_options(), f))
def demo(output: str | None, json_: bool, quiet: bool) -> None:  # noqa: FBT001
    """Fit a bundled table of 569 tumours and show the strangest."""
    from xhat.cli_demo import run_demo  # noqa: PLC0415

    run_demo(output, as_json=json_, words=Words(quiet))
