"""Speed of drawing one frame, beside a plain blend of each mask over the whole frame.

    python benchmarks/draw.py

One thread, labels already drawn once, as in a video. Prints a Markdown table: the median of many frames, in ms.
"""

import platform
import time
from collections.abc import Callable

import cv2
import numpy as np

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.render.colours import class_colour
from ovdet_cli.render.draw import DrawStyle, draw_detections

LABELS = ["person", "traffic light", "bicycle", "猫", "wine glass", "dining table", "книга", "قطة", "umbrella", "bus"]
CASES = [(480, 640, 10), (720, 1280, 20), (1080, 1920, 20), (720, 1280, 60), (3000, 4000, 20)]


def scene(height: int, width: int, count: int) -> tuple[np.ndarray, Detections]:
    """A picture of noise with wavy masks; the boxes' areas add up to about half of it."""
    rng = np.random.default_rng(0)
    side = np.sqrt(0.5 / count)
    boxes, masks = [], []
    for i in range(count):
        w, h = (max(8, round(length * side * rng.uniform(0.6, 1.4))) for length in (width, height))
        left, top = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        y, x = np.mgrid[:h, :w]
        angle = np.arctan2(y - h / 2, x - w / 2)
        piece = np.hypot((y - h / 2) / (h / 2), (x - w / 2) / (w / 2)) < 0.88 + 0.1 * np.sin(5 * angle + i)
        boxes.append((left, top, left + w, top + h))
        masks.append(Mask.from_piece(piece, left, top, (height, width)))
    scores = np.sort(rng.uniform(0.3, 1, count).astype(np.float32))[::-1].copy()
    class_ids = rng.integers(0, len(LABELS), count)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, Detections(np.array(boxes, np.float32), scores, class_ids, masks)


def plain_blend(image: np.ndarray, detections: Detections) -> np.ndarray:
    """What is often done: every mask as a full picture, blended where it is set. No contours, boxes or labels."""
    canvas = image.copy()
    for class_id, mask in zip(detections.class_ids.tolist(), detections.masks or [], strict=True):
        bitmap = mask.bitmap()
        colour = np.array(class_colour(LABELS[class_id]))
        canvas[bitmap] = (0.625 * canvas[bitmap] + 0.375 * colour).astype(np.uint8)
    return canvas


def median_ms(call: Callable[[], object]) -> float:
    """Median time of a call after one that does not count."""
    call()
    times, end = [], time.perf_counter() + 1.5
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main() -> None:
    """Measures every case and prints the table."""
    cv2.setNumThreads(1)
    print(
        f"Python {platform.python_version()}, OpenCV {cv2.__version__}, {platform.processor() or platform.machine()}\n"
    )
    print("| picture | masks | everything | boxes and labels only | plain blend of the masks | ratio |")
    print("|---|---|---|---|---|---|")
    for height, width, count in CASES:
        image, found = scene(height, width, count)
        ours = median_ms(lambda: draw_detections(image, found, LABELS))  # noqa: B023
        boxes = median_ms(lambda: draw_detections(image, found, LABELS, DrawStyle(masks=False)))  # noqa: B023
        plain = median_ms(lambda: plain_blend(image, found))  # noqa: B023
        print(f"| {width}x{height} | {count} | {ours:.2f} | {boxes:.2f} | {plain:.2f} | {plain / ours:.1f} |")


if __name__ == "__main__":
    main()
