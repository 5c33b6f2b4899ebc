"""Draws the README's picture: `python samples/show_rendering.py`. Needs ovdet.

Its boxes, masks and names are what the sample street was drawn from, its scores are made up: it shows how findings are
rendered, not what a model finds.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import outdoors
from make_samples import draw_picture
from pen import Pen

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.media.images import read_image, write_image
from ovdet_cli.render.draw import draw_detections

SAMPLES = Path(__file__).parent
WIDTH, HEIGHT = 960, 640
WALKER = ("#ef5d60", "#3f4f7f", "#f2c09a", "#5b3a29")  # shirt, trousers, skin, hair
READER = ("#ffffff", "#2f7f86", "#a9714b", "#2b2430")
OBJECTS: tuple[tuple[str, float, Callable[[Pen], None]], ...] = (
    ("bus", 0.97, lambda pen: outdoors.draw_bus(pen.at(340, 536, 1.02))),
    ("car", 0.95, lambda pen: outdoors.draw_car(pen.at(690, 592, 1.12))),
    ("bicycle", 0.93, lambda pen: outdoors.draw_bicycle(pen.at(100, 630, 1.08))),
    ("traffic light", 0.91, lambda pen: outdoors.draw_traffic_light(pen.at(886, 632, 1.25))),
    ("person", 0.9, lambda pen: outdoors.draw_person(pen.at(600, 474, 0.84), *WALKER)),
    ("person", 0.88, lambda pen: outdoors.draw_person(pen.at(692, 473, 0.8).mirrored(), *READER)),
    ("street sign", 0.84, lambda pen: outdoors.draw_street_sign(pen.at(536, 466, 0.95))),
    ("tree", 0.71, lambda pen: outdoors.draw_tree(pen.at(44, 466, 1.15))),
)


def covered(draw: Callable[[Pen], None]) -> np.ndarray:
    """Pixels that an object hides, bool (H, W): where it looks the same on black and on white."""

    def on(background: str) -> np.ndarray:
        def scene(pen: Pen) -> None:
            pen.box(0, 0, WIDTH, HEIGHT, background)
            draw(pen)

        return np.asarray(draw_picture(WIDTH, HEIGHT, scene), dtype=int)

    return np.abs(on("#ffffff") - on("#000000")).max(axis=2) < 96


def main() -> None:
    """Writes samples/rendering.jpg."""
    bitmaps = [covered(draw) for _, _, draw in OBJECTS]
    boxes = []
    for bitmap in bitmaps:
        rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    labels = list(dict.fromkeys(name for name, _, _ in OBJECTS))
    found = Detections(
        np.array(boxes, np.float32),
        np.array([score for _, score, _ in OBJECTS], np.float32),
        np.array([labels.index(name) for name, _, _ in OBJECTS], np.int64),
        [Mask.from_piece(bitmap, 0, 0, (HEIGHT, WIDTH)) for bitmap in bitmaps],
    )
    street = read_image(SAMPLES / "posts" / "street.jpg")
    write_image(SAMPLES / "rendering.jpg", draw_detections(street, found, labels))


if __name__ == "__main__":
    main()
