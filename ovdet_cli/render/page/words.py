"""Numbers, moments and foreign text as a reader wants to see them; `js/text.js` says the same in the browser."""

import re
from typing import Any

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d))?")
# Controls, and what turns the direction of text or is not seen at all. The joiners U+200C and U+200D stay: Persian
# words and emoji are made of them.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
PER_CENT = "\u00a0%"


def visible(text: Any) -> str:
    """Text in which what cannot be seen, or would turn the text around it, is named."""
    shown = _UNSEEN.sub(_named, "" if text is None else str(text))
    return shown if shown.strip() else "(no name)"


def count(number: float | None) -> str:
    """12345 -> 12,345."""
    return "–" if number is None else f"{round(number):,}"


def share(fraction: float | None) -> str:
    """A fraction as per cent: 12.3 %, tiny ones as < 0.1 %."""
    if fraction is None:
        return "–"
    if 0 < fraction < 0.001:
        return f"<\u00a00.1{PER_CENT}"
    if 0.9995 <= fraction < 1:
        return f">\u00a099.9{PER_CENT}"
    return ("0" if fraction == 0 else "100" if fraction == 1 else f"{100 * fraction:.1f}") + PER_CENT


def interval(low: float | None, high: float | None) -> str:
    """Two fractions as per cent without the sign: 11.9 to 12.7; two decimals where all is below 1 %."""
    if low is None or high is None:
        return "–"
    digits = 2 if high < 0.01 else 1
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def moment(time: str | None) -> str:
    """2026-11-20T14:00+01:00 -> 20 Nov 2026, 14:00; anything else as it is."""
    found = _MOMENT.match(time or "")
    if not found or not 1 <= int(found[2]) <= 12:
        return visible(time) if time else "–"
    day = f"{int(found[3])} {_MONTHS[int(found[2]) - 1]} {found[1]}"
    return f"{day}, {found[4]}" if found[4] else day


def day(time: str | None) -> str:
    """The day alone of a moment."""
    return moment(time).split(",")[0]


def colour(text: Any) -> str:
    """A colour that may stand in an attribute; grey for anything else."""
    return text if isinstance(text, str) and _COLOUR.fullmatch(text) else "#888888"


def _named(found: re.Match[str]) -> str:
    # By number: the pictures of controls (␀ ␛) are missing from many fonts.
    return f"⟨U+{ord(found[0]):04X}⟩"
