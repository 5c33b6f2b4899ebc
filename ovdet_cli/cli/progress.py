"""Progress of a run: a live line on a terminal, a plain one now and then elsewhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tqdm import tqdm

from ovdet_cli.cli import console

if TYPE_CHECKING:
    from ovdet_cli.pipeline.summary import RunSummary

_HOUR_S = 3600.0
_JUDGE_AFTER_S = 15.0  # an estimate made earlier would mostly measure the start-up
_PLAIN_LINE_S = 30.0


class RunProgress:
    """Shows a run's progress on stderr; a context manager.

    total: pictures and frames to come, if known; else inputs are counted.
    """

    def __init__(self, total: int | None, inputs: int, *, has_video: bool, is_quiet: bool) -> None:
        self._counts_frames = total is not None
        self._total = total if total is not None else inputs
        self._has_video = has_video
        self._has_warned = False
        self._started = time.monotonic()
        self._rich: Progress | None = None
        self._next_line_s = _PLAIN_LINE_S if not is_quiet and not console.err.is_terminal else float("inf")
        if not is_quiet and console.err.is_terminal:
            self._rich = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[found]}"),
                console=console.err,
                transient=True,
            )
            self._task = self._rich.add_task("starting", total=self._total, rate="", found="")

    def update(self, summary: "RunSummary") -> None:
        """Shows where the run stands; says once when more than an hour is left."""
        done = summary.frames + summary.failed if self._counts_frames else summary.inputs_done
        elapsed = time.monotonic() - self._started
        rate = done / elapsed if elapsed > 0 else 0.0
        if self._rich:
            name = summary.current if len(summary.current) <= 32 else f"…{summary.current[-31:]}"
            self._rich.update(
                self._task,
                completed=done,
                total=max(self._total, done),
                description=escape(name),
                rate=f"{rate:.1f}/s" if rate >= 1 or not done else f"{1 / rate:.1f} s each",
                found=f"{summary.detections} found" + (f", {summary.failed} failed" if summary.failed else ""),
            )
        if elapsed >= self._next_line_s:
            self._next_line_s = elapsed + _PLAIN_LINE_S
            # A line of its own each time: a log has no use for a bar that returns to its beginning.
            console.say(tqdm.format_meter(done, max(self._total, done), elapsed, ncols=100, ascii=True, unit="fr"))
        if not self._has_warned and elapsed > _JUDGE_AFTER_S and rate and (self._total - done) / rate > _HOUR_S:
            self._has_warned = True
            self._warn_long((self._total - done) / rate)

    def _warn_long(self, seconds: float) -> None:
        fewer = "--every N analyses fewer frames" if self._has_video else "a smaller model is quicker"
        console.warn(
            f"about {seconds / _HOUR_S:.1f} hours are left at this rate; {fewer}, --imgsz 480 and --no-masks help too"
        )

    def __enter__(self) -> Self:
        if self._rich:
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich:
            self._rich.stop()
