"""How much of a full run's findings is left with fewer frames, and how many are saved.

    python -m benchmarks.frames.skip [clip.mp4 ...]

Every frame is analysed once; what --skip-similar, --keyframes, --scenes and --every would have shown is then put
together from that, as a frame that is not analysed shows the detections before it. For each frame:

    boxes   share of the full run's detections that are shown with the same label and an IoU of 0.5 or more
    true    share of what is shown that the full run has, likewise
    things  share of the labels that the full run finds in five frames or more, and that are found at all
    saved   share of the frames that the network need not see
"""

import argparse
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.frames.clips import CLIPS, SAMPLES, write_clip
from ovdet_cli.detections import Detections
from ovdet_cli.detector.detector import Detector
from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import collect_inputs, open_source
from ovdet_cli.pipeline.similar import LEVELS, SkipSimilar, mark_similar
from ovdet_cli.pipeline.stream import read_inputs
from ovdet_cli.vocabulary.vocabulary import Vocabulary

ENOUGH_IOU = 0.5
OFTEN = 5


@dataclass(frozen=True)
class Score:
    """What the columns of the table mean is told at the top."""

    boxes: float
    true: float
    things: float
    saved: float


def frames_of(clip: Path, sampling: Sampling = Sampling()) -> list[Frame]:  # noqa: B008 - frozen
    info = SourceInfo(clip.name, clip, "video")
    return [frame for frame in open_source(info, sampling, keep_all=True).frames() if isinstance(frame, Frame)]


def similar(level: str) -> Callable[[Path], list[Frame]]:
    def mark(clip: Path) -> list[Frame]:
        steps = read_inputs(collect_inputs([str(clip)]), Sampling(), keep_all=True, workers=1)
        marked = mark_similar(steps, SkipSimilar(level))  # type: ignore[arg-type]
        return [step for step in marked if isinstance(step, Frame)]

    return mark


WAYS: dict[str, Callable[[Path], list[Frame]]] = {
    **{f"--skip-similar --similar {level}": similar(level) for level in LEVELS},
    "--every 5": lambda clip: frames_of(clip, Sampling(every=5)),
    "--keyframes": lambda clip: frames_of(clip, Sampling(keyframes=True)),
    "--scenes": lambda clip: frames_of(clip, Sampling(scenes=True)),
}


def num_matched(some: Detections, among: Detections) -> int:
    """How many of `some` have one of the same class at their place."""
    if not len(some) or not len(among):
        return 0
    a, b = some.boxes_xyxy[:, None], among.boxes_xyxy[None]
    size = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - size
    is_same = some.class_ids[:, None] == among.class_ids[None]
    return int(((size / union >= ENOUGH_IOU) & is_same).any(axis=1).sum())


def score(full: list[Detections], frames: list[Frame]) -> Score:
    last, shown, asked = Detections.empty(), [], []
    for frame in frames:
        if frame.is_cut:
            last = Detections.empty()
        if frame.is_sampled and not frame.is_reused:
            last = full[frame.index]
            asked.append(frame.index)
        shown.append(last)
    hits = sum(num_matched(one, other) for one, other in zip(full, shown, strict=True))
    right = sum(num_matched(one, other) for one, other in zip(shown, full, strict=True))
    often = {
        label for label, n in Counter(c for one in full for c in set(one.class_ids.tolist())).items() if n >= OFTEN
    }
    found = {label for index in asked for label in full[index].class_ids.tolist()}
    return Score(
        hits / max(1, sum(map(len, full))),
        right / max(1, sum(map(len, shown))),
        len(often & found) / max(1, len(often)),
        1 - len(asked) / len(frames),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    args = parser.parse_args()
    detector = Detector("builtin", device="cpu", masks=False)
    words = detector.prepare_words(Vocabulary.built_in(detector.spec.vocabulary))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, built-in model\n")
    print("| clip | frames | ms a frame | way | boxes | true | things | saved | cost, ms a frame |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        made = [write_clip(Path(folder, f"{name}.mp4"), name) for name in CLIPS]
        for clip in args.clips or [*made, SAMPLES / "clip.mp4"]:
            begun = time.perf_counter()
            plain = frames_of(clip)
            decoding_s = time.perf_counter() - begun
            begun = time.perf_counter()
            full = [words.strong(detector.detect(frame.image, words), detector.rules.threshold) for frame in plain]
            each_ms = 1000 * (time.perf_counter() - begun) / len(plain)
            for way, mark in WAYS.items():
                begun = time.perf_counter()
                marked = mark(clip)
                cost_ms = 1000 * (time.perf_counter() - begun - decoding_s) / len(plain)
                s = score(full, marked)
                print(
                    f"| {clip.stem} | {len(plain)} | {each_ms:.0f} | {way} | {s.boxes:.3f} | {s.true:.3f} | "
                    f"{s.things:.2f} | {s.saved:.2f} | {max(0.0, cost_ms):.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
