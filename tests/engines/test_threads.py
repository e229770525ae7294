"""Pieces of work spread over threads: in their order, a few at a time, as if there were one."""

import threading
import time

import numpy as np
import pytest

from xhat.engines.threads import in_order, thread_limit


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads):
    def work(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(in_order(work, range(40), threads)) == [i * i for i in range(40)]
    assert list(in_order(work, [], threads)) == []


def test_several_work_at_a_time_and_each_alone():
    both = threading.Barrier(2, timeout=10)  # passes only if two pieces are worked on together

    def work(_):
        both.wait()
        return thread_limit()

    before = thread_limit()
    assert list(in_order(work, range(4), 2)) == [1] * 4
    assert thread_limit() == before


def test_pieces_are_taken_a_few_ahead():
    taken = []
    pieces = (taken.append(i) or i for i in range(1000))
    found = in_order(lambda i: i, pieces, 2)
    assert next(found) == 0
    assert len(taken) == 5
    found.close()
    assert len(taken) == 5


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_and_the_rest_not_begun(threads):
    begun = []

    def work(i):
        begun.append(i)
        if i >= 7:
            raise ValueError(f"piece {i}")
        return i

    seen = []
    with pytest.raises(ValueError, match="piece 7"):
        seen.extend(in_order(work, range(1000), threads))
    assert len(begun) < 20


def test_an_interrupt_waits_for_the_pieces_in_hand_only():
    begun = []

    def work(i):
        begun.append(i)
        time.sleep(0.01)

    def interrupted():
        for number, _ in enumerate(in_order(work, range(1000), 2)):
            if number == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    time.sleep(0.1)
    assert len(begun) < 20


def test_the_callers_errstate_holds():
    def work(i):
        return np.float64(1) / np.zeros(3)

    with np.errstate(divide="ignore"):
        list(in_order(work, range(4), 2))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(in_order(work, range(4), 2))


@pytest.mark.parametrize("started", [0, 1])
def test_without_a_thread_the_caller_works(monkeypatch, started):
    begin, left = threading.Thread.start, [started]

    def start(thread):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    done = []

    def work(i):
        done.append(i)
        if i == 25:
            raise ValueError("piece 25")
        return -i

    found = in_order(work, range(30), 4)
    assert [next(found) for _ in range(25)] == [-i for i in range(25)]
    with pytest.raises(ValueError, match="piece 25"):
        next(found)
    assert len(done) == len(set(done))  # nothing is done twice
