"""How many threads may work, and how pieces of work are spread over them.

Knows: the limits set on this process. Must not know: what is computed.
Threads live only inside one call, so that a fork between calls is safe (docs/decisions/0011).
"""

from __future__ import annotations

import importlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")

_here = threading.local()


def thread_limit() -> int:
    """Return how many threads an engine may use; 1 in a thread of ``in_order``.

    The smallest of the cores given to this process, OMP_NUM_THREADS and the limits that
    threadpoolctl or joblib have set on BLAS and OpenMP; joblib's workers set the variable.
    """
    if getattr(_here, "one_of_several", False):
        return 1
    limits = [_cores(), *(library["num_threads"] for library in _thread_pools().info())]
    variable = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if variable.isdigit():
        limits.append(int(variable))
    return max(1, int(min(limits)))


def in_order(work: Callable[[T], R], pieces: Iterable[T], threads: int) -> Iterator[R]:
    """Yield ``work(piece)`` of every piece, in their order; up to ``threads`` run at a time.

    Pieces are taken by the caller's thread, a few ahead; work must not touch BLAS, whose number of
    threads belongs to the whole process. An error is raised where its piece's turn comes.
    """
    if threads < 2:
        yield from map(work, pieces)
        return
    how = np.geterr()  # of this thread; the others would have NumPy's defaults

    def do(piece: T, future: Future[R], claim: threading.Lock) -> None:
        if not claim.acquire(blocking=False) or not future.set_running_or_notify_cancel():
            return
        try:
            with np.errstate(**how):
                future.set_result(work(piece))
        except BaseException as error:  # noqa: BLE001  raised where its turn comes
            future.set_exception(error)

    with ThreadPoolExecutor(threads, initializer=_one_of_several) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for piece in pieces:
                waiting.append(Future())
                job = (piece, waiting[-1], threading.Lock())
                try:
                    pool.submit(do, *job)
                except RuntimeError:  # no thread or memory is left; another one may have the job
                    do(*job)
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # Ctrl-C, an error: what has not begun never will
            for future in waiting:
                future.cancel()


def _one_of_several() -> None:
    _here.one_of_several = True


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1


def one_blas_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread, so that its sums do not depend on how many there are."""
    pools: AbstractContextManager[object] = _thread_pools().limit(limits=1, user_api="blas")
    return pools


@cache
def _thread_pools() -> ThreadpoolController:
    importlib.import_module("scipy.linalg")  # NumPy and SciPy may each bring a BLAS of their own
    return ThreadpoolController()  # once: looking through the loaded libraries takes milliseconds
