"""What each thing that is drawn on a frame costs on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.drawing.cost

Five seconds of a video at 720p: twenty things with masks move about, fast, and are followed. "Everything" is what
`VideoSink` does with a frame before it is encoded. The median frame's ms, of the thread's own time and of the wall
clock; each frame at the quickest of several passes, so that what else the machine does counts little.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.frame import Frame
from ovdet_cli.render.blur import Blur
from ovdet_cli.render.draw import DrawStyle, draw_onto
from ovdet_cli.render.ruler import Ruler
from ovdet_cli.render.trails import Trails

LABELS = ["person", "traffic light", "bicycle", "猫", "wine glass", "dining table", "книга", "قطة", "umbrella", "bus"]
NUM_FRAMES = 120
_PASSES = 7
_NOTHING = DrawStyle(masks=False, boxes=False, labels=False, scores=False)


def scene(height: int, width: int, count: int) -> list[tuple[Frame, Detections]]:
    """Frames of noise; the things' boxes add up to about half of a frame, and each moves on a curve of its own."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    sizes = (np.sqrt(0.5 / count) * rng.uniform(0.6, 1.4, (count, 2)) * (width, height)).round().astype(int)
    sizes = np.maximum(sizes, 8)
    phases, speeds = rng.uniform(0, 6.3, (count, 2)), rng.uniform(0.2, 0.8, (count, 2))
    pieces = []
    for i, (w, h) in enumerate(sizes.tolist()):
        y, x = np.mgrid[:h, :w]
        angle = np.arctan2(y - h / 2, x - w / 2)
        pieces.append(np.hypot((y - h / 2) / (h / 2), (x - w / 2) / (w / 2)) < 0.88 + 0.1 * np.sin(5 * angle + i))
    class_ids = rng.integers(0, len(LABELS), count)
    frames = []
    for index in range(NUM_FRAMES):
        time_s = Fraction(index, 25)
        room = np.array([width, height]) - sizes
        corners = (room * (0.5 + 0.5 * np.sin(phases + speeds * float(time_s)))).astype(int)
        boxes = np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)
        masks = [
            Mask.from_piece(piece, int(x), int(y), (height, width))
            for piece, (x, y) in zip(pieces, corners, strict=True)
        ]
        # Scores that change a little with every frame, as they do: few tags are ever the same twice.
        scores = np.sort(rng.uniform(0.3, 1, count).astype(np.float32))[::-1].copy()
        found = Detections(boxes, scores, class_ids, masks, np.arange(1, count + 1))
        frames.append((Frame(image, "a.mp4", index, time_s), found))
    return frames


def median_ms(frames: Sequence[tuple[Frame, Detections]], draw: Callable[[], Callable[..., object]]) -> list[float]:
    """Milliseconds of the median frame after the first quarter, each at its quickest pass: of the thread, of the clock.

    draw: begins a pass. What else the machine does takes time from single passes, seldom from all of them.
    """
    passes = []
    for _ in range(1 + _PASSES):
        times, drawing = [], draw()
        for frame, found in frames:
            begun, wall = time.thread_time(), time.perf_counter()
            drawing(frame, found)
            times.append((time.thread_time() - begun, time.perf_counter() - wall))
        passes.append(times)
    quickest = np.min(passes[1:], axis=0)  # the first one fills the caches, as the first seconds of a video do
    return (1000 * np.median(quickest[len(quickest) // 4 :], axis=0)).tolist()


def everything(style: DrawStyle) -> Callable[[Frame, Detections], np.ndarray]:
    """What `VideoSink` draws."""
    trails = Trails(LABELS, style)
    ruler = Ruler(LABELS, style, Fraction(0), Fraction(NUM_FRAMES, 25))

    def draw(frame: Frame, found: Detections) -> np.ndarray:
        canvas = np.array(frame.image, order="C")
        if style.trails_s:
            trails.follow(frame, found)
            trails.draw(canvas, frame.time_s or Fraction(0))
        draw_onto(canvas, found, LABELS, style)
        if style.has_ruler:
            ruler.draw(canvas, frame.time_s or Fraction(0), found)
        return canvas

    return draw


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT")
    parser.add_argument("--count", type=int, default=20, help="things in a frame")
    parser.add_argument("--save", help="where the last frame goes, as PNG, to look at it")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = map(int, arguments.size.split("x"))
    frames = scene(height, width, arguments.count)
    whole = DrawStyle(trails_s=2, has_ruler=True)
    styles = {
        "a copy of the frame": _NOTHING,
        "+ masks": replace(_NOTHING, masks=True),
        "+ boxes": replace(_NOTHING, boxes=True),
        "+ names and scores": replace(_NOTHING, labels=True, scores=True),
        "+ trails of 2 s": replace(_NOTHING, trails_s=2),
        "+ ruler": replace(_NOTHING, has_ruler=True),
        "masks, boxes, names, scores": DrawStyle(),
        "everything": whole,
    }
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one used; OpenCV {cv2.__version__}, ")
    print(f"numpy {np.__version__}, Python {platform.python_version()}; {arguments.count} things at {width}x{height}\n")
    print("| drawn | ms of the thread | ms of the clock |\n|---|---|---|")
    for name, style in styles.items():
        thread, wall = median_ms(frames, lambda style=style: everything(style))
        print(f"| {name} | {thread:.2f} | {wall:.2f} |")
    thread, wall = median_ms(frames, lambda: Blur(range(len(LABELS))).hidden)
    print(f"| blurring all of them | {thread:.2f} | {wall:.2f} |")
    if arguments.save:
        drawn = everything(whole)
        for frame, found in frames:
            canvas = drawn(frame, found)
        cv2.imwrite(arguments.save, canvas[..., ::-1])


if __name__ == "__main__":
    main()
