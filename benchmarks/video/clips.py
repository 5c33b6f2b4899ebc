"""The clip that the video benchmarks make when none is given."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE_WH, RATE, SECONDS = (1280, 720), 30, 10


def pictures(count: int, size_wh: tuple[int, int]) -> "list[np.ndarray]":
    """A textured ground that pans, with discs that cross it, and a little sensor noise."""
    width, height = size_wh
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (height // 16 + 2, width // 8 + 2, 3), dtype=np.uint8)
    ground = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    ground = np.clip(ground.astype(np.int16) + rng.normal(0, 8, ground.shape), 0, 255).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    made = []
    for i in range(count):
        left = round(width / 2 * (1 + np.sin(i / 40)) / 2)
        picture = ground[:height, left : left + width].copy()
        for k in range(6):
            centre = width * (0.5 + 0.4 * np.sin(i / 25 + k)), height * (0.5 + 0.4 * np.cos(i / 31 + 2 * k))
            picture[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (20 + 10 * k) ** 2] = (40 * k, 255 - 40 * k, 128)
        made.append(picture)
    return made


def make_clip(path: Path, size_wh: tuple[int, int] = SIZE_WH, seconds: int = SECONDS) -> Path:
    """H.264 as a camera's, with a tone in AAC."""
    count = RATE * seconds
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "fast", "crf": "23"})
        video.width, video.height, video.pix_fmt = *size_wh, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for picture in pictures(count, size_wh):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        for start in range(0, 48000 * seconds, 1024):
            tone = (np.sin(np.arange(start, start + 1024) * 0.06) * 8000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path
