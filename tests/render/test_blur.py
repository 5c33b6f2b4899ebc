"""Blurring: nothing of the thing is left, everything else is, and the safe side is taken."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Frame
from ovdet_cli.render import blur
from ovdet_cli.render.blur import Blur, HidingAhead, hidden_classes, hide

SIZE = (120, 160)
FACE, CAR = 0, 1


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def frame(index: int = 0, *, is_sampled: bool = True, image: np.ndarray | None = None, is_cut: bool = False) -> Frame:
    image = noise() if image is None else image
    return Frame(image, "a.mp4", index, Fraction(index, 25), is_sampled, is_cut=is_cut)


def found(*boxes: tuple[int, int, int, int], class_id: int = FACE, masks: list[Mask] | None = None) -> Detections:
    n = len(boxes)
    scores = np.full(n, 0.1, np.float32)
    return Detections(np.array(boxes, np.float32).reshape(n, 4), scores, np.full(n, class_id, np.int64), masks)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


BOX = (40, 30, 80, 70)


def test_all_of_a_box_is_hidden_and_little_around_it() -> None:
    image = noise()
    hide(image, np.array(BOX, np.float32), None, 0.1)
    different = changed(noise(), image)
    assert different[30:70, 40:80].mean() > 0.99  # a mean may be the very pixel
    different[24:76, 34:86] = False
    assert not different.any()
    inside = image[30:70, 40:80].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) <= 64  # cells, no pixels


def test_a_mask_is_hidden_with_its_holes_and_its_surroundings_stay() -> None:
    piece = np.zeros((40, 40), bool)
    piece[4:36, 12:28] = True
    piece[15:20, 18:22] = False
    image = noise()
    hide(image, np.array(BOX, np.float32), Mask.from_piece(piece, 40, 30, SIZE), 0.1)
    different = changed(noise(), image)
    assert different[34:66, 52:68].mean() > 0.99
    assert not different[30:70, 40:47].any() and not different[30:70, 73:80].any()


def test_a_mask_that_missed_most_of_the_thing_is_not_trusted() -> None:
    piece = np.zeros((40, 40), bool)
    piece[:5, :5] = True
    image = noise()
    hide(image, np.array(BOX, np.float32), Mask.from_piece(piece, 40, 30, SIZE), 0.1)
    assert changed(noise(), image)[30:70, 40:80].mean() > 0.99


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (0, 0, 160, 120), (150, 110, 160, 120), (-5, -5, 3, 400), (50, 50, 50, 50)]
)
def test_boxes_of_any_size_and_place(box: tuple[int, int, int, int]) -> None:
    image = noise()
    hide(image, np.array(box, np.float32), None, 0.6)
    assert image.shape == (*SIZE, 3)


def test_weak_things_are_hidden_others_are_not_and_the_input_stays() -> None:
    blur = Blur({FACE})
    given = frame()
    hidden = blur.hidden(given, found(BOX))
    assert changed(given.image, hidden.image)[30:70, 40:80].mean() > 0.99
    np.testing.assert_array_equal(given.image, noise())
    assert Blur({FACE}).hidden(given, found(BOX, class_id=CAR)) is given


def test_between_analysed_frames_the_last_boxes_grow() -> None:
    blur = Blur({FACE})
    areas = []
    for i in range(6):
        given = frame(i, is_sampled=i == 0)
        areas.append(int(changed(given.image, blur.hidden(given, found(BOX)).image).sum()))
    assert all(a < b for a, b in pairwise(areas))
    again = frame(6)
    assert changed(again.image, blur.hidden(again, found(BOX)).image).sum() <= areas[0]


def test_what_is_missed_is_hidden_for_half_a_second_more() -> None:
    blur = Blur({FACE})
    blur.hidden(frame(0), found(BOX))
    later = frame(12)
    assert changed(later.image, blur.hidden(later, found()).image).any()
    gone = frame(14)
    assert blur.hidden(gone, found()) is gone
    blur.hidden(frame(15), found(BOX))
    cut = frame(16, is_cut=True)
    assert blur.hidden(cut, found()) is cut


def test_what_moves_on_leaves_no_second_blur_behind() -> None:
    blur = Blur({FACE})
    blur.hidden(frame(0), found(BOX))
    moved = frame(1)
    one = changed(moved.image, blur.hidden(moved, found((46, 30, 86, 70))).image)
    alone = changed(moved.image, Blur({FACE}).hidden(moved, found((46, 30, 86, 70))).image)
    np.testing.assert_array_equal(one, alone)


def test_a_frame_that_could_not_be_analysed_with_nothing_before_it_is_hidden_as_a_whole() -> None:
    given = frame(0, is_sampled=False)
    hidden = Blur({FACE}).hidden(given, Detections.empty())
    assert changed(given.image, hidden.image).mean() > 0.99


def test_the_next_source_begins_anew() -> None:
    blur = Blur({FACE})
    blur.hidden(frame(0), found(BOX))
    other = Frame(noise(), "b.mp4", 0, Fraction(0))
    assert blur.hidden(other, found()) is other
    picture = Frame(noise(), "c.png")
    blur.hidden(picture, found(BOX))
    assert blur.hidden(Frame(noise(), "c.png"), found()).image is not None


def test_labels_that_are_not_looked_for_are_all_named() -> None:
    assert hidden_classes(["Face", "car"], ["face", "cat", "car", "FACE"]) == {0, 2, 3}
    with pytest.raises(UsageError, match="plate, dog"):
        hidden_classes(["face", "plate", "dog"], ["face"])


def ahead(*frames: tuple[Frame, Detections]) -> list[Frame]:
    hiding = HidingAhead(Blur({FACE}))
    shown = [one for given in frames for one, _ in hiding.push(*given, Detections.empty())]
    return shown + [one for one, _ in hiding.rest()]


def is_hidden(shown: Frame) -> bool:
    return bool(changed(noise(), shown.image)[32:68, 42:78].mean() > 0.9)


def test_what_comes_into_view_is_hidden_for_half_a_second_before() -> None:
    given = [(frame(i), found(BOX) if i >= 20 else found()) for i in range(40)]
    shown = ahead(*given)
    assert [one.index for one in shown] == list(range(40))
    assert [is_hidden(one) for one in shown] == [i >= 7 for i in range(40)]


def test_not_across_a_cut_and_not_in_another_video() -> None:
    given = [(frame(i, is_cut=i == 20), found(BOX) if i >= 20 else found()) for i in range(30)]
    assert [is_hidden(one) for one in ahead(*given)] == [i >= 20 for i in range(30)]
    picture = Frame(noise(), "c.png"), found(BOX)
    assert [is_hidden(one) for one in ahead((frame(0), found()), picture)].count(True) == 1


def test_between_analysed_frames_it_is_hidden_before_too() -> None:
    given = [(frame(i, is_sampled=i % 10 == 0), found(BOX) if i >= 20 else found()) for i in range(30)]
    assert [is_hidden(one) for one in ahead(*given)] == [i >= 7 for i in range(30)]


def test_what_moves_steadily_leaves_no_blur_ahead() -> None:
    boxes = [(40 + 2 * i, 30, 80 + 2 * i, 70) for i in range(20)]
    shown = ahead(*((frame(i), found(boxes[i])) for i in range(20)))
    assert not changed(noise(), shown[1].image)[:, 90:].any()


def test_few_bytes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blur, "_MOST_AHEAD", 3 * noise().nbytes)
    given = [(frame(i), found(BOX) if i >= 20 else found()) for i in range(30)]
    assert [is_hidden(one) for one in ahead(*given)] == [i >= 17 for i in range(30)]
