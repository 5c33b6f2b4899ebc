"""The stream of a run: order, batches, held boxes, frames that do not fit into memory."""

import threading
from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ovdet_cli.detections import Detections
from ovdet_cli.errors import DeviceError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import collect_inputs
from ovdet_cli.pipeline.overlap import run_ahead
from ovdet_cli.pipeline.stream import Begin, End, Found, Step, detect_frames, read_inputs

CLIP = SourceInfo("clip.mp4", Path("clip.mp4"), "video")
OTHER = SourceInfo("other.mp4", Path("other.mp4"), "video")


class ShadeDetector:
    """Finds one box whose class is the picture's first byte; pictures of 255 are too large for its memory."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def analyse(self, images: Sequence[np.ndarray], words: object, keep: object) -> list[tuple[Detections, None]]:
        self.batches.append(len(images))
        if any(image[0, 0, 0] == 255 for image in images):
            raise DeviceError("does not hold one picture")
        box = np.array([[0, 0, 1, 1]], np.float32)
        one = np.ones(1, np.float32)
        return [(Detections(box, one, np.array([image[0, 0, 0]], np.int64)), None) for image in images]


def frame(shade: int, index: int = 0, *, is_sampled: bool = True, source: str = "clip.mp4") -> Frame:
    return Frame(np.full((4, 4, 3), shade, np.uint8), source, index, Fraction(index), is_sampled)


def stream(steps: list[Step]) -> Generator[Step, None, None]:
    yield from steps


def test_an_error_of_the_detector_ends_every_stage(tmp_path: Path) -> None:
    class Broken:
        def analyse(self, images: Sequence[np.ndarray], words: object, keep: object) -> list[tuple[Detections, None]]:
            raise KeyError("broken")

    for i in range(30):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    before = threading.active_count()
    steps = run_ahead(read_inputs(collect_inputs([str(tmp_path)]), Sampling(), keep_all=False, workers=2), 2)
    results = run_ahead(detect_frames(steps, Broken(), None, 1), 2)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="broken"):
        list(results)
    assert threading.active_count() == before


def classes(results: list[Any]) -> list[Any]:
    """Begin and End by their source's name, failures by theirs, frames as (index, classes)."""
    shown: list[Any] = []
    for result in results:
        match result:
            case Begin(source):
                shown.append(f"+{source.name}")
            case End(source):
                shown.append(f"-{source.name}")
            case Failure():
                shown.append(f"!{result.source}")
            case Found(picture, detections):
                shown.append((picture.index, detections.class_ids.tolist()))
    return shown


def test_frames_between_samples_hold_the_last_boxes_and_no_video_inherits_them() -> None:
    steps: list[Step] = [
        Begin(CLIP),
        frame(1, 0),
        frame(9, 1, is_sampled=False),
        frame(2, 2),
        frame(9, 3, is_sampled=False),
        End(CLIP),
        Begin(OTHER),
        frame(9, 0, is_sampled=False),
        End(OTHER),
    ]
    for batch in (1, 2, 8):
        results = list(detect_frames(stream(steps), ShadeDetector(), None, batch))  # type: ignore[arg-type]
        assert classes(results) == [
            *("+clip.mp4", (0, [1]), (1, [1]), (2, [2]), (3, [2]), "-clip.mp4"),
            *("+other.mp4", (0, []), "-other.mp4"),
        ]


def test_batches_are_filled_across_inputs_and_failures_keep_their_place() -> None:
    steps: list[Step] = []
    for i in range(5):
        info = SourceInfo(f"{i}.png", Path(f"{i}.png"), "image")
        steps += [Begin(info), frame(i) if i != 2 else Failure(info.name, "broken"), End(info)]
    detector = ShadeDetector()
    results = list(detect_frames(stream(steps), detector, None, 4))  # type: ignore[arg-type]
    assert [r for r in classes(results) if not isinstance(r, str) or r[0] == "!"] == [
        *((0, [0]), (0, [1])),
        "!2.png",
        *((0, [3]), (0, [4])),
    ]
    assert sum(detector.batches) == 4
    assert max(detector.batches) > 1


def test_unsampled_frames_do_not_pile_up_in_memory() -> None:
    waiting = 0
    most = 0

    def steps() -> Any:
        nonlocal waiting, most
        for i in range(1000):
            waiting += 1
            most = max(most, waiting)
            yield frame(1, i, is_sampled=i % 100 == 0)

    for _ in detect_frames(steps(), ShadeDetector(), None, 4):  # type: ignore[arg-type]
        waiting -= 1
    assert most <= 4 * 4


def test_a_picture_too_large_for_memory_fails_alone() -> None:
    steps: list[Step] = [frame(1, 0), frame(255, 1), frame(3, 2)]
    results = list(detect_frames(stream(steps), ShadeDetector(), None, 3))  # type: ignore[arg-type]
    # It stays in the video, with the boxes before it, but is no analysed frame.
    assert classes(results) == [(0, [1]), "!clip.mp4", (1, [1]), (2, [3])]
    assert [r.frame.is_sampled for r in results if isinstance(r, Found)] == [True, False, True]
    assert isinstance(results[1], Failure)
    assert results[1].index == 1
    assert "does not hold" in results[1].error


def test_pictures_are_read_in_order_by_many_threads(tmp_path: Path) -> None:
    for i in range(20):
        Image.new("RGB", (8 + i, 8)).save(tmp_path / f"{i}.png")
    (tmp_path / "7.png").write_text("no picture")
    inputs = collect_inputs([str(tmp_path)])
    steps = list(read_inputs(inputs, Sampling(), keep_all=False, workers=4))
    widths = [
        s.image.shape[1] - 8 if isinstance(s, Frame) else s.source for s in steps if isinstance(s, Frame | Failure)
    ]
    assert widths == [*range(7), "7.png", *range(8, 20)]
    assert [type(step) for step in steps[:3]] == [Begin, Frame, End]
