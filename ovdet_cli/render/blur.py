"""Privacy: what has some labels cannot be recognised in anything that a run draws.

Errs on the safe side. Every detection counts, down to the record threshold. What was found within the last half second
and is missed now is hidden still, where it was; what comes into view within the next half second is hidden already,
where it will be found (`HidingAhead`). In frames that are not analysed the last boxes are hidden, larger with every
frame; one that could not be analysed, with nothing before it, is hidden as a whole.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import cv2
import numpy as np

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Frame
from ovdet_cli.render.draw import pixel_boxes
from ovdet_cli.render.shapes import mask_piece

_CELLS = 6  # along the longer side: too few for a face, or for the letters of a plate
_LEAST_CELL = 6  # pixels: a small thing has fewer cells
_GROWN = 0.1  # of a box's shorter side, on each side
_GROWN_A_FRAME = 0.04  # more for every frame that is not analysed
_MOST_GROWN = 0.6
_LEAST_PIXELS = 2
_CORNER = 0.25  # radius of a box's corners, of its shorter side; the growth covers what they leave out
_HELD_S = Fraction(1, 2)
_AHEAD_S = Fraction(1, 2)
_MOST_AHEAD = 256 << 20
"""Bytes of pictures that wait; large ones are looked ahead for a shorter time."""
_SAME_IOU = 0.3
_LEAST_MASK = 0.3  # of its box: a smaller mask has missed most of the thing


def hidden_classes(wanted: Sequence[str], names: Sequence[str]) -> frozenset[int]:
    """The class ids of the labels to hide, whatever their case.

    Raises:
        UsageError: some are not in the vocabulary; the message names all of them.
    """
    known = {name.casefold() for name in names}
    if unknown := [label for label in wanted if label.casefold() not in known]:
        raise UsageError(
            f"--blur: not in the vocabulary: {', '.join(unknown)}; name labels that are looked for, or add them to it"
        )
    hidden = {label.casefold() for label in wanted}
    return frozenset(class_id for class_id, name in enumerate(names) if name.casefold() in hidden)


@dataclass(frozen=True, eq=False)
class _Place:
    box: np.ndarray
    mask: Mask | None
    seen_s: Fraction


@dataclass(eq=False)
class _Hiding:
    """What is hidden in a frame. grown: how far around each place. new: places that nothing was on before."""

    places: list[tuple[_Place, float]]
    new: list[_Place]
    is_whole: bool = False

    def carried_out(self, frame: Frame) -> Frame:
        if self.is_whole:
            return replace(frame, image=_pixelated(frame.image))
        if not self.places:
            return frame
        image = frame.image.copy()
        for place, grown in self.places:
            hide(image, place.box, place.mask, grown)
        return replace(frame, image=image)


class Blur:
    """Hides the things of some classes, frame by frame in order."""

    def __init__(self, class_ids: Collection[int]) -> None:
        self._class_ids = np.array(sorted(class_ids), np.int64)
        self._source: str | None = None
        self._places: list[_Place] = []
        self._num_blind = 0
        """Frames since the last one that was analysed."""
        self._has_seen = False

    def hidden(self, frame: Frame, detections: Detections) -> Frame:
        """The frame with its things hidden. detections: all that are recorded, drawn or not."""
        return self.looked_at(frame, detections).carried_out(frame)

    def looked_at(self, frame: Frame, detections: Detections) -> _Hiding:
        """What is to be hidden in the frame, as far as this and earlier frames tell."""
        if frame.source != self._source or frame.time_s is None:
            self._source, self._places, self._has_seen = frame.source, [], False
        if frame.is_cut:
            self._places = []
        new = self._follow(frame, detections)
        grown = min(_GROWN + _GROWN_A_FRAME * self._num_blind, _MOST_GROWN)
        return _Hiding([(place, grown) for place in self._places], new, is_whole=not self._has_seen)

    def _follow(self, frame: Frame, detections: Detections) -> list[_Place]:
        """Brings the places up to date; those that are new."""
        self._has_seen = self._has_seen or frame.is_sampled
        self._num_blind = 0 if frame.is_sampled else self._num_blind + 1
        found = detections.select(np.isin(detections.class_ids, self._class_ids))
        now_s = frame.time_s or Fraction(0)
        seen = [_Place(box, mask, now_s) for box, _, _, mask in found]
        if not frame.is_sampled and found.track_ids is None:
            # The last boxes once more: their time stays that of the frame in which they were found.
            self._places = self._places or seen
            return []
        before = np.array([place.box for place in self._places], np.float32).reshape(-1, 4)
        new = [place for place in seen if not _is_among(place.box, before)] if frame.is_sampled else []
        held = [
            place
            for place in self._places
            if now_s - place.seen_s <= _HELD_S and not _is_among(place.box, found.boxes_xyxy)
        ]
        self._places = seen + held
        return new


@dataclass(eq=False)
class _Held:
    frame: Frame
    strong: Detections
    hiding: _Hiding


@dataclass(eq=False)
class HidingAhead:
    """Holds the frames of a video back for half a second, so that a thing is hidden before it is first found."""

    blur: Blur
    _held: deque[_Held] = field(default_factory=deque)
    _num_bytes: int = 0

    def push(self, frame: Frame, detections: Detections, strong: Detections) -> Iterator[tuple[Frame, Detections]]:
        """Takes the next frame; gives those that are ready, each with what is drawn onto it, its things hidden.

        detections: all that are recorded. strong: what is drawn.
        """
        hiding = self.blur.looked_at(frame, detections)
        if frame.time_s is None:
            yield hiding.carried_out(frame), strong
            return
        if frame.is_cut:
            yield from self.rest()
        for ahead, earlier in enumerate(reversed(self._held), start=1):
            grown = min(_GROWN + _GROWN_A_FRAME * ahead, _MOST_GROWN)
            earlier.hiding.places += [(place, grown) for place in hiding.new]
        self._held.append(_Held(frame, strong, hiding))
        self._num_bytes += frame.image.nbytes
        while self._held and (self._is_due(frame.time_s) or self._num_bytes > _MOST_AHEAD):
            yield self._released()

    def rest(self) -> Iterator[tuple[Frame, Detections]]:
        """What is held: the video, or the shot, has ended."""
        while self._held:
            yield self._released()

    def _is_due(self, now_s: Fraction) -> bool:
        return now_s - (self._held[0].frame.time_s or 0) >= _AHEAD_S

    def _released(self) -> tuple[Frame, Detections]:
        held = self._held.popleft()
        self._num_bytes -= held.frame.image.nbytes
        return held.hiding.carried_out(held.frame), held.strong


def hide(image: np.ndarray, box_xyxy: np.ndarray, mask: Mask | None, grown: float) -> None:
    """Pixelates in place what is in a mask, or in a box, and some pixels around it.

    grown: how far around it, in shares of the box's shorter side.
    """
    size_hw = (image.shape[0], image.shape[1])
    left, top, right, bottom = pixel_boxes(box_xyxy[None], size_hw)[0].tolist()
    margin = max(_LEAST_PIXELS, round(grown * min(right - left, bottom - top)))
    outer = (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, size_hw[1]),
        min(bottom + margin, size_hw[0]),
    )
    region = image[outer[1] : outer[3], outer[0] : outer[2]]
    shape = _mask_shape(mask, outer, margin) if mask is not None else None
    if shape is None or cv2.countNonZero(shape) < _LEAST_MASK * (right - left) * (bottom - top):
        shape = _box_shape(region.shape[1], region.shape[0])
    cv2.copyTo(_pixelated(region), shape, region)


def _mask_shape(mask: Mask, box: tuple[int, int, int, int], margin: int) -> np.ndarray:
    """The mask in a box without its holes and grown, uint8 (h, w)."""
    piece = mask_piece(mask, box)
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(piece, contours, -1, 1, cv2.FILLED)
    return cv2.dilate(piece, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1)))


def _box_shape(width: int, height: int) -> np.ndarray:
    """A box with rounded corners that fills its picture, uint8 (h, w)."""
    radius = round(_CORNER * min(width, height))
    shape = np.zeros((height, width), np.uint8)
    shape[radius : height - radius] = 1
    shape[:, radius : width - radius] = 1
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(shape, (x, y), radius, 1, cv2.FILLED)
    return shape


def _pixelated(region: np.ndarray) -> np.ndarray:
    """The region in a few large cells."""
    height, width = region.shape[:2]
    cell = max(max(height, width) / _CELLS, _LEAST_CELL)
    small = (max(1, round(width / cell)), max(1, round(height / cell)))
    means = cv2.resize(np.ascontiguousarray(region), small, interpolation=cv2.INTER_AREA)
    return cv2.resize(means, (width, height), interpolation=cv2.INTER_NEAREST)


def _is_among(box: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether one of the boxes is about the same."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return bool((shared > _SAME_IOU * np.maximum(areas - shared, 1e-6)).any())
