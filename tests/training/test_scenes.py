"""Scenes: the same for a seed wherever they are made, and their boxes and masks are what can be seen."""

import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import InputError
from ovdet_cli.training.layouts import LAYOUTS
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.scenes import SceneConfig, SceneGenerator, to_image_labels

STYLES = ("flat", "shaded", "game-icons")


@dataclass(frozen=True)
class FakeDrawing:
    style: str
    name: str
    category: int
    held_out: bool


class FakeArtwork:
    """Thirty discs with a letter: categories 0 to 7 in three styles, some of them clutter, some held out."""

    def __init__(self) -> None:
        self.drawings = [
            FakeDrawing(STYLES[i % 3], f"drawing {i}", -1 if i >= 24 else i // 3, i < 6 or i == 29) for i in range(30)
        ]
        self.asked: set[int] = set()

    @property
    def training_styles(self) -> tuple[str, ...]:
        return STYLES[1:]

    def pixels(self, index: int) -> np.ndarray:
        self.asked.add(index)
        colour = np.random.default_rng(index).integers(0, 256, 3).tolist()
        image = np.zeros((144, 120, 4), np.uint8)
        cv2.ellipse(image, (60, 72), (58, 70), 0, 0, 360, (*colour, 255), -1, cv2.LINE_AA)
        cv2.putText(image, chr(65 + index), (30, 110), 2, 3, (*colour[::-1], 255), 6, cv2.LINE_AA)
        image.flags.writeable = False
        return image


CONFIG = SceneConfig(pool_size=6)


def alone(layout: str, **changes: Any) -> SceneConfig:
    return replace(CONFIG, layouts=((layout, 1.0),), **changes)


def digest(sample: Sample) -> str:
    parts = (sample.image, sample.boxes_xyxy, sample.class_ids, np.asarray(sample.masks))
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def digest_of_seed(seed: int) -> str:
    return digest(SceneGenerator(FakeArtwork(), CONFIG).scene(seed))


def test_a_scene_depends_on_its_seed_alone_not_on_the_process_or_the_order() -> None:
    seeds = list(range(12))
    generator = SceneGenerator(FakeArtwork(), CONFIG)
    here = [digest(generator.scene(seed)) for seed in seeds]
    assert [digest(generator.scene(seed)) for seed in reversed(seeds)] == here[::-1]
    assert len(set(here)) == len(here)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(digest_of_seed, seeds)) == here


def test_making_scenes_leaves_numpys_own_random_state_alone() -> None:
    before = np.random.get_state()[1].copy()
    SceneGenerator(FakeArtwork(), CONFIG).scene(3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), size_hw=st.sampled_from([(320, 320), (160, 160), (200, 333)]))
def test_boxes_are_tight_about_masks_in_every_layout(layout: str, seed: int, size_hw: tuple[int, int]) -> None:
    sample = SceneGenerator(FakeArtwork(), alone(layout, size_hw=size_hw)).scene(seed)
    assert sample.image.shape == (*size_hw, 3) and sample.image.dtype == np.uint8
    assert sample.boxes_xyxy.dtype == np.float32 and sample.class_ids.dtype == np.int64
    masks = np.asarray(sample.masks)
    assert masks.dtype == bool and masks.shape == (len(sample.class_ids), *size_hw)
    assert (masks.sum(0) <= 1).all()
    assert set(sample.class_ids.tolist()) <= set(range(8))
    for mask, box in zip(masks, sample.boxes_xyxy.tolist(), strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert box == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize(
    ("layout", "least"), [("scatter", 2), ("sheet", 9), ("line", 3), ("screen", 2), ("single", 0.9)]
)
def test_a_layout_holds_the_objects_it_is_for(layout: str, least: float) -> None:
    generator = SceneGenerator(FakeArtwork(), alone(layout, empty=0.0))
    assert np.mean([len(generator.scene(seed).class_ids) for seed in range(12)]) >= least


def test_line_objects_are_small_and_single_objects_large() -> None:
    def sides(layout: str) -> np.ndarray:
        generator = SceneGenerator(FakeArtwork(), alone(layout, empty=0.0))
        boxes = np.concatenate([generator.scene(seed).boxes_xyxy for seed in range(15)])
        return (boxes[:, 2:] - boxes[:, :2]).max(1)

    assert np.median(sides("line")) < 40
    assert np.median(sides("single")) > 100


def test_scattered_sizes_stay_near_the_range() -> None:
    config = alone("scatter", size_px=(30.0, 60.0), strength=0.0, empty=0.0)
    generator = SceneGenerator(FakeArtwork(), config)
    boxes = np.concatenate([generator.scene(seed).boxes_xyxy for seed in range(15)])
    assert (boxes[:, 2:] - boxes[:, :2]).max() < 60 * 1.5
    assert np.median((boxes[:, 2:] - boxes[:, :2]).max(1)) > 25


def test_the_share_of_empty_scenes_is_kept() -> None:
    none = SceneGenerator(FakeArtwork(), alone("single", empty=1.0))
    assert all(len(none.scene(seed).class_ids) == 0 for seed in range(5))
    some = SceneGenerator(FakeArtwork(), alone("single", empty=0.3, size_hw=(64, 64)))
    share = np.mean([len(some.scene(seed).class_ids) == 0 for seed in range(200)])
    assert 0.2 < share < 0.45


@pytest.mark.parametrize(
    ("held_out", "expected"), [("exclude", {2, 3, 4, 5, 6, 7}), ("only", {0, 1}), ("any", set(range(8)))]
)
def test_held_out_drawings_are_kept_apart(held_out: str, expected: set[int]) -> None:
    artwork = FakeArtwork()
    generator = SceneGenerator(artwork, alone("sheet", held_out=held_out, empty=0.0, clutter=0.0, pool_size=0))
    seen = {int(i) for seed in range(6) for i in generator.scene(seed).class_ids}
    assert seen == expected
    if held_out != "any":
        assert {artwork.drawings[i].held_out for i in artwork.asked} == {held_out == "only"}


def test_only_the_styles_and_categories_asked_for_appear() -> None:
    artwork = FakeArtwork()
    config = alone("sheet", styles=("shaded",), categories=(3, 5), clutter_styles=("flat",), clutter=1.0, empty=0.0)
    generator = SceneGenerator(artwork, config)
    assert {int(i) for seed in range(4) for i in generator.scene(seed).class_ids} == {3, 5}
    used = [artwork.drawings[i] for i in artwork.asked]
    assert {(d.style, d.category) for d in used} == {("shaded", 3), ("shaded", 5), ("flat", -1)}


def test_categories_come_equally_often() -> None:
    config = alone("sheet", held_out="any", empty=0.0, size_hw=(128, 128), pool_size=0)
    generator = SceneGenerator(FakeArtwork(), config)
    counts = np.bincount(np.concatenate([generator.scene(seed).class_ids for seed in range(40)]), minlength=8)
    assert counts.min() > 0.6 * counts.mean()


def test_a_configuration_that_no_drawing_fits_says_so() -> None:
    with pytest.raises(InputError, match=r"'pencil'.*check the names"):
        SceneGenerator(FakeArtwork(), SceneConfig(styles=("pencil",)))


@pytest.mark.parametrize(
    "changes",
    [
        {"layouts": (("circle", 1.0),)},
        {"layouts": ()},
        {"layouts": (("sheet", 0.0),)},
        {"held_out": "some"},
        {"strength": 1.5},
        {"size_hw": (8, 320)},
        {"objects": (0, 4)},
        {"size_px": (50.0, 20.0)},
    ],
)
def test_impossible_configurations_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SceneConfig(**changes)


def test_image_labels_keep_the_picture_and_the_classes_only() -> None:
    sample = SceneGenerator(FakeArtwork(), alone("labelled", size_hw=(160, 160), empty=0.0)).scene(5)
    labelled = to_image_labels(sample)
    assert labelled.image is sample.image
    assert labelled.boxes_xyxy.shape == (0, 4) and labelled.masks is None and len(labelled.class_ids) == 0
    assert labelled.labels is not None and labelled.labels.dtype == np.int64
    assert labelled.labels.tolist() == sorted(set(sample.class_ids.tolist()))


def test_styles_that_may_not_be_trained_on_come_only_by_name() -> None:
    artwork = FakeArtwork()
    generator = SceneGenerator(artwork, alone("sheet", clutter=1.0))
    for seed in range(6):
        generator.scene(seed)
    assert {artwork.drawings[i].style for i in artwork.asked} == set(STYLES[1:])
    assert len(SceneGenerator(artwork, alone("sheet", styles=STYLES[:1], empty=0.0)).scene(1).class_ids) > 5
