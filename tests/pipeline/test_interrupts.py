"""InterruptGuard: where Ctrl-C arrives, and that files are finished all the same."""

import os
import signal
import threading

import pytest

from ovdet_cli.pipeline.interrupts import InterruptGuard


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_window_interrupts_at_once(number: signal.Signals) -> None:
    with InterruptGuard() as guard, pytest.raises(KeyboardInterrupt), guard.window():
        os.kill(os.getpid(), number)
        pytest.fail("the window went on")


def test_a_signal_outside_waits_for_the_next_window() -> None:
    done = []
    with InterruptGuard() as guard:
        interrupt()
        done.append("the file is finished")
        with pytest.raises(KeyboardInterrupt), guard.window():
            pytest.fail("the window opened")
    assert done


def test_only_the_first_one_interrupts() -> None:
    with InterruptGuard() as guard:
        with pytest.raises(KeyboardInterrupt), guard.window():
            interrupt()
        interrupt()
        interrupt()


def test_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with InterruptGuard():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_other_threads_are_left_alone() -> None:
    passed = []

    def work() -> None:
        with InterruptGuard() as guard, guard.window():
            passed.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert passed
