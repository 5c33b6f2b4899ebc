"""Hypothesis strategies for what a run may meet: any text, any mask, any float32."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.frame import Failure, Frame

# Sources and labels with what breaks naive writers: commas, quotes, line ends, surrogates of undecodable names.
texts = st.text(st.characters() | st.sampled_from(",\"'\r\n\t;\\\udce9\ud800{[é漢🐈"), max_size=12)
times_s = st.none() | st.fractions(min_value=-10, max_value=10**6, max_denominator=90_000)
float32s = st.floats(0, 2**20, width=32)


@st.composite
def bitmaps(draw: st.DrawFn, max_side: int = 12) -> np.ndarray:
    """A bool (H, W) array, often empty, full or 1 pixel wide."""
    size = draw(st.tuples(st.integers(1, max_side), st.integers(1, max_side)))
    return draw(hnp.arrays(bool, size) | st.sampled_from([np.zeros(size, bool), np.ones(size, bool)]))


@st.composite
def pieces(draw: st.DrawFn, max_side: int = 12) -> tuple[np.ndarray, int, int, tuple[int, int]]:
    """A piece, its left and top, and the size of the picture that holds it."""
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    left, top = draw(st.integers(0, width)), draw(st.integers(0, height))
    size = draw(st.tuples(st.integers(0, height - top), st.integers(0, width - left)))
    piece = draw(hnp.arrays(bool, size) | st.sampled_from([np.zeros(size, bool), np.ones(size, bool)]))
    return piece, left, top, (height, width)


def whole_mask(bitmap: np.ndarray) -> Mask:
    """The Mask of a whole bitmap."""
    return Mask.from_piece(bitmap, 0, 0, bitmap.shape)


@st.composite
def found(draw: st.DrawFn, size_hw: tuple[int, int], num_classes: int, has_masks: bool) -> Detections:
    """Detections of any numbers, with masks of the frame's size where wanted."""
    n = draw(st.integers(0, 3))
    masks = None
    if has_masks:
        masks = [whole_mask(draw(hnp.arrays(bool, size_hw))) for _ in range(n)]
    return Detections(
        draw(hnp.arrays(np.float32, (n, 4), elements=float32s)),
        draw(hnp.arrays(np.float32, n, elements=st.floats(0, 1, width=32))),
        draw(hnp.arrays(np.int64, n, elements=st.integers(0, num_classes - 1))),
        masks,
    )


def blank_frame(source: str = "a.jpg", size_hw: tuple[int, int] = (4, 6), index: int = 0, time_s=None) -> Frame:
    """A black frame that takes no memory."""
    return Frame(np.broadcast_to(np.uint8(0), (*size_hw, 3)), source, index, time_s)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[str], list[tuple[Frame, Detections] | Failure]]:
    """Labels, and what a run hands to its sinks: frames with what was found, and failures."""
    labels = draw(st.lists(texts, min_size=1, max_size=4))
    has_masks = draw(st.booleans())
    items: list[tuple[Frame, Detections] | Failure] = []
    for _ in range(draw(st.integers(0, 5))):
        source, index, time_s = draw(texts), draw(st.integers(0, 10**7)), draw(times_s)
        if draw(st.booleans()):
            size_hw = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
            detections = draw(found(size_hw, len(labels), has_masks))
            items.append((blank_frame(source, size_hw, index if time_s is not None else 0, time_s), detections))
        else:
            items.append(Failure(source, draw(texts), index, time_s))
    return labels, items


def two_finds(*, has_masks: bool = False) -> Detections:
    """A cat (class 0) and a dog (class 1) in a 4x6 picture."""
    piece = np.ones((2, 3), bool)
    masks = [Mask.from_piece(piece, 1, 1, (4, 6)), Mask.from_piece(piece, 3, 2, (4, 6))] if has_masks else None
    boxes = np.array([[0.1, 0.2, 3.3, 4], [1, 1, 2.5, 2]], np.float32)
    return Detections(boxes, np.array([0.9, 0.1], np.float32), np.array([0, 1]), masks)


def video_frame(index: int = 3) -> Frame:
    """A frame of clip.mp4 at 30000/1001 frames a second."""
    return blank_frame("clip.mp4", (4, 6), index, Fraction(index * 1001, 30000))


def two_tracked() -> Detections:
    """The same two, of which the cat is object 7 and the dog none yet."""
    return replace(two_finds(), track_ids=np.array([7, -1]))
