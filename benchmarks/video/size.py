"""Size and quality of what a run writes, against its source; no detections are drawn.

    python benchmarks/video/size.py CLIP... [--codec h264|hevc|av1] [--crf N,N]

Each clip is read and written as a run does it, and by OpenCV's VideoCapture and VideoWriter. Prints a Markdown table:
the size of the video stream's packets against the source's, PSNR and SSIM of the luma against the decoded source
(SSIM: Wang et al. 2004, Gaussian window of 11, over every fifth frame), and frames a second.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.video.speed import run_opencv
from ovdet_cli.frame import Frame
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.media.video import read_video
from ovdet_cli.media.video_writer import VideoWriter

CRFS = (18, 20, 23, 26)
EVERY = 5


def lumas(path: Path) -> Iterator[np.ndarray]:
    """The brightness of every fifth frame, float32, as stored."""
    with av.open(str(path)) as container:
        for frame in itertools.islice(container.decode(video=0), 0, None, EVERY):
            plane = frame.reformat(format="yuv420p").planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            yield rows[:, : plane.width].astype(np.float32)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, with K1 = 0.01, K2 = 0.03 and the mean over the picture."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def likeness(source: Path, made: Path) -> tuple[float, float]:
    """PSNR in dB and SSIM, over all compared frames."""
    errors, likes = [], []
    for a, b in zip(lumas(source), lumas(made), strict=True):
        b = b[: a.shape[0], : a.shape[1]]
        errors.append(float(np.mean((a - b) ** 2)))
        likes.append(ssim(a, b))
    return 10 * float(np.log10(255**2 / max(np.mean(errors), 1e-9))), float(np.mean(likes))


def video_bytes(path: Path) -> int:
    """Of the pictures alone."""
    with av.open(str(path)) as container:
        return sum(packet.size for packet in container.demux(video=0))


def main(clips: list[Path], codec: str, crfs: list[int]) -> None:
    """Measures and prints the table."""
    print("| clip | written by | size / source | PSNR dB | SSIM | frames a second |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for clip in clips:
            for crf in crfs:
                made = Path(scratch) / f"{clip.stem}-{crf}.mp4"
                begun, frames = time.perf_counter(), 0
                with VideoWriter(made, clip, encoding=Encoding(codec, crf, hwaccel="none")) as writer:  # type: ignore[arg-type]
                    for item in read_video(clip, clip.name):
                        if isinstance(item, Frame) and item.time_s is not None:
                            writer.write(item.image, item.time_s)
                            frames += 1
                show(clip, f"ovdet, {codec} CRF {crf}", made, frames / (time.perf_counter() - begun))
            begun = time.perf_counter()
            run_opencv(clip, Path(scratch))
            show(clip, "OpenCV, mp4v", Path(scratch) / "opencv.mp4", frames / (time.perf_counter() - begun))


def show(clip: Path, name: str, made: Path, rate: float) -> None:
    """One row."""
    psnr, like = likeness(clip, made)
    ratio = video_bytes(made) / video_bytes(clip)
    print(f"| {clip.name} | {name} | {ratio:.2f} | {psnr:.1f} | {like:.4f} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--codec", default="h264", choices=("h264", "hevc", "av1"))
    parser.add_argument("--crf", default=",".join(map(str, CRFS)))
    arguments = parser.parse_args()
    main(arguments.clips, arguments.codec, [int(crf) for crf in arguments.crf.split(",")])
