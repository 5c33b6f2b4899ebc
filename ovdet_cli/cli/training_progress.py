"""Progress of a training: a live line on a terminal, a plain one now and then elsewhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ovdet_cli.cli import console

if TYPE_CHECKING:
    from ovdet_cli.training.loop import Progress as Step

_PLAIN_LINE_S = 30.0


class TrainingProgress:
    """Shows a training's progress on stderr; a context manager.

    first, end: iterations done when it begins and when it ends.
    """

    def __init__(self, first: int, end: int, *, is_quiet: bool) -> None:
        self._first, self._end = first, end
        self._started = time.monotonic()
        self._losses = ""
        self._rich: Progress | None = None
        self._next_line_s = _PLAIN_LINE_S if not is_quiet and not console.err.is_terminal else float("inf")
        if not is_quiet and console.err.is_terminal:
            self._rich = Progress(
                TextColumn("training"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[losses]}"),
                console=console.err,
                transient=True,
            )
            self._task = self._rich.add_task("training", total=end, completed=first, losses="")

    def show(self, step: "Step") -> None:
        """Takes the losses of the last iterations."""
        self._losses = f"loss {step.losses.get('total', float('nan')):.3f}, rate {step.rate:.2g}"
        if self._rich:
            self._rich.update(self._task, losses=self._losses)

    def tick(self, iteration: int) -> None:
        """Moves on to an iteration."""
        if self._rich:
            self._rich.update(self._task, completed=iteration)
        elapsed = time.monotonic() - self._started
        if elapsed >= self._next_line_s:
            self._next_line_s = elapsed + _PLAIN_LINE_S
            left = elapsed / (iteration - self._first) * (self._end - iteration)
            parts = [f"{iteration} of {self._end}", f"{left / 60:.0f} minutes left", self._losses]
            console.say(", ".join(part for part in parts if part))

    def __enter__(self) -> Self:
        if self._rich:
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich:
            self._rich.stop()
