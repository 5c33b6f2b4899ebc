"""Cut-outs land where their pose says, without dark edges or aliasing; rims and shadows are not the object."""

import math

import cv2
import numpy as np
import pytest

from ovdet_cli.training.cutouts import (
    Cutout,
    Pose,
    any_pose,
    any_tint,
    cut_out,
    faded,
    rimmed,
    shaded,
    softened,
)


def square(side: int = 144, colour: tuple[int, int, int] = (200, 40, 90)) -> np.ndarray:
    return np.full((side, side, 4), (*colour, 255), np.uint8)


def extent(cutout: Cutout) -> tuple[int, int, int, int]:
    left, top, width, height = cv2.boundingRect(cutout.shape.view(np.uint8))
    x, y = cutout.corner_xy
    return x + left, y + top, x + left + width, y + top + height


@pytest.mark.parametrize("size_px", [20, 60, 100, 144, 300])
def test_an_upright_square_covers_exactly_its_place(size_px: int) -> None:
    cutout = cut_out(square(), Pose((200.0, 150.0), size_px))
    half = size_px / 2
    assert extent(cutout) == pytest.approx((200 - half, 150 - half, 200 + half, 150 + half), abs=1)


def test_a_turned_square_is_wider_by_the_root_of_two() -> None:
    x1, _, x2, _ = extent(cut_out(square(), Pose((0.0, 0.0), 100, angle=math.pi / 4)))
    assert x2 - x1 == pytest.approx(141, abs=3)


def test_mirroring_exchanges_left_and_right() -> None:
    drawing = square(100)
    drawing[:, :50, 3] = 0
    x1, _, x2, _ = extent(cut_out(drawing, Pose((50.0, 50.0), 100, mirrored=True)))
    assert (x1, x2) == pytest.approx((0, 50), abs=1)


def test_colours_do_not_darken_towards_a_clear_edge() -> None:
    drawing = np.zeros((100, 100, 4), np.uint8)
    drawing[30:70, 30:70] = (255, 255, 255, 255)
    paint = cut_out(drawing, Pose((50.0, 50.0), 83.0, angle=0.3)).paint.astype(int)
    assert np.abs(paint[..., 0] - paint[..., 3]).max() <= 1


def test_fine_stripes_become_even_grey_when_small() -> None:
    drawing = square(144, (255, 255, 255))
    drawing[:, ::2, :3] = 0
    paint = cut_out(drawing, Pose((20.0, 20.0), 24)).paint
    inner = paint[8:-8, 8:-8, 0].astype(int)
    # Aliased stripes would deviate by 127.
    assert inner.std() < 20 and 110 < inner.mean() < 145


def test_rims_shadows_and_fading_leave_the_object_as_it_is() -> None:
    plain = cut_out(square(), Pose((80.0, 80.0), 50))
    for changed in (rimmed(plain, 4), shaded(plain, (3, -2), 2.0, 0.5), faded(plain, 0.6)):
        assert extent(changed) == extent(plain)
        assert changed.paint.shape[:2] == changed.shape.shape
        assert (changed.paint[..., :3] <= changed.paint[..., 3:]).all()
    assert np.count_nonzero(rimmed(plain, 4).paint[..., 3]) > np.count_nonzero(plain.paint[..., 3])


def test_blur_hardly_moves_the_edge() -> None:
    plain = cut_out(square(), Pose((80.0, 80.0), 50))
    assert extent(softened(plain, 1.5)) == pytest.approx(extent(plain), abs=1)


def test_a_tint_keeps_alpha_and_greys_turn_grey() -> None:
    rng = np.random.default_rng(0)
    assert any_tint(rng, 0.0) is None
    tints = [tint for tint in (any_tint(rng, 1.0) for _ in range(20)) if tint is not None]
    for tint in tints:
        np.testing.assert_array_equal(tint[3], [0, 0, 0, 1])
        turned = tint[:3, :3] @ np.ones(3)
        assert np.ptp(turned) < 1e-9


def test_without_spin_an_object_stands_upright() -> None:
    pose = any_pose(np.random.default_rng(1), (5.0, 5.0), 30.0, spin=0.0)
    assert (pose.angle, pose.shear, pose.squeeze) == (0, 0, 1)
