"""Resident memory of a run over a long video: after 100,000 frames beside that after 1,000.

    python -m benchmarks.frames.memory [--frames 100000] [--render none] [--skip-similar] [--track]

All of the road is real (decode, stages, records, drawing, encoding) but the network: a detector that finds one box at
once stands in for it. The video is made here, small, so that frames and not pixels are what there is much of.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.detector.detector import Detector
from ovdet_cli.media.sources import collect_inputs
from ovdet_cli.pipeline.folder import RunFolder
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.run import run
from ovdet_cli.pipeline.similar import SkipSimilar
from ovdet_cli.pipeline.summary import RunSummary
from ovdet_cli.pipeline.track_stage import plan_tracking
from ovdet_cli.vocabulary.vocabulary import Vocabulary

SIZE_HW = (48, 64)
ALLOWED_MB = 50


def make_video(path: Path, frames: int) -> None:
    """A square that moves over a plain ground, and stands still every other second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = SIZE_HW[1], SIZE_HW[0], "yuv420p"
        for i in range(frames):
            picture = np.full((*SIZE_HW, 3), 60, np.uint8)
            x = (i // 25 * 12 + (i % 25 if i // 25 % 2 else 0)) % 50
            picture[20:32, x : x + 12] = (200, 180, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))


def find_at_once(images: Sequence[np.ndarray], *_: Any) -> list[tuple[Detections, None]]:
    """In place of a network: a box around what is bright."""
    found = []
    for image in images:
        xs = np.flatnonzero(image[26, :, 0] > 130)
        box = np.array([[xs[0], 20, xs[-1] + 1, 32]] if len(xs) else np.zeros((0, 4)), np.float32)
        found.append((Detections(box, np.full(len(box), 0.9, np.float32), np.zeros(len(box), np.int64)), None))
    return found


def resident_mb() -> float:
    """What of this process is in memory now, by Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--render", default="all")
    parser.add_argument("--skip-similar", action="store_true")
    parser.add_argument("--track", action="store_true")
    args = parser.parse_args()
    detector = Detector("builtin", device="cpu", masks=False)
    words = detector.prepare_words(Vocabulary(["square"]))
    tracking = None
    if args.track:
        tracking, words = plan_tracking(detector, words, detector.rules.threshold)
    detector.analyse = find_at_once  # type: ignore[method-assign, assignment]
    measured: dict[int, float] = {}

    def measure(summary: RunSummary) -> None:
        count = summary.video_frames
        if count and count % 1000 == 0 and count not in measured:
            measured[count] = resident_mb()
            if count in (1000, 2000, 5000) or count % 10_000 == 0:
                print(f"| {count} | {measured[count]:.1f} |", flush=True)

    print("| after frames | resident, MB |\n| --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "long.mp4")
        make_video(clip, args.frames)
        gc.collect()
        begun = time.perf_counter()
        with RunFolder(Path(folder, "run")) as run_folder:
            job = DetectJob(
                collect_inputs([str(clip)]), detector, words, run_folder,
                threshold=0.7, render=args.render, tracking=tracking,
                skip_similar=SkipSimilar() if args.skip_similar else None,
            )  # fmt: skip
            summary = run(job, measure)
        seconds = time.perf_counter() - begun
    growth, most = measured[max(measured)] - measured[1000], max(measured.values()) - measured[1000]
    print(f"\n{summary.video_frames} frames ({summary.reused} reused) in {seconds:.0f} s")
    print(f"growth {growth:+.1f} MB, at most {most:+.1f} MB; {ALLOWED_MB} are allowed")
    raise SystemExit(growth > ALLOWED_MB)


if __name__ == "__main__":
    main()
