"""Which engine is there, which one is chosen, and what the user is told."""

import os
import shutil
import warnings
from pathlib import Path

import pytest
from cases import Case, compiled
from threadpoolctl import threadpool_limits

import xhat.engines as module
from xhat.engines import available, choose
from xhat.engines.threads import thread_limit
from xhat.maths.penalties import Contractive
from xhat.train.optimizers import Adam


def test_extension_is_there_where_a_compiler_is():
    """A build that silently lost its extension must not pass."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("clang++")
    if compiler:
        assert not isinstance(available()["compiled"], str), available()["compiled"]


def test_auto_takes_the_compiled_engine():
    engine, reason = choose("auto", Case().objective, Adam())
    assert engine.name == "compiled"
    assert "C++ kernels" in reason
    assert "thread" not in reason  # it is stored, and the bytes must not depend on the threads
    assert choose("auto", Case().objective, None)[0].name == "compiled"


def test_auto_says_why_it_takes_the_reference():
    case = Case(hidden=(3,), penalties=(Contractive(),))
    engine, reason = choose("auto", case.objective, Adam())
    assert engine.name == "reference"
    assert "contractive penalty of several layers" in reason


def test_a_named_engine_that_refuses_is_an_error():
    case = Case(hidden=(3,), penalties=(Contractive(),))
    with pytest.raises(ValueError, match="cannot be used: the contractive") as error:
        choose("compiled", case.objective, Adam())
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="unknown; choose from"):
        choose("torch", case.objective, Adam())
    assert choose("reference", case.objective, Adam())[0].name == "reference"


def test_absent_extension_warns_once(monkeypatch):
    engines = available() | {"compiled": "its extension cannot be imported (test)"}
    monkeypatch.setattr(module, "available", lambda: engines)
    module._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="slow reference engine"):
        engine, reason = choose("auto", Case().objective, Adam())
    assert engine.name == "reference"
    assert "absent" in reason
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose("auto", Case().objective, Adam())
    with pytest.raises(ValueError, match="cannot be used: its extension"):
        choose("compiled", Case().objective, Adam())
    module._warn_once.cache_clear()


def test_threads_are_the_smallest_limit(monkeypatch):
    assert thread_limit() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_limit() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    with threadpool_limits(1):
        assert thread_limit() == 1


def test_describe_names_the_instruction_set():
    engine, kernels = compiled()
    assert engine.describe().startswith(kernels.instruction_set())
    assert kernels.instruction_set() in ("baseline", "avx2", "avx512")


def test_a_fork_between_runs_is_safe():
    """Threads live inside one call alone, so that a child process can compute, too."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this platform")
    from test_runs import train

    engine, _ = compiled()
    case = Case(100, 40, (64,), n=700)
    train(engine, case, batch_size=350, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, about any thread
        child = os.fork()
    if child == 0:
        losses, _, _ = train(engine, case, batch_size=350, epochs=1)
        os._exit(0 if len(losses) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_thread_that_cannot_start_is_done_without():
    """No room for another thread's stack: the call goes on alone, with the same result."""
    resource = pytest.importorskip("resource")
    from test_runs import train

    engine, _ = compiled()
    case = Case(100, 40, (64,), n=700)
    expected = train(engine, case, batch_size=350, epochs=1)[1].tobytes()
    if not hasattr(os, "fork") or not Path("/proc/self/statm").exists():
        pytest.skip("needs fork and /proc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        from xhat.engines.compiled import engine as module

        module.thread_limit = lambda: 64  # 64 stacks of megabytes
        module.Pace.choose = lambda self, limit, rows: 64
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        room = pages * resource.getpagesize() + 2**26
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        found = train(engine, case, batch_size=350, epochs=1)[1].tobytes()
        os._exit(0 if found == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
