"""Frames a second of a run whose detector does nothing, beside the plainest loops over the same clip.

    python benchmarks/video/speed.py [CLIP] [--rounds N] [--json FILE]

Four ways from a clip to a clip, taken in turns in one process, so that a busy machine disturbs all of them alike:

- `ovdet`: the run itself, records and all: decode, null detector, draw, encode with the sound (no detections to draw);
- `ovdet, 20 boxes`: the same with 20 boxes and labels drawn onto every frame;
- `bare PyAV`: a loop of threaded decode -> RGB -> encode with the same encoder, preset and CRF; no sound;
- `OpenCV`: VideoCapture -> VideoWriter, its own MPEG-4 part 2 at its own quality (the wheels carry no H.264 encoder).

Without CLIP a synthetic one is made: 1280 x 720, 30 frames a second, moving texture and sound. Prints a Markdown table:
the median of the rounds in frames a second and seconds of processor time, and the ratios to the bare loop in its round.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from benchmarks.video.clips import make_clip
from ovdet_cli.detections import Detections
from ovdet_cli.detector.detector import Detector
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.media.inputs import collect_inputs
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.run import run
from ovdet_cli.vocabulary.vocabulary import Vocabulary

ENCODER, OPTIONS = next(pair for pair in Encoding(hwaccel="none").candidates())


class NullDetector(Detector):
    """Finds the same boxes everywhere, at once."""

    boxes = Detections.empty()

    def analyse(self, images: Sequence[np.ndarray], vocabulary: Any, keep: Any = None) -> list[tuple[Detections, None]]:
        """The same for every picture."""
        return [(self.boxes, None) for _ in images]


def some_boxes(count: int, width: int, height: int) -> Detections:
    """Boxes of a third of the picture's side, spread over it."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 2 / 3, (count, 2)) * (width, height)
    boxes = np.concatenate([corner, corner + np.array((width, height)) / 3], axis=1).astype(np.float32)
    return Detections(boxes, np.linspace(0.9, 0.7, count, dtype=np.float32), np.arange(count), None)


def run_ovdet(clip: Path, made: Path, detector: NullDetector, words: Any) -> None:
    """The whole road of a run."""
    with RunFolder(made / "run", overwrite=True) as folder:
        run(DetectJob(collect_inputs([str(clip)]), detector, words, folder, threshold=0.65))


def run_bare(clip: Path, made: Path) -> None:
    """Decode, RGB, encode."""
    with av.open(str(clip)) as source, av.open(str(made / "bare.mp4"), "w") as target:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        out = target.add_stream(ENCODER, rate=stream.average_rate, options=dict(OPTIONS))
        out.width, out.height, out.pix_fmt = stream.width, stream.height, "yuv420p"
        out.codec_context.time_base = stream.time_base
        for frame in source.decode(stream):
            drawn = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            drawn.pts, drawn.time_base = frame.pts, frame.time_base
            target.mux(out.encode(drawn))
        target.mux(out.encode(None))


def run_opencv(clip: Path, made: Path) -> None:
    """What most tools do."""
    source = cv2.VideoCapture(str(clip))
    size = (int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    code = cv2.VideoWriter.fourcc(*"mp4v")
    target = cv2.VideoWriter(str(made / "opencv.mp4"), code, source.get(cv2.CAP_PROP_FPS), size)
    while True:
        is_read, picture = source.read()
        if not is_read:
            break
        target.write(picture)
    source.release()
    target.release()


def timed(call: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), os.times()
    call()
    now = os.times()
    return time.perf_counter() - wall, now.user + now.system - cpu.user - cpu.system


def main(clip: Path, rounds: int, made: Path) -> dict[str, Any]:
    """Measures and prints the table."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
        frames = sum(1 for packet in container.demux(stream) if packet.size)
    detector = NullDetector("builtin", device="cpu", precision="fp32")
    words = detector.prepare_words(Vocabulary.built_in("builtin"))
    boxes = some_boxes(20, width, height)

    def ovdet(found: Detections) -> None:
        detector.boxes = found
        run_ovdet(clip, made, detector, words)

    ways: dict[str, Callable[[], None]] = {
        "ovdet": lambda: ovdet(Detections.empty()),
        "ovdet, 20 boxes": lambda: ovdet(boxes),
        "bare PyAV": lambda: run_bare(clip, made),
        "OpenCV": lambda: run_opencv(clip, made),
    }
    for way in ways.values():
        way()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            spent[name].append(timed(way))
    bare = np.array(spent["bare PyAV"])
    print(f"{clip.name}: {width}x{height}, {frames} frames, {ENCODER} {OPTIONS}, {rounds} rounds; {machine()}\n")
    print("| way | frames a second | processor s | speed against bare | processor against bare |")
    print("|---|---|---|---|---|")
    rows = {}
    for name, seconds in spent.items():
        wall, cpu = np.median(np.array(seconds), axis=0)
        speed = float(np.median(bare[:, 0] / np.array(seconds)[:, 0]))
        load = float(np.median(np.array(seconds)[:, 1] / bare[:, 1]))
        rows[name] = {"fps": frames / wall, "cpu_s": float(cpu), "speed_ratio": speed, "cpu_ratio": load}
        print(f"| {name} | {frames / wall:.0f} | {cpu:.2f} | {speed:.2f} | {load:.2f} |")
    return {"clip": clip.name, "frames": frames, "size": [width, height], "machine": machine(), "ways": rows}


def machine() -> str:
    """What it was measured on."""
    return f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, PyAV {av.__version__}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        source = arguments.clip or make_clip(Path(scratch) / "synthetic.mp4")
        result = main(source, arguments.rounds, Path(scratch))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
