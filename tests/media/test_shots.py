"""Shots: cuts are found, flashes and movement are none, slow changes are seen; one frame a shot, little held."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media.shots import one_a_shot

FPS = 25


def view(seed: int, width: int = 480) -> np.ndarray:
    """A still picture of coloured shapes on a coloured ground, wider than what is shown of it."""
    rng = np.random.default_rng(seed)
    picture = np.empty((180, width, 3), np.uint8)
    picture[:] = rng.integers(40, 220, 3)
    for _ in range(14 * width // 480):
        x, y, w, h = rng.integers(0, width), rng.integers(0, 180), rng.integers(15, 90), rng.integers(15, 90)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), rng.integers(0, 256, 3).tolist(), -1)
    return picture


def shot(seed: int, num: int, *, speed: float = 0.0, noise: float = 3.0) -> list[np.ndarray]:
    """`num` frames of a view, moved by `speed` pixels a frame, with noise."""
    rng = np.random.default_rng(1000 + seed)
    wide = view(seed, 320 + int(speed * num) + 1)
    frames = [wide[:, int(speed * i) : int(speed * i) + 320] for i in range(num)]
    return [np.clip(f + rng.normal(0, noise, f.shape), 0, 255).astype(np.uint8) for f in frames]


def mixed(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return (one * (1 - share) + other * share).astype(np.uint8)


def stream(pictures: list[np.ndarray]) -> Iterator[Frame]:
    for i, picture in enumerate(pictures):
        yield Frame(picture, "a", i, Fraction(i, FPS))


def chosen(pictures: list[np.ndarray]) -> list[int]:
    return [frame.index for frame in one_a_shot(stream(pictures), keep_all=False)]


def assert_one_in_each(found: list[int], edges: list[int]) -> None:
    """edges: the first frame of each shot, and the number of frames."""
    counts = [sum(a <= index < b for index in found) for a, b in pairwise(edges)]
    assert counts == [1] * len(counts), (found, edges)


@pytest.mark.parametrize("speed", [0.0, 2.0, 6.0])
def test_cuts_between_still_and_moving_shots(speed: float) -> None:
    pictures = [picture for seed in range(5) for picture in shot(seed, 40, speed=speed)]
    assert_one_in_each(chosen(pictures), [0, 40, 80, 120, 160, 200])


def test_a_shot_of_half_a_second_and_the_last_one() -> None:
    assert_one_in_each(chosen(shot(0, 30) + shot(1, 12) + shot(2, 30) + shot(3, 3)), [0, 30, 42, 72, 75])


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_flash_is_no_cut(length: int) -> None:
    pictures = shot(0, 80)
    for i in range(40, 40 + length):
        pictures[i] = mixed(pictures[i], np.full_like(pictures[i], 255), 0.85)
    assert chosen(pictures) == chosen(shot(0, 80))


def test_movement_that_begins_suddenly_is_no_cut() -> None:
    wide = view(3, 1400)
    still, fast = [wide[:, :320]] * 30, [wide[:, 12 * i : 12 * i + 320] for i in range(15)]
    assert len(chosen([np.ascontiguousarray(p) for p in still + fast])) == 1


def test_a_dissolve_and_a_fade_through_black_lead_to_a_new_frame() -> None:
    one, two = shot(0, 60), shot(1, 60)
    slow = [mixed(one[-1], two[0], i / 30) for i in range(30)]
    found = chosen(one + slow + two)
    assert found[0] < 60
    assert found[-1] >= 85
    assert len(found) <= 3
    black = np.zeros_like(one[0])
    out = [mixed(one[-1], black, i / 15) for i in range(15)]
    back = [mixed(two[0], black, 1 - i / 15) for i in range(15)]
    found = chosen(one + out + [black] * 10 + back + two)
    assert found[0] < 60
    assert any(index >= 95 for index in found), found
    assert len(found) <= 4


def test_a_slow_pan_to_another_view_is_seen_when_it_rests() -> None:
    wide = np.concatenate([view(0, 480), view(1, 480), view(2, 480)], axis=1)
    pictures = [wide[:, min(8 * i, 1100) : min(8 * i, 1100) + 320] for i in range(200)]
    found = chosen([np.ascontiguousarray(picture) for picture in pictures])
    assert 2 <= len(found) <= 5
    assert found[-1] > 100


def test_the_sharpest_is_taken() -> None:
    pictures = [cv2.blur(picture, (9, 9)) for picture in shot(0, 12)]
    pictures[7] = shot(0, 12)[7]
    assert chosen(pictures) == [7]


def test_the_others_pass_unsampled_in_order_and_the_cut_is_marked() -> None:
    pictures = shot(0, 40) + shot(1, 40)
    frames = list(one_a_shot(stream(pictures), keep_all=True))
    assert [frame.index for frame in frames] == list(range(80))
    assert [frame.index for frame in frames if frame.is_sampled] == chosen(pictures)
    assert [frame.index for frame in frames if frame.is_cut] == [40]


def test_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = most = passed = 0

    def counted() -> Iterator[Frame]:
        nonlocal taken
        for frame in stream([*shot(0, 200), *shot(1, 200)]):
            taken += 1
            yield frame

    for _ in one_a_shot(counted(), keep_all=True):
        passed += 1
        most = max(most, taken - passed)
    assert passed == 400
    assert most < 25


def test_failures_keep_their_place_and_empty_ones_pass() -> None:
    frames = [*stream(shot(0, 10)), Failure("a", "broken", 10)]
    found = list(one_a_shot(iter(frames), keep_all=False))
    assert [type(frame) for frame in found] == [Frame, Failure]
    assert list(one_a_shot(iter([]), keep_all=True)) == []
