"""Fonts: every script has one, and what cannot be used is left alone."""

import shutil
import struct

import numpy as np
import pytest

from ovdet_cli.render import fonts
from ovdet_cli.render.fonts import FONT_DATA, OutlineFont, available, first_font, font_for, last_font, read_coverage


@pytest.fixture
def no_system_fonts(monkeypatch):
    """The machine of a newcomer: a bare container."""
    yield from _with_folders(monkeypatch, [])


@pytest.fixture
def system_folder(monkeypatch, tmp_path):
    """A machine whose only font folder is this one."""
    yield from _with_folders(monkeypatch, [tmp_path])


def _with_folders(monkeypatch, folders):
    monkeypatch.setattr(fonts, "_system_folders", lambda: folders)
    fonts.system_fonts.cache_clear()
    fonts.font_for.cache_clear()
    yield folders[0] if folders else None
    fonts.system_fonts.cache_clear()
    fonts.font_for.cache_clear()


@pytest.mark.parametrize("text", ["cat", "кошка", "γάτα", "قطة", "חתול", "ş", "🐱"])
def test_dejavu_has_the_common_scripts(text):
    assert all(first_font().has(ord(character)) for character in text)


@pytest.mark.parametrize("text", ["猫", "ネコ", "고양이", "बिल्ली", "แมว", "🚲", "🦓"])
def test_unifont_has_what_dejavu_lacks(text, no_system_fonts):
    for character in text:
        assert not first_font().has(ord(character))
        assert font_for(character) is last_font()
        assert last_font().glyph(ord(character))[0].any()


def test_a_character_no_font_has_is_an_empty_frame(no_system_fonts):
    assert font_for("\U000f1234") is last_font()
    cell, advance = last_font().glyph(0xF1234)
    assert cell.any() and advance == 16


def test_no_system_font_is_looked_for_while_dejavu_suffices(monkeypatch):
    def walk():
        raise AssertionError("the system's folders were walked for a Latin letter")

    font_for.cache_clear()
    monkeypatch.setattr(fonts, "system_fonts", walk)
    assert font_for("é") is first_font()


def test_known_system_fonts_are_found_and_ranked(system_folder):
    ours = FONT_DATA / "DejaVuSansCondensed-Bold.ttf"
    (system_folder / "deeper").mkdir()
    for name in ("NotoSansThai-Regular.ttf", "unknown.ttf", "NotoSansCJK-Bold.ttc", "NotoColorEmoji.ttf"):
        shutil.copy(ours, system_folder / "deeper" / name)
    assert [font.name for font in fonts.system_fonts()] == ["NotoSansCJK-Bold", "NotoSansThai-Regular"]
    assert [name for name, _ in available()] == [
        "DejaVuSansCondensed-Bold",
        "NotoSansCJK-Bold",
        "NotoSansThai-Regular",
        "GNU Unifont",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"not a font", b"ttcf", b"\0\1\0\0\0\0\0\0", struct.pack(">4sHHHH", b"\0\1\0\0", 9, 0, 0, 0)]
)
def test_a_broken_system_font_is_left_alone(content, system_folder):
    (system_folder / "NotoSansCJK-Regular.ttc").write_bytes(content)
    assert len(fonts.system_fonts()) == 1
    assert font_for("猫") is last_font()


def test_coverage_is_what_the_font_draws():
    path = FONT_DATA / "DejaVuSansCondensed-Bold.ttf"
    assert len(read_coverage(path)) == 5898  # as fontTools 4 counts them
    font = OutlineFont(path)
    missing = font.render("\U0010ffff", 20, 20, 26)
    for code in (0x41, 0x416, 0x644, 0x1F431):
        assert font.has(code)
        assert not np.array_equal(font.render(chr(code), 20, 20, 26), missing)
    assert not font.has(0x732B)


@pytest.mark.parametrize("size", [9, 13, 16, 24, 40, 64])
def test_bitmaps_are_cut_to_no_glyph(size):
    tile = last_font().render("猫", size, size, round(1.3 * size))
    assert tile.shape[0] == round(1.3 * size)
    inked = np.flatnonzero(tile.any(1))
    assert inked[-1] - inked[0] >= 0.6 * size


def test_a_mark_lies_on_the_letter_before_it():
    letter, marked = (last_font().render(text, 16, 16, 21) for text in ("ก", "กี"))
    assert marked.shape == letter.shape
    assert marked.astype(int).sum() > letter.astype(int).sum()


def test_licences_stand_beside_the_fonts():
    assert "Bitstream" in (FONT_DATA / "DejaVu-LICENSE.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in (FONT_DATA / "Unifont-LICENSE.txt").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in FONT_DATA.iterdir()) < 1_300_000
