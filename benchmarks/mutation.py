"""Small faults put into the loader, one at a time: ``make mutation``; do its tests notice?

Every place of the loader's source where one of the OPERATORS fits gives one faulty copy of its
module. A fork of this process puts it in place of the module that is imported and runs the tests of
the loader; a failing test or a time-out finds the fault. Faults that change nothing (a limit of
a search one higher) are not told apart from those that no test finds. Results are kept in
build/mutation: a broken run goes on where it broke; faults that nobody found are printed.
"""

import ast
import copy
import hashlib
import json
import os
import random
import signal
import sys
import time
import types
from pathlib import Path

from benchmarks.testing import write

ROOT = Path(__file__).parents[1]
MODULES = ["container", "header", "plain", "loading", "persist"]
TESTS = ["test_loader.py", "test_model_file.py", "test_golden.py"]
#: Random mutants of files are left out: what they find by luck is no test of a rule. So is what
#: takes a second.
SELECTION = "not mutants and not flip and not blow_up"
SECONDS, PROMISED = 120, 80.0
KEPT = ROOT / "build" / "mutation"

SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip


# -- operators: each yields the changes of one node, as functions that make the change ------------


def comparisons(node):
    """< and <=, == and !=, in and not in, is and is not."""
    if isinstance(node, ast.Compare):
        for i, sign in enumerate(node.ops):
            if type(sign) in SWAPS:
                yield lambda n, i=i, sign=sign: n.ops.__setitem__(i, SWAPS[type(sign)]())


def joins(node):
    """And and or, + and -, * and +, | and &."""
    if isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in SWAPS:
        yield lambda n: setattr(n, "op", SWAPS[type(n.op)]())


def conditions(node):
    """A condition, negated."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield lambda n: setattr(n, "operand", ast.UnaryOp(ast.Not(), n.operand))


def constants(node):
    """A number one higher and one lower, True and False."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        for step in (1, -1):
            yield lambda n, step=step: setattr(n, "value", n.value + step)


def statements(node):
    """A raise or a call of a check, removed."""
    body = getattr(node, "body", None)
    for i, statement in enumerate(body if isinstance(body, list) else []):
        called = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if isinstance(statement, ast.Raise) or called:
            yield lambda n, i=i: n.body.__setitem__(i, ast.Pass())


OPERATORS = [comparisons, joins, conditions, constants, statements]


def is_code(node):
    """Whether a node runs: annotations and names do not."""
    return not isinstance(node, (ast.Load, ast.Store, ast.expr_context))


def nodes(tree):
    """Return the nodes that run, in order; annotations and checks for types only are left out."""
    found = []

    def walk(node):
        found.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and is_code(child) and not _only_types(child):
                    walk(child)

    walk(tree)
    return found


def _only_types(node):
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.ImportFrom)


def mutants(source):
    """Yield (what was changed, tree) of every fault."""
    tree = ast.parse(source)
    lines = source.splitlines()
    for number, node in enumerate(nodes(tree)):
        for operator in OPERATORS:
            for change in operator(node):
                faulty = copy.deepcopy(tree)
                change(nodes(faulty)[number])
                line = _line(node, operator, change)
                text = lines[line - 1].strip()
                yield (
                    f"line {line}: {operator.__name__} in {text!r}",
                    ast.fix_missing_locations(faulty),
                )


def _line(node, operator, change):
    if operator is statements:
        return node.body[change.__defaults__[0]].lineno
    return getattr(node, "lineno", 1)


# -- one mutant ------------------------------------------------------------------------------------


def replace(name, path, tree):
    """Put a faulty module in place of the imported one, and its names wherever they went."""
    old = sys.modules[name]
    new = types.ModuleType(name)
    new.__dict__.update({"__file__": str(path), "__spec__": old.__spec__, "__package__": "xhat"})
    sys.modules[name] = new
    exec(compile(tree, str(path), "exec"), new.__dict__)
    setattr(sys.modules["xhat"], name.split(".")[1], new)
    own = {key: value for key, value in vars(old).items() if not key.startswith("__")}
    for other in [m for key, m in sys.modules.items() if key.startswith("xhat") and m is not new]:
        for key, value in list(vars(other).items()):
            if value is old:
                setattr(other, key, new)
            known = getattr(value, "__name__", key) if callable(value) else key  # import ... as
            if known in own and value is own[known] and known in vars(new):
                setattr(other, key, vars(new)[known])


def tests_fail(module, path, tree):
    """Run the tests in a fork with a faulty module; return whether they notice."""
    pid = os.fork()
    if not pid:
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        code = 99
        try:
            import pytest

            replace(f"xhat.{module}", path, tree)
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            words = ["-q", "-x", "--tb=no", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}",
                     "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider",
                     "-k", SELECTION]  # fmt: skip
            code = int(pytest.main([*words, *(str(ROOT / "tests/trust" / name) for name in TESTS)]))
        finally:
            os._exit(code)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def measure(module, path):
    """Return (what, found) of every fault of a module; none is tried twice."""
    source = path.read_text(encoding="utf-8")
    texts = [source, *((ROOT / "tests/trust" / name).read_text() for name in TESTS)]
    kept = KEPT / f"{module}-{hashlib.sha256(''.join(texts).encode()).hexdigest()[:12]}.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    if not done and tests_fail(module, path, ast.parse(source)):
        sys.exit(f"the tests of {module} fail without a fault")
    every = list(mutants(source))
    random.Random(0).shuffle(every)  # those of a broken run are a fair sample
    with kept.open("a", encoding="utf-8") as file:
        for what, tree in every[len(done) :]:
            began = time.monotonic()
            found = tests_fail(module, path, tree)
            done.append({"what": what, "found": found, "seconds": time.monotonic() - began})
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
    return done


def main():
    import pandas  # noqa: F401, ICN001  (here, so that the forks need not import them)
    import pytest  # noqa: F401

    import xhat.cli_info
    import xhat.cli_job
    import xhat.estimator
    import xhat.persist

    folder = Path(xhat.__file__).parent
    results = {module: measure(module, folder / f"{module}.py") for module in MODULES}
    for module, faults in results.items():
        for fault in faults:
            if not fault["found"]:
                print(f"{module}.py {fault['what']}: not found")
        found = sum(fault["found"] for fault in faults)
        print(f"{module}.py: {found} of {len(faults)} found")
    every = [fault for faults in results.values() for fault in faults]
    found = sum(fault["found"] for fault in every)
    score = int(1000 * found / len(every)) / 10
    print(f"{found} of {len(every)} found ({score} %)")
    if score < PROMISED:
        sys.exit(f"promised are {PROMISED} %")
    values = {"faults": len(every), "killed": found, "score": score}
    write("mutation", values, sum(fault["seconds"] for fault in every))


if __name__ == "__main__":
    main()
