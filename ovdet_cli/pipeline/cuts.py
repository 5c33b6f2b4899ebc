"""Where a shot begins in a video whose objects are followed: no object goes on across a hard cut."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

from ovdet_cli.frame import Frame
from ovdet_cli.media.shots import CutFinder, Look
from ovdet_cli.pipeline.stream import Step

_FAR_S = Fraction(1, 5)
"""Of frames further apart a cut cannot be told from movement."""
_MOST_HELD = 48
_MOST_BYTES = 1 << 28


def mark_cuts(steps: Generator[Step, None, None]) -> Generator[Step, None, None]:
    """Sets `is_cut` in the first video frame of each shot but the first; everything passes in its place.

    Frames wait only while a cut is suspected: a quarter of a second.
    """
    finder, held = CutFinder(), list[Frame]()
    last_s: Fraction | None = None
    with closing(steps):
        for step in steps:
            if not isinstance(step, Frame) or step.time_s is None:
                yield from _ended(finder, held)
                finder, held, last_s = CutFinder(), [], None
                yield step
                continue
            if last_s is not None and step.time_s - last_s > _FAR_S:
                yield from _ended(finder, held)
                finder, held = CutFinder(), []
            last_s = step.time_s
            held.append(step)
            ago = finder.push(Look.of(step.image), step.time_s)
            if ago is not None:
                held[-1 - ago] = replace(held[-1 - ago], is_cut=True)
            if finder.is_waiting and len(held) * step.image.nbytes < _MOST_BYTES and len(held) < _MOST_HELD:
                continue
            yield from held
            finder, held = CutFinder() if finder.is_waiting else finder, []
        yield from _ended(finder, held)


def _ended(finder: CutFinder, held: list[Frame]) -> list[Frame]:
    """What was held, with the cut that was still suspected."""
    if (ago := finder.finish()) is not None:
        held[-1 - ago] = replace(held[-1 - ago], is_cut=True)
    return held
