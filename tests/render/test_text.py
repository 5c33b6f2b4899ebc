"""Text tiles: any text gives one, in one line, and readable text gives ink."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.render.text import ELLIPSIS, clean, clusters, fitted, font_runs, line_height, text_tile

ANY_TEXT = st.text(st.characters(), max_size=40)  # lone surrogates too


@pytest.mark.parametrize(
    "text", ["cat", "猫", "قطة", "बिल्ली", "🐱", "кошка", "고양이", "חתול", "แมว", "\ud800", "\U000f1234"]
)
@pytest.mark.parametrize("size", [9, 17, 48])
def test_text_gives_ink(text, size):
    tile = text_tile(text, size)
    assert tile.shape[0] == line_height(size) and tile.max() > 127


@settings(deadline=None, max_examples=150)
@given(ANY_TEXT, st.integers(9, 40))
def test_any_text_gives_a_tile(text, size):
    tile = text_tile(text, size)
    assert tile.dtype == np.uint8 and tile.shape[0] == line_height(size) and tile.shape[1] >= 1


@settings(deadline=None, max_examples=60)
@given(ANY_TEXT, st.integers(1, 200))
def test_fitted_text_fits(text, width):
    shown = fitted(text, 13, width)
    smallest = text_tile(ELLIPSIS, 13).shape[1]
    assert text_tile(shown, 13).shape[1] <= max(width, smallest)


def test_short_text_is_kept_and_long_text_ends_in_an_ellipsis():
    assert fitted("cat", 13, 100) == "cat"
    shown = fitted("a very long name indeed", 13, 80)
    assert shown.endswith(ELLIPSIS) and "a very long name".startswith(shown[:-1])
    assert len(fitted("x" * 100_000, 13, 80)) < 20


@given(ANY_TEXT)
def test_clean_text_is_one_line_and_clusters_lose_nothing(text):
    cleaned = clean(text)
    assert not any(character < " " or character in "\u2028\u2029\x7f" for character in cleaned)
    assert "".join(clusters(cleaned)) == cleaned
    assert "".join(run for run, _ in font_runs(cleaned)) == cleaned


def test_what_belongs_together_is_not_cut():
    assert clusters("a\u0301b") == ["a\u0301", "b"]
    assert clusters("👩\u200d🚒x") == ["👩\u200d🚒", "x"]


def test_control_characters_and_overrides_do_not_reach_the_picture():
    assert clean("a\tb\r\nc\0d") == "a b c d"
    assert clean("safe\u202egpj.exe\u202c") == "safegpj.exe"  # a right-to-left override hides how a name ends
    assert clean("e\u0301") == "é"
    assert clean("👍🏽 ❤\ufe0f") == "👍 ❤"  # skin tone and colour mean nothing to fonts without colours


def test_arabic_letters_join():
    joined = text_tile("قطة", 40).shape[1]
    assert joined < sum(text_tile(letter, 40).shape[1] for letter in "قطة")


def test_a_tile_is_made_once_and_cannot_be_changed():
    assert text_tile("once", 13) is text_tile("once", 13)
    with pytest.raises(ValueError, match="read-only"):
        text_tile("once", 13)[0, 0] = 1


def test_threads_may_draw_at_the_same_time():
    names = [f"{name} {i}" for i in range(20) for name in ("cat", "猫", "قطة")]
    with ThreadPoolExecutor(8) as pool:
        tiles = list(pool.map(lambda name: text_tile(name, 21).copy(), names * 3))
    text_tile.cache_clear()
    for name, tile in zip(names * 3, tiles, strict=True):
        np.testing.assert_array_equal(tile, text_tile(name, 21))
