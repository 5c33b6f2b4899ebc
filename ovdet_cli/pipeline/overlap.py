"""Overlap: an iterator that runs ahead in a thread of its own, at most so many items and so many bytes."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_BUDGET = 1 << 30
"""Bytes that items waiting between two stages may take: a few pictures of any size that is read."""
_POLL_S = 0.2  # a wait without an end cannot be interrupted by Ctrl-C everywhere


def run_ahead(
    items: Iterable[T],
    depth: int,
    weigh: Callable[[T], int] = lambda item: 0,
    budget: int = _BUDGET,
    on_stop: Callable[[], object] = lambda: None,
) -> Generator[T, None, None]:
    """Yields what `items` yields, in order, while a thread fetches up to `depth` items in advance.

    weigh: bytes an item takes. Items wait for each other when together they weigh more than `budget`; one alone never.
    An error of the thread reaches the caller in its place. When the caller stops early, the thread stops after the
    item it is at, `items` is closed in it, and it has ended before this generator has. on_stop: called before the
    thread is waited for, to hasten an item that takes long.
    """
    ready: deque[tuple[T, int]] = deque()
    changed = threading.Condition()
    weight = 0
    is_abandoned = is_exhausted = False
    failure: BaseException | None = None

    def hand_over(item: T) -> bool:
        nonlocal weight
        size = weigh(item)
        with changed:
            while not is_abandoned and ready and (len(ready) >= depth or weight + size > budget):
                changed.wait(_POLL_S)
            if is_abandoned:
                return False
            ready.append((item, size))
            weight += size
            changed.notify_all()
            return True

    def fetch() -> None:
        nonlocal is_exhausted, failure
        try:
            try:
                for item in items:
                    if not hand_over(item):
                        break
            finally:
                if close := getattr(items, "close", None):
                    close()
        except BaseException as error:  # handed to the caller, whatever it is
            failure = error
        with changed:
            is_exhausted = True
            changed.notify_all()

    thread = threading.Thread(target=fetch, name="run_ahead", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                while not ready and not is_exhausted:
                    changed.wait(_POLL_S)
                if not ready:
                    break
                item, size = ready.popleft()
                weight -= size
                changed.notify_all()
            yield item
        if failure is not None:
            raise failure
    finally:
        with changed:
            is_abandoned = True
            changed.notify_all()
        on_stop()
        thread.join()
