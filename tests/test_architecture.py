"""The import rule of ARCHITECTURE.md, read from the source: imports run one way, and stay light."""

import ast
import functools
from pathlib import Path

import pytest

import xhat

PACKAGE = Path(xhat.__file__).parent

#: Rooms from the bottom up. A module may import its own room and any room on a lower floor;
#: rooms on the same floor do not know each other.
FLOORS = [
    [{"fields"}],
    [{"maths"}],
    [{"engines"}, {"data"}],
    [{"train"}],
    [
        {
            "auto",
            "baseline",
            "calibration",
            "codepart",
            "copies",
            "drawing",
            "filler",
            "filling",
            "hidden",
            "linear",
            "model",
            "odds",
            "pca",
            "reasons",
            "sample",
            "settings",
            "sources",
            "spread",
            "start",
            "verdict",
        }
    ],
    [{"crossfit", "fingerprint", "header", "loading", "plain"}],
    [
        {
            "fitting",
            "foldruns",
            "incremental",
            "lesson",
            "persist",
            "preparing",
            "progress",
            "callbacks",
            "requests",
            "training",
            "validation",
        }
    ],
    [{"judging", "rebuilding", "scoring"}],
    [{"estimator"}],
    [{"sweep"}, {"recipes"}],
    [{"report"}, {"plot"}],
    [
        {
            "cli",
            "cli_cells",
            "cli_demo",
            "cli_info",
            "cli_job",
            "cli_match",
            "cli_report",
            "cli_tools",
            "__main__",
            "__init__",
            "batch",
            "manifest",
            "badrows",
            "interrupts",
        }
    ],
]
#: May be imported from everywhere but maths, and import nothing of xhat themselves.
COMMON = {"container", "errors", "files"}
#: Upward imports, inside functions or for types only, each with its reason.
EXCEPTIONS = {
    ("persist", "estimator"): "load() returns an Autoencoder",
    ("judging", "report"): "ae.report(X)",
    ("report", "__init__"): "the version is in the page",
    ("persist", "__init__"): "save() writes the version",
    ("cli", "__init__"): "the version",
    ("fingerprint", "__init__"): "the version",
    ("train", "__init__"): "a checkpoint says the version",
}
#: Never imported when a module is imported: only inside the function that needs them, if at all.
HEAVY = {"torch", "pandas", "polars", "pyarrow", "matplotlib", "jax", "keras"}
#: The whole world of the maths.
PURE = {"numpy", "scipy", "xhat", "__future__", "abc", "collections", "dataclasses", "functools"}
PURE |= {"itertools", "math", "typing"}


def files():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def room(module):
    return module.split(".")[0]


def imports(tree):
    """Yield (imported dotted name, whether it runs when the module is imported)."""
    later = set()
    for node in ast.walk(tree):
        is_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if is_types or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            later.update(id(child) for child in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in later) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from (
                (f"{node.module}.{alias.name}", id(node) not in later) for alias in node.names
            )


def inner(name, known):
    """Return the module of xhat that an imported name stands for, or None."""
    parts = name.split(".")
    if parts[0] != "xhat":
        return None
    for end in range(len(parts), 1, -1):
        if (module := ".".join(parts[1:end])) in known:
            return module
    return "__init__"


@functools.cache
def graph():
    """Return {module: [(imported module, at import time)]} within xhat."""
    known = {name_of(path) for path in files()}
    edges = {}
    for path in files():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [(inner(name, known), now) for name, now in imports(tree)]
        edges[name_of(path)] = [(module, now) for module, now in found if module]
    return edges


def place(name):
    for floor, rooms in enumerate(FLOORS):
        for number, members in enumerate(rooms):
            if name in members:
                return floor, number
    return None


def violation(module, imported):
    """Say why an import breaks the rule, or return None."""
    here, there = room(module), room(imported)
    if (here, there) in EXCEPTIONS:
        return None
    if here in COMMON:
        return f"{here} imports nothing of xhat"
    if there in COMMON:
        return "maths imports nothing of xhat" if here == "maths" else None
    if place(here) == place(there) or place(here)[0] > place(there)[0]:
        return None
    return f"{here} may not import {there}"


def test_every_module_has_a_room():
    homeless = {room(module) for module in graph()} - COMMON
    assert not {name for name in homeless if place(name) is None}


@pytest.mark.parametrize("module", sorted(graph()))
def test_imports_run_one_way(module):
    problems = [violation(module, imported) for imported, _ in graph()[module]]
    assert not [problem for problem in problems if problem]


def test_the_rule_can_be_broken():
    assert violation("maths.heads", "errors")
    assert violation("maths.heads", "data.columns")
    assert violation("engines.reference", "data.batches")
    assert violation("train.loop", "baseline")
    assert violation("fitting", "estimator")
    assert violation("estimator", "cli")
    assert violation("errors", "files")
    assert not violation("estimator", "fitting")


def test_no_cycles_at_import_time():
    edges = {module: {m for m, now in found if now} for module, found in graph().items()}
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"cycle: {' > '.join([*open_, module])}"
        if module in done:
            return
        open_.append(module)
        for imported in edges.get(module, ()):
            if imported != module:
                visit(imported)
        done.add(open_.pop())

    for module in edges:
        visit(module)


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_nothing_heavy_at_import_time(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {name.split(".")[0] for name, now in imports(tree) if now} & HEAVY
    if room(name_of(path)) == "maths":
        assert {name.split(".")[0] for name, _ in imports(tree)} <= PURE


def test_imports_are_seen_where_they_stand():
    code = "import a\nfrom b import c\ndef f():\n    import d\nif TYPE_CHECKING:\n    import e\n"
    assert dict(imports(ast.parse(code))) == {"a": True, "b.c": True, "d": False, "e": False}
