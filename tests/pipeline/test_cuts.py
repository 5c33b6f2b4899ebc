"""Hard cuts are marked where objects are followed; movement, flashes and frames far apart are none."""

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import numpy as np

from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.pipeline import cuts
from ovdet_cli.pipeline.cuts import mark_cuts
from ovdet_cli.pipeline.stream import Begin, End, Step

CLIP = SourceInfo("clip.mp4", Path("clip.mp4"), "video")


def scene(seed: int) -> np.ndarray:
    """Large blocks of colours that no other seed has."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=0).repeat(16, axis=1)


def shots(*lengths: int, rate: int = 25) -> list[Step]:
    seeds = [seed for seed, length in enumerate(lengths) for _ in range(length)]
    return [Frame(scene(seed), "clip.mp4", i, Fraction(i, rate)) for i, seed in enumerate(seeds)]


def marked(steps: list[Step]) -> list[Step]:
    def stream() -> Generator[Step, None, None]:
        yield from steps

    out = list(mark_cuts(stream()))
    assert [type(step) for step in out] == [type(step) for step in steps]
    indices = [[step.index for step in some if isinstance(step, Frame)] for some in (out, steps)]
    assert indices[0] == indices[1]
    return out


def cut_at(steps: list[Step]) -> list[int]:
    return [step.index for step in marked(steps) if isinstance(step, Frame) and step.is_cut]


def test_the_first_frame_of_each_shot() -> None:
    assert cut_at([Begin(CLIP), *shots(20, 20, 20), End(CLIP)]) == [20, 40]
    assert cut_at(shots(20, 2)) == [20]  # the video ends before it is sure


def test_a_flash_is_none() -> None:
    steps = shots(30)
    steps[12] = Frame(np.full((96, 128, 3), 255, np.uint8), "clip.mp4", 12, Fraction(12, 25))
    assert cut_at(steps) == []


def test_frames_far_apart_and_other_videos_are_not_compared() -> None:
    assert cut_at(shots(5, 5, rate=2)) == []
    assert cut_at([Begin(CLIP), *shots(10), End(CLIP), Begin(CLIP), *shots(0, 10), End(CLIP)]) == []
    picture = [Frame(scene(seed), f"{seed}.png") for seed in range(3)]
    assert cut_at([*picture]) == []


def test_a_failure_keeps_its_place() -> None:
    steps = shots(10, 10)
    steps.insert(11, Failure("clip.mp4", "damaged", 10))
    marked(steps)


def test_no_more_than_a_few_frames_wait(monkeypatch) -> None:
    monkeypatch.setattr(cuts, "_MOST_HELD", 3)
    assert cut_at(shots(10, 30, rate=200)) == []  # not sure by then, so none
