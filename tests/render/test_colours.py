"""Class colours: always the same, apart from each other, and with text that can be read on them."""

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.render.colours import BLACK, WHITE, class_colour, mix, palette, relative_luminance, text_colour


@given(st.text())
def test_any_name_has_a_colour_of_the_palette(label):
    assert class_colour(label) in palette()


def test_a_colour_stays_the_same_in_every_run_and_release():
    # Written down once: pictures of two releases, or of two shards of a run, must agree.
    expected = {"cat": (243, 92, 188), "dog": (167, 70, 205), "猫": (152, 179, 0), "": (156, 94, 239)}
    assert {name: class_colour(name) for name in expected} == expected


def test_a_colour_does_not_depend_on_the_process():
    code = "from ovdet_cli.render.colours import class_colour; print(class_colour('traffic light'))"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.stdout.strip() == str(class_colour("traffic light")), done.stderr


def test_palette_colours_differ_and_stand_out_on_black_and_white():
    colours = palette()
    assert len(set(colours)) == len(colours) == 72
    for colour in colours:
        assert max(colour) - min(colour) > 80, "vivid"
        assert 0.1 < relative_luminance(colour) < 0.8


def test_text_is_legible_on_every_colour():
    for colour in palette():
        light, dark = sorted([relative_luminance(colour), relative_luminance(text_colour(colour))], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert (text_colour(WHITE), text_colour(BLACK)) == (BLACK, WHITE)


def test_names_spread_over_the_palette():
    assert len({class_colour(f"class {i}") for i in range(1000)}) == len(palette())


def test_mix():
    assert mix((200, 100, 0), BLACK, 0.5) == (100, 50, 0)
    assert mix((200, 100, 0), WHITE, 0) == (200, 100, 0)
