"""What the commands share: reading and matching tables, fitting, writing results.

Knows: files, the estimator's public methods. Must not know: click, maths.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import difflib
import json
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from xhat import files
from xhat.errors import CellError, DataError, ParameterError, one_line, printable

if TYPE_CHECKING:
    from xhat.data.sql import Query
    from xhat.data.stream import Stream
    from xhat.estimator import Autoencoder
    from xhat.train.checkpoint import Checkpoint


@dataclass(frozen=True)
class Words:
    """Messages to people, on standard error; none if ``quiet``."""

    quiet: bool

    def say(self, text: str) -> None:
        """Print a message, on one line: names in it may come from anyone's file."""
        self.show(one_line(text))

    def show(self, text: str) -> None:
        """Print text of several lines, which holds no names from files."""
        if not self.quiet:
            print("\n".join(map(printable, text.split("\n"))), file=sys.stderr)  # noqa: T201

    @contextlib.contextmanager
    def warnings(self) -> Iterator[None]:
        """Let warnings pass, unless quiet; the names of columns are matched here, not there."""
        with warnings.catch_warnings():
            if self.quiet:
                warnings.simplefilter("ignore")
            warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
            yield


@dataclass(frozen=True)
class Flags:
    """How DATA is to be read."""

    id_column: str | None
    drop: list[str]
    columns: list[str]
    missing: tuple[str, ...]
    header: bool
    words: Words
    query: Query | None = None
    scratch: str | None = None
    decimal: str = "."


def split_names(values: Sequence[str]) -> list[str]:
    """Return the names of a repeatable, comma-separated option; quotes protect a comma.

    Examples
    --------
    >>> split_names(['a,b', '"c,d"', ''])
    ['a', 'b', 'c,d', '']
    """
    rows = csv.reader(values, skipinitialspace=True)
    return list(dict.fromkeys(name.strip() for row in rows for name in row or [""]))


@contextlib.contextmanager
def about(path: str) -> Iterator[None]:
    """Put the name of the file in front of what is wrong with its data."""
    name = (
        "standard input" if path == "-" else path if len(path) <= 80 else f".../{Path(path).name}"
    )
    try:
        yield
    except DataError as error:
        raise DataError("\n".join(f"{name}: {line}" for line in str(error).split("\n"))) from error


def open_data(path: str, flags: Flags) -> Stream:
    """Return all columns of DATA, or of the query, to be read piece by piece."""
    if flags.query is not None:
        from xhat.data.sql import open_query  # noqa: PLC0415

        return open_query(flags.query, flags.scratch)
    from xhat.data.stream import open_stream  # noqa: PLC0415

    kept = [] if flags.id_column is None else [flags.id_column]
    stream = open_stream(
        path,
        missing=flags.missing,
        header=flags.header,
        verbatim=kept,
        scratch=flags.scratch,
        decimal=flags.decimal,
    )
    numbers = [name for name in stream.names if _is_number(name)] if stream.named else []
    if numbers:
        flags.words.say(
            f"note: the column name {numbers[0].strip()!r} is a number; if there is no header: "
            "--no-header"
        )
    return stream


def modelled(stream: Stream, flags: Flags, apart: str | None = None) -> Stream:
    """Return the columns to model: neither the id, nor what is set apart or dropped."""
    aside = (flags.id_column, apart, *flags.drop)
    stream = stream.drop([name for name in aside if name is not None])
    return stream.select(flags.columns) if flags.columns else stream


def query_of(sql: str | None, driver: str | None, address: str | None) -> Query | None:
    """Return the query of the three options that belong together, or None."""
    if sql is None and driver is None and address is None:
        return None
    if sql is None or driver is None or address is None:
        raise ParameterError("--sql QUERY, --adbc DRIVER and --uri ENV:NAME go together")
    from xhat.data.sql import Query, address_of  # noqa: PLC0415

    return Query(sql, driver, address_of(address))


def check_output(output: str, *inputs: str) -> None:
    """Refuse an output that cannot be, or is one of the inputs, before any work is done."""
    if Path(output).exists() and any(
        Path(path).exists() and Path(path).samefile(output) for path in inputs
    ):
        raise ParameterError(f"-o {output} would overwrite the input: give another name")
    if output != "-":
        files.check_writable(output)


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "unit"), counted(2, "unit")
    ('1 unit', '2 units')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


# -- fit ------------------------------------------------------------------------------------------


def fit_model(path: str, output: str, flags: Flags, wishes: dict[str, Any]) -> Autoencoder:
    """Read, fit, save; say what came out."""
    from xhat import Autoencoder  # noqa: PLC0415

    check_output(output, path)
    parameters = _parameters(wishes, quiet=flags.words.quiet)
    make = Autoencoder.textbook if wishes["textbook"] else Autoencoder
    ae = make(**parameters)
    with about(path):
        stream = modelled(open_data(path, flags), flags)
    other, validation = stream, None
    if wishes["validation"]:
        with about(wishes["validation"]):
            other = open_data(wishes["validation"], replace(flags, query=None))
            validation = modelled(other, flags).select(stream.names).whole().data
    try:
        ae.fit(stream, X_val=validation, checkpoint=_checkpoint(output, wishes))
    except DataError as error:
        name, read = (wishes["validation"], other) if error.of_validation else (path, stream)
        with about(name):
            if isinstance(error, CellError):
                raise error.at(0, read.place(error.row)) from None
            raise
    ae.set_params(verbose=0)  # how talkative a fit was is no property of the model
    ae.save(output)
    kinds = [type(kind).__name__.lower() for kind in ae.heads_.values()]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    size = f"{counted(stream.n_rows, 'row')}, {counted(len(kinds), 'column')} ({counts})"
    flags.words.say(f"{size} -> {counted(ae.n_components_, 'unit')}")
    flags.words.show(str(ae.compare_pca()))
    flags.words.say(f"saved {output}")
    return ae


def _checkpoint(output: str, wishes: dict[str, Any]) -> Checkpoint | None:
    """Return where the fit keeps its state, and say what an interruption will say."""
    from xhat import interrupts  # noqa: PLC0415

    folder = wishes["checkpoint"]
    if folder is None:
        if wishes["resume"]:
            raise ParameterError("--resume needs --checkpoint DIR")
        interrupts.guard(None, "; nothing was saved: --checkpoint DIR keeps the state of a fit")
        return None
    from xhat.train.checkpoint import Checkpoint  # noqa: PLC0415

    checkpoint = Checkpoint(folder, resume=wishes["resume"], stop=interrupts.wanted)
    interrupts.guard(checkpoint, "; resume with: " + _again())
    return checkpoint


def _again() -> str:
    """Return the command line of this process, with --resume."""
    words = ["xhat", *sys.argv[1:]]
    return shlex.join(words + ["--resume"] * ("--resume" not in words))


def _parameters(wishes: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Turn options into parameters of the estimator; --set has the last word."""
    from xhat import Autoencoder  # noqa: PLC0415

    given = {"n_components": wishes["components"], "max_iter": wishes["epochs"]}
    if wishes["heads"]:
        given["heads"] = _heads(wishes["heads"])
    parameters = {name: value for name, value in given.items() if value is not None}
    parameters["random_state"] = wishes["seed"]
    parameters["verbose"] = int(sys.stderr.isatty() and not quiet)
    known = Autoencoder().get_params(deep=False)
    for setting in wishes["settings"]:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"--set {setting}: expected NAME=VALUE")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(known)}"
            raise ParameterError(f"--set {setting}: there is no parameter {name!r}; {hint}")
        try:
            parameters[name] = literal(text)
        except TypeError as error:  # of a class that has no such parameter
            raise ParameterError(f"--set {setting}: {error}") from None
    return parameters


def literal(text: str) -> Any:
    """Return a number, tuple, bool, None or object such as ``Adam(clip=1)`` where text is one.

    Any other text is itself. Nothing is evaluated but literals, and xhat's own classes of
    parameters called with them.

    Examples
    --------
    >>> literal("(256, 64)"), literal("1e-3"), literal("sgd"), literal("True")
    ((256, 64), 0.001, 'sgd', True)
    >>> literal("(L2(1e-4), Contractive())"), literal("open('x')")
    ((L2(weight=0.0001), Contractive(weight=0.1)), "open('x')")
    """
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except ParameterError:  # of an object with such a value, and a ValueError
        raise
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    return text if isinstance(value, (bytes, complex, list, set, dict, EllipsisType)) else value


def _value(node: ast.expr) -> Any:
    """Return what a literal says, or one of xhat's parameter classes called with literals."""
    from xhat import requests  # noqa: PLC0415

    if isinstance(node, ast.Tuple):
        return tuple(map(_value, node.elts))
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    made = requests.OBJECTS.get(node.func.id) if isinstance(node.func, ast.Name) else None
    if made is None or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError(f"{ast.unparse(node)} is no parameter")
    named = {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    return made(*map(_value, node.args), **named)


def _heads(wish: str) -> Any:
    from xhat.data.kinds import NAMED  # noqa: PLC0415

    if wish in NAMED:
        return wish
    if not wish.endswith(".json"):
        raise ParameterError(f"--heads {wish}: expected {', '.join(NAMED)} or a .json file")
    try:
        heads = json.loads(Path(wish).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{wish}: not JSON ({error})") from None
    if not isinstance(heads, dict):
        raise DataError(f'{wish}: an object such as {{"age": "real"}} is expected')
    return heads


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
