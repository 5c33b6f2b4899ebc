"""Numbers, moments and foreign text in words."""

import pytest

from ovdet_cli.render.page import words


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.1234, "12.3 %"), (0.0004, "< 0.1 %"), (0.0, "0 %"), (1.0, "100 %"), (0.9999, "> 99.9 %"), (None, "–")],
)
def test_shares(fraction: float | None, text: str) -> None:
    assert words.share(fraction).replace("\u00a0", " ") == text


def test_intervals() -> None:
    assert words.interval(0.119, 0.127) == "11.9 to 12.7"
    assert words.interval(0.0012, 0.0034) == "0.12 to 0.34"
    assert words.interval(None, 0.5) == "–"


def test_counts() -> None:
    assert (words.count(1234567), words.count(None)) == ("1,234,567", "–")


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2026-11-20T14:00+01:00", "20 Nov 2026, 14:00"),
        ("2026-11-02", "2 Nov 2026"),
        ("2026-13-40T00:00", "2026-13-40T00:00"),
        ("<b>", "<b>"),
        (None, "–"),
    ],
)
def test_moments(time: str | None, text: str) -> None:
    assert words.moment(time) == text


def test_what_is_not_seen_is_named() -> None:
    assert words.visible("a\x00b\u202ec\n") == "a⟨U+0000⟩b⟨U+202E⟩c⟨U+000A⟩"
    assert words.visible("👩\u200d👧 می\u200cخواهم") == "👩\u200d👧 می\u200cخواهم"
    assert words.visible("  ") == words.visible(None) == "(no name)"


def test_a_colour_is_a_colour() -> None:
    assert (words.colour("#A0b1c2"), words.colour('red" onload="x'), words.colour(None)) == (
        "#A0b1c2",
        "#888888",
        "#888888",
    )
