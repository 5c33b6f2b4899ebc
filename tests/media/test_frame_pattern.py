"""Numbered pictures as one video: which files fit, what their numbers mean, what happens to bad ones."""

import logging
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media.frame_pattern import SequenceInfo, is_frame_pattern, numbered_files, read_sequence, stem_of
from ovdet_cli.media.images import write_image
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import SequenceSource, collect_inputs, count_sampled, open_source


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names: str, size_hw: tuple[int, int] = (8, 12)) -> None:
    for shade, name in enumerate(names):
        write_image(Path(name), np.full((*size_hw, 3), 20 * shade, np.uint8))


def info(pattern: str, fps: int = 25) -> SequenceInfo:
    return SequenceInfo(pattern, Path(pattern), "video", Fraction(fps))


def test_numbers_are_read_as_c_writes_them() -> None:
    for name in ("f_0007.png", "f_0010.png", "f_12345.png", "f_7.png", "f_00011.png", "f_0x12.png", "g_0001.png"):
        Path(name).touch()
    assert [number for number, _ in numbered_files(Path("f_%04d.png"))] == [7, 10, 12345]
    assert [number for number, _ in numbered_files(Path("f_%d.png"))] == [7, 12345]
    Path("100%_3.png").touch()
    assert [number for number, _ in numbered_files(Path("100%%_%d.png"))] == [3]


@pytest.mark.parametrize("name", ["f_%d_%d.png", "f_%s_%d.png", "f_%d.mp4", "f_%d"])
def test_what_is_no_pattern_says_what_is(name: str) -> None:
    with pytest.raises(UsageError, match=r"frame_%05d\.png"):
        numbered_files(Path(name))


def test_only_the_name_makes_a_pattern() -> None:
    assert is_frame_pattern("a/frame_%05d.png")
    assert is_frame_pattern("%d.png")
    assert not is_frame_pattern("a%d/frame.png")
    assert not is_frame_pattern("50%%d.png")
    assert stem_of("shots/take-1_%04d.png") == "take-1"
    assert stem_of("shots/%04d.png") == "shots"


def test_gaps_are_gaps_in_time() -> None:
    write("f_07.png", "f_08.png", "f_12.png")
    frames = list(read_sequence(info("f_%02d.png", 10), Sampling(), keep_all=False))
    assert [(frame.index, frame.time_s) for frame in frames] == [
        (0, Fraction(0)), (1, Fraction(1, 10)), (2, Fraction(1, 2)),
    ]  # fmt: skip


def test_ranges_and_samples() -> None:
    write(*(f"{number}.png" for number in range(1, 11)))
    part = Sampling(every=2, start_s=Fraction(2, 10), end_s=Fraction(8, 10))
    frames = list(read_sequence(info("%d.png", 10), part, keep_all=True))
    assert [(f.index, f.is_sampled) for f in frames if isinstance(f, Frame)] == [
        (2, True), (3, False), (4, True), (5, False), (6, True), (7, False),
    ]  # fmt: skip
    assert count_sampled(info("%d.png", 10), part) == 3
    (failure,) = read_sequence(info("%d.png", 10), Sampling(start_s=Fraction(5)), keep_all=False)
    assert isinstance(failure, Failure)
    assert "0.90 s" in failure.error


def test_a_broken_picture_fails_in_its_place_and_another_size_is_told(caplog: pytest.LogCaptureFixture) -> None:
    write("1.png", "3.png")
    Path("2.png").write_bytes(b"no picture")
    write("4.png", size_hw=(10, 14))
    with caplog.at_level(logging.WARNING):
        frames = list(read_sequence(info("%d.png"), Sampling(), keep_all=False))
    assert [type(frame) for frame in frames] == [Frame, Failure, Frame, Frame]
    assert (frames[1].index, frames[1].time_s) == (1, Fraction(1, 25))
    assert "12x8, and 14x10 from frame 3 on" in caplog.text


def test_as_an_argument_and_in_a_list() -> None:
    write("in/f_1.png", "in/f_2.png", "b.png")
    inputs = collect_inputs(["in/f_%d.png", "b.png"], input_fps=Fraction(5))
    assert [(source.name, source.kind) for source in inputs.sources] == [("in/f_%d.png", "video"), ("b.png", "image")]
    source = open_source(inputs.sources[0])
    assert isinstance(source, SequenceSource)
    assert [frame.time_s for frame in source.frames()] == [0, Fraction(1, 5)]
    assert collect_inputs(["in/f_%d.png"]).name == "f"
    Path("in/list.txt").write_text("f_%d.png\nnone_%d.png\n")
    listed = collect_inputs(["@in/list.txt"])
    assert [source.name for source in listed.sources] == ["f_%d.png"]
    assert "fits the pattern" in listed.missing[0].error
    with pytest.raises(UsageError, match="fits the pattern"):
        collect_inputs(["in/g_%d.png"])
    with pytest.raises(InputError, match="nowhere"):
        collect_inputs(["nowhere/g_%d.png"])
    with pytest.raises(UsageError, match="input-fps"):
        collect_inputs(["in/f_%d.png"], input_fps=Fraction(0))


def test_a_file_that_is_really_called_so_is_a_file() -> None:
    write("odd_%d.png")
    (source,) = collect_inputs(["odd_%d.png"]).sources
    assert source.kind == "image"
    assert not isinstance(source, SequenceInfo)


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(b"caf\xe9_1.png")).touch()
    assert len(numbered_files(Path(os.fsdecode(b"caf\xe9_%d.png")))) == 1
