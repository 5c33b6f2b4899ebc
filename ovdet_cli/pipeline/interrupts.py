"""Ctrl-C and SIGTERM where they may arrive, and nowhere else: a file is never left half-written by them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptGuard:
    """While it is entered, a signal becomes KeyboardInterrupt inside `window` alone; one that comes earlier waits.

    After the first interruption no window opens again, so that a second Ctrl-C cannot break the finishing of files.
    Outside the main thread, where signals cannot be caught, it does nothing.
    """

    def __init__(self) -> None:
        self._old: dict[signal.Signals, Any] = {}
        self._is_open = False
        self._is_wanted = False

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        self._is_wanted = True
        if self._is_open:
            self._is_open = False
            raise KeyboardInterrupt

    @contextmanager
    def window(self) -> Iterator[None]:
        """Where an interruption does no harm, as in waiting for the next frame."""
        if self._is_wanted:
            raise KeyboardInterrupt
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._old = {number: signal.signal(number, self._arrive) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
