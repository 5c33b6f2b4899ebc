"""What --keyframes saves of decoding: a clip of 720p read whole, and its keyframes alone.

python -m benchmarks.frames.keyframes [clip]
"""

import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2

from benchmarks.frames.clips import SAMPLES
from ovdet_cli.frame import Frame
from ovdet_cli.media.images import read_image
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.video import read_video


def make_clip(path: Path) -> Path:
    """Ten seconds of a pan in 1280x720, with a keyframe every two seconds."""
    wide = cv2.resize(read_image(SAMPLES / "stickers.jpg"), (1600, 1066))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "veryfast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i in range(250):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(wide[i : i + 720, i : i + 1280].copy(), "rgb24")))
        container.mux(stream.encode(None))
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else make_clip(Path(folder, "pan.mp4"))
        for name, sampling in (("every frame", Sampling()), ("keyframes", Sampling(keyframes=True))):
            begun = time.perf_counter()
            count = sum(isinstance(frame, Frame) for frame in read_video(clip, clip.name, sampling))
            print(f"{name}: {count} frames in {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    main()
