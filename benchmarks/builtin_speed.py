"""Pictures a second of the built-in model, on pictures that are decoded already.

    python benchmarks/builtin_speed.py [THREADS]

The frames of the sample clip, 640 x 360, with the model's own list of names and masks, in float32 on the CPU; the
median of several rounds. A busy machine measures its other work too.
"""

import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ovdet_cli import Detector, Vocabulary
from ovdet_cli.media.inputs import collect_inputs
from ovdet_cli.media.sources import open_source

CLIP = Path(__file__).parents[1] / "samples" / "posts" / "clip.mp4"
FRAMES, ROUNDS = 20, 5


def main(threads: int) -> None:
    """Measures and prints one line."""
    torch.set_num_threads(threads)
    (info,) = collect_inputs([str(CLIP)]).sources
    frames = [frame.image for frame in open_source(info).frames()][::5][:FRAMES]
    detector = Detector("builtin", device="cpu", precision="fp32")
    words = detector.prepare_words(Vocabulary.built_in("builtin"))
    detector.detect(frames[0], words)
    seconds, found = [], 0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = sum(len(detector.detect(frame, words)) for frame in frames)
        seconds.append(time.perf_counter() - begun)
    rate = len(frames) / float(np.median(seconds))
    height, width = frames[0].shape[:2]
    print(
        f"{rate:.1f} pictures a second ({width}x{height}, {threads} threads, float32, {found / len(frames):.1f} "
        f"detections a picture; {platform.processor() or platform.machine()}, torch {torch.__version__})"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
