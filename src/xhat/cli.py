"""The command line: options and help texts; every command is a few lines over cli_tools.

Knows: click. Must not know: maths. The estimator is imported inside the commands, so that
``xhat --help`` answers at once. Data go to standard output or -o, words to standard error.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xhat import __version__
from xhat.cli_tools import Flags, Words, query_of, split_names

Command = Callable[..., Any]
Option = Callable[[Command], Command]

TALK: list[Option] = [
    click.option("--json", "as_json", is_flag=True, help="Machine-readable output."),
    click.option("--quiet", is_flag=True, help="Nothing on standard error but errors."),
]
DATA: list[Option] = [
    click.argument("data", required=False),
    click.option("--id", "id_", metavar="COL", help="Column passed through, not modelled."),
    click.option("--drop", multiple=True, metavar="COL,COL", help="Columns to leave out."),
    click.option("--columns", multiple=True, metavar="COL,COL", help="Columns to use, no others."),
    click.option("--no-header", is_flag=True, help="The CSV has no names: x0, x1, ..."),
    click.option("--sql", metavar="QUERY", help="Rows of a database, instead of DATA."),
    click.option("--adbc", metavar="DRIVER", help="With --sql: sqlite, postgresql, or a library."),
    click.option("--uri", metavar="ENV:NAME", help="With --sql: the variable with the address."),
    click.option("--scratch", metavar="DIR", help="Where rows wait that memory does not hold."),
    click.option("--missing", multiple=True, metavar="TEXT", help="A spelling of an empty cell."),
    click.option("--decimal", type=click.Choice([".", ","]), default=".", help="Before decimals."),
    *TALK,
]
OUTPUT: list[Option] = [
    click.option(
        "-o",
        "--output",
        default="-",
        metavar="FILE",
        help="By extension csv, tsv, jsonl, parquet, arrow or npy; default: CSV on stdout.",
    ),
    click.option("--digits", type=click.IntRange(1, 17), help="Significant digits of numbers."),
]


def options(*groups: list[Option]) -> Option:
    """Add groups of options to a command; those of DATA arrive together, as ``flags``."""

    def decorate(command: Command) -> Command:
        def with_flags(**given: Any) -> Any:
            words = Words(given.pop("quiet"))
            if "id_" in given:
                query = query_of(given.pop("sql"), given.pop("adbc"), given.pop("uri"))
                if (given["data"] is None) == (query is None):
                    raise click.UsageError("Give DATA, or --sql with --adbc and --uri.")
                given["data"] = given["data"] or "the query"
                given["flags"] = Flags(
                    query=query,
                    scratch=given.pop("scratch"),
                    id_column=given.pop("id_"),
                    drop=split_names(given.pop("drop")),
                    columns=split_names(given.pop("columns")),
                    missing=given.pop("missing"),
                    header=not given.pop("no_header"),
                    decimal=given.pop("decimal"),
                    words=words,
                )
            else:
                given["words"] = words
            with words.warnings():
                return command(**given)

        decorated: Command = functools.wraps(command)(with_flags)
        for option in reversed([option for group in groups for option in group]):
            decorated = option(decorated)
        return decorated

    return decorate


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 64 usage, 65 data, 70 bug, 74 files, 129, 130 and 143 interrupted. "
    "XHAT_DEBUG=1: tracebacks.",
)
@click.version_option(__version__, message="xhat %(version)s")
def cli() -> None:
    """Fit an autoencoder to a table: codes, reconstructions, anomaly scores with reasons.

    \b
    xhat demo                                a real table, in seconds
    xhat fit table.csv --id name -o m.xhat   fit, and compare with PCA
    xhat score m.xhat new.csv --id name      how strange each row is
    xhat explain m.xhat new.csv --id name    which columns made it so
    xhat report m.xhat new.csv --id name     a page with pictures

    DATA is a CSV, TSV, Parquet, Arrow, npy or npz file of any size, a folder of such files or a
    pattern ('data/*.csv'); - is CSV on standard input.
    """  # noqa: D301  (\b is click's mark for "do not wrap")


@cli.command()
@click.option("-o", "--output", metavar="FILE", help="Also write the table, to go on with.")
@options(TALK)
def demo(output: str | None, *, as_json: bool, words: Words) -> None:
    """Fit a bundled table of 569 tumours and show the strangest."""
    from xhat.cli_demo import run_demo  # noqa: PLC0415

    run_demo(output, words, as_json=as_json)


@cli.command()
@options(DATA)
@click.option("-o", "--output", default="model.xhat", metavar="MODEL", show_default=True)
@click.option("--components", type=int, metavar="K", help="Units of the code; default: d/3.")
@click.option("--textbook", is_flag=True, help="h = g(Wx + b), x_hat = f(W*h + c), no more.")
@click.option(
    "--heads",
    metavar="KIND|FILE",
    help="auto, real, robust, asinh, binary, categorical, count, or JSON {column: kind}.",
)
@click.option("--validation", metavar="FILE", help="Held-out rows of your own choice.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help='Any parameter, as Python writes it: "corruption=Masking(0.2)".',
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
@click.option("--epochs", type=int, metavar="N", help="At most; for L-BFGS: iterations.")
@click.option("--checkpoint", metavar="DIR", help="Keep the state of the fit here.")
@click.option("--resume", is_flag=True, help="Go on with the state in DIR, if there is one.")
def fit(data: str, output: str, flags: Flags, *, as_json: bool, **wishes: Any) -> None:
    """Fit a model to DATA and print how it stands against PCA.

    \b
    xhat fit housing.csv --drop ocean_proximity -o housing.xhat
    xhat fit pixels.npy --heads binary --components 64 --set "hidden=(256, 64)"
    """  # noqa: D301
    from xhat.cli_tools import fit_model  # noqa: PLC0415

    ae = fit_model(data, output, flags, wishes)
    if as_json:
        click.echo(json.dumps(ae.compare_pca().to_dict()))


@cli.command()
@click.argument("model")
@options(DATA, OUTPUT)
def encode(model: str, data: str, **given: Any) -> None:
    """Write the codes of every row: code0, code1, ..."""
    from xhat.cli_job import Job  # noqa: PLC0415

    job = Job(model, data, **given)
    names = [f"code{j}" for j in range(job.ae.n_components_)]
    job.write_matrix(names, job.ae.transform)


@cli.command()
@click.argument("model")
@options(DATA, OUTPUT)
def reconstruct(model: str, data: str, **given: Any) -> None:
    """Write every row as the model rebuilds it, in the table's own columns and units."""
    from xhat.cli_cells import write_rebuilt  # noqa: PLC0415
    from xhat.cli_job import Job  # noqa: PLC0415

    write_rebuilt(Job(model, data, **given))


@cli.command()
@click.argument("model")
@options(DATA, OUTPUT)
def impute(model: str, data: str, **given: Any) -> None:
    """Write the table with its empty cells filled; all other cells stay as they are."""
    from xhat.cli_cells import write_filled  # noqa: PLC0415
    from xhat.cli_job import Job  # noqa: PLC0415

    write_filled(Job(model, data, whole=True, **given))


@cli.command()
@click.argument("model")
@options(DATA, OUTPUT)
@click.option("--spread-code", is_flag=True, help="Share the part (code) out over the columns.")
def explain(model: str, data: str, *, spread_code: bool, **given: Any) -> None:
    """Write each column's part of the anomaly score, in nats, and the column with the largest.

    The part named (code) is how unusual the row is as a whole: its cells fit together.
    """
    import numpy as np  # noqa: PLC0415

    from xhat.cli_job import Job  # noqa: PLC0415

    job = Job(model, data, **given)

    columns = job.ae._names()  # noqa: SLF001

    def top(parts: Any) -> dict[str, Any]:
        own: Any = np.asarray(parts)[:, : len(columns)]
        largest = zip(own.argmax(axis=1), own.any(axis=1), strict=True)
        return {"top": [columns[j] if some else None for j, some in largest]}

    names = columns if spread_code else job.ae._parts()  # noqa: SLF001
    job.write_matrix(names, functools.partial(job.ae.explain, spread_code=spread_code), top)


@cli.command()
@click.argument("model")
@options(DATA, OUTPUT)
@click.option("--false-alarm-rate", type=float, metavar="P", help="Share of usual rows flagged.")
@click.option(
    "--labels",
    metavar="COL",
    help="Column of 0/1 truth: print precision and recall, even if --quiet.",
)
@click.option("--shard", metavar="I/N", help="Of a folder: part I of N, for N processes.")
@click.option("--format", "suffix", default="csv", metavar="EXT", help="Of a folder's parts.")
@click.option(
    "--bad-rows",
    type=click.Choice(["refuse", "keep"]),
    default="refuse",
    show_default=True,
    help="Keep: rows with a bad cell get no score but a reason.",
)
def score(
    model: str,
    data: str,
    false_alarm_rate: float | None,
    labels: str | None,
    shard: str | None,
    suffix: str,
    bad_rows: str,
    **given: Any,
) -> None:
    """Write how strange every row is, in nats (higher = stranger), and whether it is an outlier.

    An outlier scores above all but 5 % of rows not trained on, or all but another share of them
    (--false-alarm-rate); if the model was fitted with a contamination, above all but this share of
    the training rows.

    A cell that cannot be (a text in a column of numbers, infinity, 2 in a column that --heads calls
    binary) is refused with its row and column. With --bad-rows keep its row gets an empty score and
    the column "reason" says why; all other rows are scored as if it was not there.

    If DATA is a folder, every file in it is scored into the folder OUTPUT, in parts that appear
    whole; the same command again writes only what is missing.
    """
    from xhat.cli_job import Job  # noqa: PLC0415

    if Path(data).is_dir():
        from xhat.batch import Wish, parse_shard, score_folder  # noqa: PLC0415

        wish = Wish(
            parse_shard(shard), f".{suffix.lstrip('.')}", given["digits"], false_alarm_rate,
            keep=bad_rows == "keep",
        )  # fmt: skip
        score_folder(model, data, given, wish, labels)
        return
    if shard is not None:
        raise click.UsageError("--shard is for a folder of files.")

    job = Job(model, data, apart=labels, **given)
    job.write_scores(false_alarm_rate, keep=bad_rows == "keep")


@cli.command()
@click.argument("model")
@options(DATA)
def compare(model: str, data: str, *, as_json: bool, **given: Any) -> None:
    """Print the loss of the mean, of PCA and of the model on the rows of DATA."""
    from xhat.cli_job import Job  # noqa: PLC0415

    job = Job(model, data, **given)
    comparison = job.apply(job.ae.compare_pca)
    click.echo(json.dumps(comparison.to_dict()) if as_json else str(comparison))


@cli.command()
@click.argument("model")
@options(DATA)
@click.option("-o", "--output", default="report.html", metavar="FILE", show_default=True)
@click.option("--image-shape", nargs=2, type=int, metavar="H W", help="The rows are images.")
@click.option("--sweep/--no-sweep", default=None, help="Code size against loss; default: if quick.")
@click.option("--limit", multiple=True, metavar="NAME=N", help="E.g. max_size, points, columns.")
def report(model: str, data: str, **given: Any) -> None:
    """Write a page about the model on the rows of DATA: one file, opened by any browser.

    The verdict, loss curves, code size, codes, scores, strangest rows, columns, reconstructions,
    units, sliders for the code. Nothing in it is loaded from elsewhere.
    """
    from xhat.cli_report import write_report  # noqa: PLC0415

    write_report(model, data, **given)


@cli.command()
@options(DATA)
@click.option("--components", metavar="K,K", help="Code sizes; default: powers of two.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
def sweep(data: str, components: str | None, **given: Any) -> None:
    """Print the held-out loss of xhat and PCA at several code sizes, and which to take."""
    from xhat.cli_report import print_sweep  # noqa: PLC0415

    print_sweep(data, components, **given)


@cli.command()
@click.option("-o", "--output", default="lesson.html", metavar="FILE", show_default=True)
@options(TALK)
def lesson(output: str, *, as_json: bool, words: Words) -> None:
    """Write a page that teaches: the textbook model on digits, trained step by step in the browser.

    Every number of one row's derivation is shown, as in docs/maths.md.
    """
    from xhat.cli_report import write_lesson  # noqa: PLC0415

    write_lesson(output, words, as_json=as_json)


@cli.command()
@click.argument("model", required=False)
@click.option("--engines", is_flag=True, help="List what can compute the steps here.")
@options(TALK)
def info(model: str | None, *, engines: bool, as_json: bool, words: Words) -> None:
    """Print what a model file holds: columns, choices, verdict."""
    from xhat.cli_info import describe, engine_names  # noqa: PLC0415

    if engines:
        names = engine_names()
        click.echo(json.dumps(names) if as_json else "\n".join(names))
    if model is not None:
        click.echo(describe(model, as_json=as_json))
    elif not engines:
        raise click.UsageError("Missing argument 'MODEL' (or --engines).")
