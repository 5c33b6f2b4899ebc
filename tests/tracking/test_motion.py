import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.tracking.motion import Motion


def seen(*boxes):
    return np.array(boxes, np.float64).reshape(-1, 4)


def followed(speed, step_s, steps, size=40.0):
    """The motion of a box that moves to the right, seen at every step."""
    motion = Motion.of(seen((0, 0, size, size)))
    for i in range(1, steps + 1):
        x = speed * step_s * i
        motion = motion.after(step_s).corrected(seen((x, 0, x + size, size)))
    return motion


@given(st.floats(0, 3), st.floats(0, 3))
def test_two_steps_are_one(first, second):
    motion = followed(60, 1 / 30, 10)
    once, twice = motion.after(first + second), motion.after(first).after(second)
    for name in ("means", "velocities", "pp", "pv", "vv"):
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("step_s", [1 / 120, 1 / 30, 1 / 10, 1 / 3])
def test_a_speed_is_learnt_in_pixels_a_second_whatever_the_step(step_s):
    motion = followed(90, step_s, round(2 / step_s))
    assert motion.velocities[0, 0] == pytest.approx(90, rel=0.15)
    np.testing.assert_allclose(motion.velocities[0, 1:], 0, atol=1e-6)
    moved = motion.after(0.2).boxes_xyxy[0] - motion.boxes_xyxy[0]
    np.testing.assert_allclose(moved, [18, 0, 18, 0], atol=3)


def test_what_is_long_unseen_stops_and_is_less_and_less_sure():
    motion = followed(90, 1 / 30, 60)
    far = [motion.after(t).means[0, 0] - motion.means[0, 0] for t in (1, 5, 20, 40)]
    assert far[0] == pytest.approx(70, abs=15)
    assert far[3] - far[2] < 1
    reach = [float(motion.after(t).reach[0, 0]) for t in (0, 0.1, 0.5, 1)]
    assert reach == sorted(reach)
    assert reach[0] < 2


def test_no_time_changes_nothing_and_no_box_turns_inside_out():
    motion = followed(0, 1 / 30, 3)
    assert motion.after(0) is motion
    assert motion.after(-1) is motion
    for k in range(1, 15):  # shrinks quickly
        motion = motion.after(1 / 30).corrected(seen((k, k, 40 - k, 40 - k)))
    assert (motion.after(30).means[:, 2:] > 0).all()


def test_an_object_that_goes_behind_another_keeps_its_size_and_speed():
    motion = followed(90, 1 / 30, 30)
    for i in range(31, 41):  # an edge at x = 140 hides what is beyond it
        x = 3.0 * i
        motion = motion.after(1 / 30).corrected(seen((x, 0, min(x + 40, 140), 40)))
    assert motion.means[0, 2] == pytest.approx(40, abs=8)
    assert motion.velocities[0, 0] == pytest.approx(90, rel=0.2)
    assert motion.boxes_xyxy[0, 0] == pytest.approx(120, abs=4)
    np.testing.assert_allclose(motion.visible_xyxy[0], [120, 0, 140, 40], atol=1e-6)


def test_an_object_that_shrinks_on_both_sides_is_smaller():
    motion = followed(0, 1 / 30, 30)
    for _ in range(30):
        motion = motion.after(1 / 30).corrected(seen((8, 8, 32, 32)))
    assert motion.means[0, 2] == pytest.approx(24, abs=1)
    assert not motion.hidden.any()


def test_one_that_stays_smaller_on_one_side_is_so_after_a_while():
    motion = followed(0, 1 / 30, 30)
    for _ in range(150):
        motion = motion.after(1 / 30).corrected(seen((0, 0, 20, 40)))
    assert motion.means[0, 2] == pytest.approx(20, abs=3)


def test_tracks_are_chosen_joined_and_replaced():
    motion = Motion.of(seen((0, 0, 2, 2), (5, 5, 9, 9)))
    more = motion.select(np.array([1])).with_more(motion)
    np.testing.assert_array_equal(more.boxes_xyxy, seen((5, 5, 9, 9), (0, 0, 2, 2), (5, 5, 9, 9)))
    changed = more.replaced(np.array([0]), Motion.of(seen((1, 1, 2, 2))))
    np.testing.assert_array_equal(changed.boxes_xyxy[0], [1, 1, 2, 2])
    assert (len(more), more.boxes_xyxy[0, 0]) == (3, 5)
