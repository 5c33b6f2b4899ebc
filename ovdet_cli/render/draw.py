"""Boxes, masks and labels drawn onto a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.render.colours import Colour, class_colour, track_colour
from ovdet_cli.render.shapes import draw_mask, draw_outline
from ovdet_cli.render.tags import SMALLEST_TEXT, coloured, place_tags, tag_sticker, tag_texts


@dataclass(frozen=True)
class DrawStyle:
    """What is drawn of a detection.

    masks: filled masks, where there are any. boxes: outlines. labels: tags with the class name. scores: the score on
    the tag. colours: of some classes, by name; the others have those that their names give them. An object with a track
    id has it behind its name, and the id's colour in place of its name's. In videos alone: trails_s: seconds of an
    object's way that are drawn behind it. has_ruler: the time, and where something was found, along the bottom.
    """

    masks: bool = True
    boxes: bool = True
    labels: bool = True
    scores: bool = True
    colours: Mapping[str, Colour] = field(default_factory=dict)
    trails_s: float = 0.0
    has_ruler: bool = False

    def colour_of(self, name: str, track_id: int = -1) -> Colour:
        """Of a class, or of an object with a track id."""
        return self.colours.get(name) or (class_colour(name) if track_id < 0 else track_colour(track_id))


def draw_detections(
    image: np.ndarray, detections: Detections, labels: Sequence[str], style: DrawStyle = DrawStyle()
) -> np.ndarray:
    """A copy of the picture with the detections drawn onto it.

    image: RGB uint8 (H, W, 3). labels: every class name, by class id.
    """
    canvas = np.array(image, order="C")
    draw_onto(canvas, detections, labels, style)
    return canvas


def draw_onto(
    canvas: np.ndarray, detections: Detections, labels: Sequence[str], style: DrawStyle = DrawStyle()
) -> None:
    """The same in place, on a picture that is contiguous."""
    size_hw = (canvas.shape[0], canvas.shape[1])
    if not len(detections) or not canvas.size:
        return
    names = [labels[class_id] for class_id in detections.class_ids.tolist()]
    ids = [-1] * len(names) if detections.track_ids is None else detections.track_ids.tolist()
    colours = [style.colour_of(name, id_) for name, id_ in zip(names, ids, strict=True)]
    thickness = line_width(size_hw)
    inner = pixel_boxes(detections.boxes_xyxy, size_hw)
    outer = _grown(inner, thickness // 2, size_hw)
    areas = (inner[:, 2] - inner[:, 0]) * (inner[:, 3] - inner[:, 1])
    largest_first = np.argsort(-areas, kind="stable").tolist()  # so that small objects stay visible
    inner_boxes, outer_boxes = (list(map(tuple, boxes.tolist())) for boxes in (inner, outer))
    if style.masks and detections.masks is not None:
        for i in largest_first:
            draw_mask(canvas, detections.masks[i], inner_boxes[i], colours[i], max(1, thickness // 2))
    if style.boxes:
        for i in largest_first:
            draw_outline(canvas, outer_boxes[i], colours[i], thickness)
    if style.labels:
        scores = [f"{score:.2f}" if style.scores else "" for score in detections.scores.tolist()]
        shown = [name if id_ < 0 else f"{name} #{id_}" for name, id_ in zip(names, ids, strict=True)]
        _draw_tags(canvas, outer, shown, scores, colours, thickness)


def line_width(size_hw: tuple[int, int]) -> int:
    """Pixels of an outline: 1 in a thumbnail, 2 at 640x480 and 720p, 6 in a picture of 6000 pixels."""
    return round(1 + _extent(size_hw) / 1050)


def text_size(size_hw: tuple[int, int]) -> int:
    """Pixels of an em on a tag where there is room: 13 at 640x480, 17 at 720p, 47 in a picture of 12 megapixels."""
    return max(SMALLEST_TEXT, round(6 + _extent(size_hw) / 85))


def _extent(size_hw: tuple[int, int]) -> float:
    """The picture's size as one length: the geometric mean of its sides, at most twice the shorter one."""
    height, width = size_hw
    return min((height * width) ** 0.5, 2 * min(height, width))


def pixel_boxes(boxes_xyxy: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The whole pixels that boxes touch, int64 (N, 4) with ends excluded: inside the picture and never empty."""
    height, width = size_hw
    limits = np.array([width, height])
    boxes = boxes_xyxy.astype(np.float64)
    if not np.isfinite(boxes).all():
        boxes = np.nan_to_num(boxes, posinf=1e9, neginf=-1e9)
    pixels = np.empty(boxes.shape, np.int64)
    starts, ends = pixels[:, :2], pixels[:, 2:]
    # Twice as quick as np.clip for so few numbers.
    starts[:] = np.minimum(np.maximum(np.floor(boxes[:, :2]), 0), limits - 1)
    ends[:] = np.minimum(np.maximum(np.ceil(boxes[:, 2:]), starts + 1), limits)
    return pixels


def _grown(boxes: np.ndarray, by: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Boxes larger by some pixels on each side, inside the picture."""
    height, width = size_hw
    return np.clip(boxes + np.array([-by, -by, by, by]), 0, (width, height, width, height))


def _draw_tags(
    canvas: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[str],
    colours: Sequence[Colour],
    line: int,
) -> None:
    size_hw = (canvas.shape[0], canvas.shape[1])
    tags = tag_texts(names, scores, text_size(size_hw), size_hw)
    tags = [coloured(tag, colour) for tag, colour in zip(tags, colours, strict=False)]
    places = place_tags(boxes[: len(tags)], tags, line, size_hw).tolist()
    for (x, y), tag in reversed(list(zip(places, tags, strict=True))):  # the surest on top
        tag_sticker(tag).put(canvas, x, y)
