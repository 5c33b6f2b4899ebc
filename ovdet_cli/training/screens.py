"""Screens as backgrounds: panels, cards, lines of words, and where an icon could stand among them."""

# A slot is where an object may be put: its centre x, y and its longer side, in pixels.

from typing import NamedTuple

import cv2
import numpy as np

from ovdet_cli.training.textures import Colour, any_colour, flat, ramp, shade

_TEXT = """
the and to of a in is it you that was for on are with his they at be this have from or had by but some what there we can
out other were all your when up use word how said each she which do their time if will way about many then them would
like so these her long make thing see him two has look more day could go come did my sound no most who over know water
than call first people may down side been now find any new work part take get place made live where after back little
only round man year came show every good me give our under name very through just form much great think say help low
line before turn cause same mean differ move right boy old too does tell sentence set three want air well also play
small end put home read hand port large spell add even land here must big high Hello Thanks Sunday OK LOL wow 12:30
#news @anna Reply Share Like Home Settings Search Menu 3 h ago
"""
_WORDS = _TEXT.split()
_FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX_SMALL)


class Slot(NamedTuple):
    """Where an object may stand."""

    centre_xy: tuple[float, float]
    size_px: float
    spin: float = 1.0
    """How much of the usual turning and shearing it gets: 0 stands upright, as in a line of text."""


class Pen:
    """One hand of writing: font, height and colour.

    height_px: of a line of text; letters are about two thirds of it.
    """

    def __init__(self, rng: np.random.Generator, height_px: float, colour: Colour) -> None:
        self.font = _FONTS[rng.integers(len(_FONTS))]
        self.height_px = height_px
        self.scale = height_px * 0.026
        self.weight = 2 if rng.random() < 0.15 else 1
        self.colour = colour

    def write(self, image: np.ndarray, text: str, x: float, baseline: float) -> float:
        """Puts the text on the picture, from x on; returns where it ends."""
        cv2.putText(image, text, (int(x), int(baseline)), self.font, self.scale, self.colour, self.weight, cv2.LINE_AA)
        return x + cv2.getTextSize(text, self.font, self.scale, self.weight)[0][0]


def words(rng: np.random.Generator, count: int) -> list[str]:
    """Words as they stand in a post."""
    return [_WORDS[i] for i in rng.integers(len(_WORDS), size=count).tolist()]


def write_lines(
    rng: np.random.Generator, image: np.ndarray, pen: Pen, box: tuple[float, float, float, float], icons: float = 0.0
) -> list[Slot]:
    """Fills a box x1, y1, x2, y2 with lines of words; a share `icons` of the words gives way to slots, left blank."""
    x1, y1, x2, y2 = box
    slots = []
    for baseline in np.arange(y1 + pen.height_px, y2 + 1, pen.height_px * rng.uniform(1.15, 1.5)).tolist():
        x, end = x1, x1 + (x2 - x1) * (1.0 if rng.random() < 0.6 else rng.uniform(0.2, 1.0))
        while x < end - pen.height_px:
            if rng.random() < icons:
                size = pen.height_px * rng.uniform(0.95, 1.25)
                slots.append(Slot((x + size / 2, baseline - pen.height_px * 0.3), size, spin=0.1))
                x += size + pen.height_px * rng.uniform(0.02, 0.3)
                continue
            word = words(rng, 1)[0]
            if x + len(word) * pen.height_px * 0.6 > x2:
                break
            x = pen.write(image, word, x, baseline) + pen.height_px * 0.3
    return slots


def panel(image: np.ndarray, box: tuple[float, float, float, float], radius: float, colour: Colour) -> None:
    """Fills a rectangle x1, y1, x2, y2 with rounded corners."""
    x1, y1, x2, y2 = (int(v) for v in box)
    r = int(max(0, min(radius, (x2 - x1) / 2, (y2 - y1) / 2)))
    cv2.rectangle(image, (x1 + r, y1), (x2 - r, y2), colour, -1)
    cv2.rectangle(image, (x1, y1 + r), (x2, y2 - r), colour, -1)
    for x in (x1 + r, x2 - r):
        for y in (y1 + r, y2 - r):
            cv2.circle(image, (x, y), r, colour, -1, cv2.LINE_AA)


def chat(rng: np.random.Generator, size_hw: tuple[int, int], icons: float) -> tuple[np.ndarray, list[Slot]]:
    """A conversation or a page of posts, uint8 (H, W, 3), and the slots in its lines."""
    height, width = size_hw
    dark = rng.random() < 0.4
    image = flat(size_hw, shade(rng, dark))
    mine = any_colour(rng) if rng.random() < 0.5 else shade(rng, not dark)
    text_px = float(np.exp(rng.uniform(np.log(13), np.log(34))))
    in_bubbles = rng.random() < 0.6
    slots: list[Slot] = []
    y = rng.uniform(-10, 15)
    while y < height - text_px:
        lines = int(rng.integers(1, 4))
        right = in_bubbles and rng.random() < 0.5
        x1 = width * (rng.uniform(0.15, 0.4) if right else rng.uniform(0.02, 0.12))
        x2 = width * (0.98 if right or not in_bubbles else rng.uniform(0.6, 0.85))
        box = (x1, y, x2, y + lines * text_px * 1.45 + text_px * 0.6)
        back = (mine if right else shade(rng, dark)) if in_bubbles else None
        if back is not None:
            panel(image, box, text_px * rng.uniform(0.2, 0.9), back)
        is_light = sum(back) > 380 if back is not None else not dark
        pen = Pen(rng, text_px, shade(rng, is_light))
        slots += write_lines(
            rng, image, pen, (x1 + text_px * 0.5, y, x2 - text_px * 0.4, box[3] - text_px * 0.5), icons
        )
        y = box[3] + rng.uniform(0.2, 1.0) * text_px
    return image, slots


def cards(rng: np.random.Generator, size_hw: tuple[int, int], blank: float) -> tuple[np.ndarray, list[Slot]]:
    """Cards or list rows with thumbnails and words, uint8 (H, W, 3); a share `blank` of the thumbnails are slots."""
    height, width = size_hw
    dark = rng.random() < 0.4
    image = flat(size_hw, shade(rng, dark))
    if rng.random() < 0.2:
        image = ramp(rng, size_hw)
    columns = int(rng.integers(1, 5))
    cell_w = width / columns
    cell_h = cell_w * rng.uniform(0.8, 1.3) if columns > 1 else width * rng.uniform(0.15, 0.5)
    gap, radius = cell_w * rng.uniform(0.0, 0.08), cell_w * rng.uniform(0, 0.15)
    front, ink = shade(rng, dark), shade(rng, not dark)
    beside = columns == 1 or rng.random() < 0.2
    pen = Pen(rng, float(np.clip(cell_h * rng.uniform(0.08, 0.2), 8, 24)), ink)
    slots: list[Slot] = []
    top = rng.uniform(-0.5, 0.2) * cell_h
    for y in np.arange(top, height, cell_h).tolist():
        for x in np.arange(0, width - 1, cell_w).tolist():
            box = (x + gap, y + gap, x + cell_w - gap, y + cell_h - gap)
            panel(image, box, radius, front)
            slots += _card(rng, image, box, pen, beside, blank)
    return image, slots


def _card(
    rng: np.random.Generator,
    image: np.ndarray,
    box: tuple[float, float, float, float],
    pen: Pen,
    beside: bool,
    blank: float,
) -> list[Slot]:
    """One card's thumbnail (or a slot for it) and its words beside or below."""
    x1, y1, x2, y2 = box
    side = min((x2 - x1) * (0.4 if beside else 1.0), (y2 - y1) * (1.0 if beside else 0.7)) * 0.9
    centre = (x1 + side * 0.6, (y1 + y2) / 2) if beside else ((x1 + x2) / 2, y1 + side * 0.55)
    place = (centre[0] - side / 2, centre[1] - side / 2, centre[0] + side / 2, centre[1] + side / 2)
    is_blank = rng.random() < blank
    if not is_blank or rng.random() < 0.3:
        panel(image, place, side * rng.uniform(0, 0.5), any_colour(rng) if not is_blank else shade(rng, False))
    if not is_blank:
        _thumbnail(rng, image, place)
    below = (x1 + side * 1.2, y1, x2 - 2, y2) if beside else (x1 + 3, centre[1] + side * 0.55, x2 - 2, y2)
    write_lines(rng, image, pen, (*below[:3], below[3] - pen.height_px * 0.4))
    return [Slot(centre, side * rng.uniform(0.6, 0.95), spin=0.3)] if is_blank else []


def _thumbnail(rng: np.random.Generator, image: np.ndarray, place: tuple[float, float, float, float]) -> None:
    """A little picture of nothing: a passage of colours, with a disc or two."""
    x1, y1, x2, y2 = (max(0, int(v)) for v in place)
    region = image[y1:y2, x1:x2]
    if min(region.shape[:2]) < 4 or rng.random() < 0.3:
        return
    region[:] = ramp(rng, region.shape[:2])
    for _ in range(int(rng.integers(0, 3))):
        centre = (int(rng.integers(region.shape[1])), int(rng.integers(region.shape[0])))
        cv2.circle(region, centre, int(rng.uniform(0.1, 0.4) * region.shape[0]), any_colour(rng), -1, cv2.LINE_AA)
