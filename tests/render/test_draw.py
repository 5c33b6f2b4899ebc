"""Drawing: the input stays as it is, nothing is drawn where nothing is, and masks are blended exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.render.colours import class_colour, palette, track_colour
from ovdet_cli.render.draw import DrawStyle, draw_detections, line_width, pixel_boxes, text_size
from ovdet_cli.render.shapes import MASK_OPACITY, fill_region
from ovdet_cli.render.tags import SMALLEST_TEXT, place_tags, tag_texts

LABELS = ["cat", "traffic light", "猫", "قطة", "a name much longer than any picture that it is ever drawn upon is wide"]
ONLY_MASKS = DrawStyle(boxes=False, labels=False)
ONLY_BOXES = DrawStyle(masks=False, labels=False)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@st.composite
def scenes(draw):
    """A picture and detections in it, boxes of no size and at the border among them."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 120))
    boxes, masks = [], []
    for _ in range(draw(st.integers(0, 6))):
        xs = sorted(draw(st.tuples(st.floats(0, width, width=32), st.floats(0, width, width=32))))
        ys = sorted(draw(st.tuples(st.floats(0, height, width=32), st.floats(0, height, width=32))))
        boxes.append((xs[0], ys[0], xs[1], ys[1]))
        left, top, right, bottom = pixel_boxes(np.array(boxes[-1:], np.float32), (height, width))[0].tolist()
        piece = np.random.default_rng(len(boxes)).random((bottom - top, right - left)) < draw(st.floats(0, 1))
        masks.append(Mask.from_piece(piece, left, top, (height, width)))
    return picture(height, width), found(boxes, masks if draw(st.booleans()) else None)


def found(boxes, masks=None):
    n = len(boxes)
    scores = np.linspace(0.99, 0.3, n, dtype=np.float32)
    return Detections(np.array(boxes, np.float32).reshape(n, 4), scores, np.arange(n, dtype=np.int64) % 5, masks)


@settings(deadline=None, max_examples=100)
@given(scenes())
def test_any_scene_is_drawn_and_the_input_stays_as_it_is(scene):
    image, detections = scene
    before = image.copy()
    image.setflags(write=False)
    drawn = draw_detections(image, detections, LABELS)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8 and drawn is not image
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(drawn, draw_detections(image, detections, LABELS))


@settings(deadline=None, max_examples=100)
@given(scenes())
def test_pixels_outside_boxes_and_tags_do_not_change(scene):
    image, detections = scene
    drawn = draw_detections(image, detections, LABELS)
    size_hw = image.shape[:2]
    margin = line_width(size_hw) // 2 + 1  # half the outline, and its rim
    untouched = np.ones(size_hw, bool)
    boxes = pixel_boxes(detections.boxes_xyxy, size_hw)
    for left, top, right, bottom in boxes:
        untouched[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = False
    names = [LABELS[i] for i in detections.class_ids]
    tags = tag_texts(names, [f"{score:.2f}" for score in detections.scores], text_size(size_hw), size_hw)
    for (x, y), tag in zip(place_tags(boxes[: len(tags)], tags, 1, size_hw), tags, strict=True):
        untouched[y : y + tag.height, x : x + tag.width] = False
    np.testing.assert_array_equal(drawn[untouched], image[untouched])


@settings(deadline=None, max_examples=100)
@given(scenes())
def test_filling_equals_the_plain_formula_over_the_whole_picture(scene):
    image, detections = scene
    filled, expected = image.copy(), image.astype(np.float64)
    boxes = pixel_boxes(detections.boxes_xyxy, image.shape[:2])
    for (left, top, right, bottom), mask in zip(boxes, detections.masks or [], strict=False):
        piece = np.ascontiguousarray(mask.crop(left, top, right, bottom)).view(np.uint8)
        fill_region(filled[top:bottom, left:right], piece, (200, 100, 50))
        blended = (1 - MASK_OPACITY) * expected + MASK_OPACITY * np.array((200.0, 100, 50))
        expected = np.where(mask.bitmap()[..., None], np.rint(blended), expected)
    np.testing.assert_array_equal(filled, expected)


def test_a_mask_is_tinted_inside_and_dark_at_its_contour():
    image = np.full((100, 100, 3), 128, np.uint8)
    piece = np.zeros((60, 60), bool)
    piece[10:50, 10:50] = True
    drawn = draw_detections(
        image, found([(20, 20, 80, 80)], [Mask.from_piece(piece, 20, 20, (100, 100))]), LABELS, ONLY_MASKS
    )
    colour = np.array(class_colour("cat"))
    np.testing.assert_array_equal(drawn[50, 50], np.rint(0.625 * 128 + 0.375 * colour))
    assert (drawn[30, 50] <= colour).all() and not np.array_equal(drawn[30, 50], drawn[50, 50])
    np.testing.assert_array_equal(drawn[25, 50], image[25, 50])


def test_an_outline_is_in_the_class_colour_and_leaves_the_inside_alone():
    image = np.zeros((300, 300, 3), np.uint8)
    drawn = draw_detections(image, found([(100, 100, 200, 200)]), LABELS, ONLY_BOXES)
    for y, x in ((100, 150), (199, 150), (150, 100), (150, 199)):
        assert tuple(drawn[y, x]) == class_colour("cat")
    assert not drawn[104:196, 104:196].any() and not drawn[:98].any()


def test_small_objects_lie_on_large_ones():
    image = np.zeros((300, 300, 3), np.uint8)
    for order in ([(50, 50, 250, 250), (120, 50, 160, 90)], [(120, 50, 160, 90), (50, 50, 250, 250)]):
        drawn = draw_detections(image, found(order), LABELS, ONLY_BOXES)
        small = LABELS[order.index((120, 50, 160, 90))]
        assert tuple(drawn[50, 140]) == class_colour(small)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 50), (50, 1), (8, 8), (20, 30)])
def test_tiny_pictures(size_hw):
    image = picture(*size_hw)
    drawn = draw_detections(image, found([(0, 0, size_hw[1], size_hw[0]), (0, 0, 0, 0)]), LABELS)
    assert drawn.shape == image.shape


def test_strange_boxes_are_drawn_inside_the_picture():
    boxes = np.array([[np.nan] * 4, [-np.inf, -5, np.inf, 5e9], [90, 90, 10, 10]], np.float32)
    fixed = pixel_boxes(boxes, (100, 120))
    assert (fixed[:, :2] >= 0).all() and (fixed[:, 2:] <= (120, 100)).all() and (fixed[:, 2:] > fixed[:, :2]).all()
    draw_detections(picture(100, 120), found(boxes), LABELS)


def test_nothing_found_gives_a_copy():
    image = picture(20, 30)
    drawn = draw_detections(image, Detections.empty(), LABELS)
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_pictures_of_any_memory_layout():
    image = picture(80, 120)
    detections = found([(10, 10, 60, 60)])
    drawn = draw_detections(np.asfortranarray(image), detections, LABELS)
    np.testing.assert_array_equal(drawn, draw_detections(image, detections, LABELS))
    flipped = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(drawn, draw_detections(flipped, detections, LABELS))


def test_style_chooses_what_is_drawn():
    image = picture(120, 160)
    detections = found([(20, 40, 100, 100)], [Mask.from_piece(np.ones((60, 80), bool), 20, 40, (120, 160))])
    drawn = [
        draw_detections(image, detections, LABELS, DrawStyle(masks, boxes, labels, scores)).tobytes()
        for masks, boxes, labels, scores in (
            (True, True, True, True),
            (False, True, True, True),
            (True, False, True, True),
            (True, True, False, True),
            (True, True, True, False),
            (False, False, False, False),
        )
    ]
    assert len(set(drawn)) == 6 and drawn[-1] == image.tobytes()


@pytest.mark.parametrize(
    ("size_hw", "line", "text"), [((75, 100), 1, 9), ((480, 640), 2, 13), ((720, 1280), 2, 17), ((4500, 6000), 6, 67)]
)
def test_line_and_text_follow_the_picture(size_hw, line, text):
    assert (line_width(size_hw), text_size(size_hw)) == (line, text)


def test_tags_stay_inside_the_picture_and_apart_where_there_is_room():
    boxes = np.array([(0, 0, 60, 60), (0, 0, 62, 62), (580, 0, 640, 60), (5, 440, 60, 480), (300, 200, 400, 300)])
    tags = tag_texts(["cat"] * 5, ["0.99"] * 5, 13, (480, 640))
    taken = np.zeros((480, 640), int)
    for (x, y), tag in zip(place_tags(boxes, tags, 2, (480, 640)).tolist(), tags, strict=True):
        assert 0 <= x <= 640 - tag.width and 0 <= y <= 480 - tag.height
        taken[y : y + tag.height, x : x + tag.width] += 1
    assert taken.max() == 1


def test_a_tag_stands_on_its_box_where_there_is_room():
    (tag,) = tag_texts(["cat"], ["0.99"], 13, (480, 640))
    assert place_tags(np.array([(300, 200, 400, 300)]), [tag], 2, (480, 640)).tolist() == [[300, 202 - tag.height]]
    assert place_tags(np.array([(300, 0, 400, 300)]), [tag], 2, (480, 640)).tolist() == [[300, 0]]


def test_a_long_name_is_shortened_and_crowded_pictures_stay_visible():
    (tag,) = tag_texts([LABELS[4]], ["0.99"], 13, (480, 640))
    assert tag.width <= 320 and tag.name.endswith("…") and tag.score == "0.99"
    for count, size_hw in ((60, (480, 640)), (300, (480, 640)), (5, (75, 100))):
        tags = tag_texts([f"water bottle {i}" for i in range(count)], ["0.50"] * count, 13, size_hw)
        covered = sum(tag.width * tag.height for tag in tags)
        assert tags and covered <= 0.3 * size_hw[0] * size_hw[1]
        assert all(tag.text_size >= SMALLEST_TEXT for tag in tags)
    assert len(tag_texts(["water bottle"] * 60, ["0.50"] * 60, 13, (480, 640))) == 60


def test_a_track_keeps_its_colour_and_shows_its_id():
    boxes = [(10, 30, 60, 80)]
    image = np.zeros((100, 120, 3), np.uint8)
    colours = []
    for id_, class_id in ((3, 0), (3, 1), (4, 0), (-1, 0)):
        detections = replace(found(boxes), track_ids=np.array([id_]), class_ids=np.array([class_id]))
        drawn = draw_detections(image, detections, LABELS, ONLY_BOXES)
        colours.append(tuple(drawn[30, 35].tolist()))
    assert colours[0] == colours[1] == track_colour(3) != colours[2]
    assert colours[3] == class_colour(LABELS[0])
    tracked = replace(found(boxes), track_ids=np.array([3]))
    own = DrawStyle(colours={LABELS[0]: (1, 2, 3)}, labels=False)
    assert tuple(draw_detections(image, tracked, LABELS, own)[30, 35].tolist()) == (1, 2, 3)
    with_id = draw_detections(image, tracked, LABELS)
    named = replace(own, labels=True, colours={f"{LABELS[0]} #3": track_colour(3)})
    np.testing.assert_array_equal(
        with_id, draw_detections(image, found(boxes), [f"{LABELS[0]} #3", *LABELS[1:]], named)
    )


def test_as_many_tracks_as_there_are_colours_differ():
    assert len({track_colour(id_) for id_ in range(1, len(palette()) + 1)}) == len(set(palette()))
