"""Payload -> one HTML file that loads nothing: text, styles, script, numbers and pictures in it.

The words, figures, warnings, first labels and coverage are static HTML; the script adds what asks for interaction.
A content security policy allows the two scripts and the style sheet by their hashes and nothing else, so text of a feed
could not run, load or send anything even if it found a way into the markup.
"""

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from ovdet_cli.render.page import words
from ovdet_cli.render.page.payload import complete
from ovdet_cli.render.page.trends import trends

NUM_STATIC_LABELS = 50
_FOLDER = Path(__file__).parent
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_STYLES = ("base", "tables", "filters", "charts", "pictures", "videos", "record", "media")
# The order of use: each file sees the functions of those before it.
_SCRIPTS = (
    *("text", "dom", "data", "state", "table", "charts", "filters"),
    *("labels", "trend", "who", "pictures", "record", "videos", "comparison", "shapes", "main"),
)


def write_page(payload: dict[str, Any], path: Path) -> int:
    """Write the page and give its size in bytes. The payload's keys: docs of issue 8, checked in `complete`.

    Raises:
        ValueError: the payload holds what JSON cannot, or columns of different lengths.
    """
    text = page_html(payload)
    data = text.encode("utf-8")
    path.write_bytes(data)
    return len(data)


def page_html(payload: dict[str, Any]) -> str:
    """The page as text."""
    whole = complete(payload)
    thumbs = [thumb if _BASE64.fullmatch(thumb or "") else "" for thumb in whole.pop("thumbs")]
    changed = trends(whole)
    style, early, script = _style(), _asset("js/early.js"), _script()
    return _template().render(
        data=whole,
        top=_most_frequent(whole, 3),
        rose=[trend for trend in changed if trend.second > trend.first],
        fell=[trend for trend in changed if trend.second < trend.first],
        scale=_scale(whole),
        num_static=NUM_STATIC_LABELS,
        policy="; ".join(
            (
                "default-src 'none'",
                f"script-src {_hash(early)} {_hash(script)}",
                f"style-src {_hash(style)}",
                "img-src data: blob:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        style=style,
        early=early,
        script=script,
        # Thumbs stand apart and last: the page is alive before the browser has read them.
        payload=embeddable(whole),
        thumbs="\n".join(thumbs),
    )


def embeddable(value: Any) -> str:
    """JSON that may stand inside a `<script>` element: nothing in it ends the element or a line of script."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _most_frequent(whole: dict[str, Any], number: int) -> list[int]:
    shares = whole["labels"]["share"]
    return [i for i in range(len(shares)) if shares[i]][:number]


def _scale(whole: dict[str, Any]) -> float:
    """The share at the right end of the bars: a round number above the highest interval."""
    highest = max((high for high in whole["labels"]["high"] if high), default=0.0)
    steps = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
    return next((step for step in steps if highest <= step), 1.0)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _style() -> str:
    return "\n".join(_asset(f"css/{name}.css") for name in _STYLES)


def _script() -> str:
    # One function around all: no name of ours meets the browser's own.
    lines = (line.strip() for name in _SCRIPTS for line in _asset(f"js/{name}.js").splitlines())
    # Comments and indents stay in the sources; no string of ours goes over a line, and no line relies on its indent.
    code = "\n".join(line for line in lines if line and not line.startswith("//"))
    return f'(() => {{\n"use strict";\n{code}\n}})();'


@cache
def _asset(name: str) -> str:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    assert "</script" not in text and "</style" not in text and "<!--" not in text, name
    return text


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (words.visible, words.count, words.share, words.interval, words.moment, words.day, words.colour):
        environment.filters[function.__name__] = function
    return environment.get_template("report.html")
