"""run_ahead: order, bounds, errors and an end without a thread left."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.pipeline.overlap import run_ahead


def stage_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "run_ahead"]


@given(st.lists(st.integers() | st.none()), st.integers(1, 5))
def test_yields_the_same_in_the_same_order(items: list[int | None], depth: int) -> None:
    assert list(run_ahead(items, depth)) == items
    assert not stage_threads()


def test_runs_ahead_but_only_so_far() -> None:
    begun = []

    def count() -> Iterator[int]:
        for i in range(100):
            begun.append(i)
            yield i

    ahead = run_ahead(count(), depth=3)
    assert next(ahead) == 0
    deadline = time.monotonic() + 5
    while len(begun) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    # One taken, three in the queue, one in the thread's hand.
    assert len(begun) == 5
    ahead.close()
    assert not stage_threads()


def test_heavy_items_wait_for_each_other_and_one_alone_never() -> None:
    begun = []

    def sizes() -> Iterator[int]:
        for size in (5, 90, 200, 5, 5):
            begun.append(size)
            yield size

    ahead = run_ahead(sizes(), 10, weigh=lambda size: size, budget=100)
    assert next(ahead) == 5
    time.sleep(0.1)
    assert begun == [5, 90, 200], "200 waits in the thread's hand until nothing else is held"
    assert list(ahead) == [90, 200, 5, 5]


def test_an_error_arrives_after_what_came_before_it() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise KeyError("lost")

    ahead = run_ahead(fail(), depth=2)
    assert next(ahead) == 1
    with pytest.raises(KeyError, match="lost"):
        next(ahead)
    assert not stage_threads()


def test_an_early_end_closes_the_iterator_in_its_thread() -> None:
    closed_in = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread().name)

    ahead = run_ahead(endless(), depth=1)
    next(ahead)
    ahead.close()
    assert closed_in == ["run_ahead"]
    assert not stage_threads()


def test_stages_in_a_row_end_together() -> None:
    first = run_ahead(iter(range(1000)), depth=2)
    second = run_ahead((i + 1 for i in first), depth=2)
    assert [next(second), next(second)] == [1, 2]
    second.close()
    first.close()
    assert not stage_threads()
