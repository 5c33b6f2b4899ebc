"""Overlap: an iterator that runs ahead in a thread of its own, at most so many items."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.2  # how soon a stage notices that the one after it is gone


class _End:
    """Closes the queue; carries the error that ended the stage, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def run_ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yields what `items` yields, in order, while a thread fetches up to `depth` items in advance.

    An error of the thread reaches the caller in its place. When the caller stops early, the thread stops after the
    item it is at, `items` is closed in it, and it has ended before this generator has.
    """
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    is_abandoned = threading.Event()

    def hand_over(item: T | _End) -> bool:
        while not is_abandoned.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def fetch() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not hand_over(item):
                    break
        except BaseException as caught:  # handed to the caller, whatever it is
            error = caught
        finally:
            if close := getattr(items, "close", None):
                close()
        hand_over(_End(error))

    thread = threading.Thread(target=fetch, name="run_ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = ready.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        is_abandoned.set()
        thread.join()
