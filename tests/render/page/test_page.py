"""The file itself: what stands in it, and what cannot."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from ovdet_cli.render.page.page import embeddable, page_html, write_page
from ovdet_cli.render.page.payload import complete
from tests.render.page import payloads


class Outline(HTMLParser):
    """Tags with their attributes, and the text of each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        for tag in set(self.inside):
            self.texts[tag][-1] += data

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if attributes.get("id")]  # type: ignore[misc]


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    assert write_page(payloads.made_up(num_thumbs=4), tmp_path / "page.html") == (tmp_path / "page.html").stat().st_size


def test_the_payload_comes_back_from_the_page() -> None:
    payload = complete(payloads.hostile())
    page = Outline(page_html(payloads.hostile()))
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert [attributes.get("id") for attributes in scripts] == [None, "payload", None, "thumbs"]
    embedded = json.loads(page.texts["script"][1])
    thumbs = payload.pop("thumbs")
    assert embedded == payload
    # What is no base64 is no thumb.
    assert page.texts["script"][3].split("\n") == ["", *thumbs[1:]]


def test_hostile_text_makes_no_markup() -> None:
    page = Outline(page_html(payloads.hostile()))
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "embed", "link", "base", "form", "b1"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert all(link and link.startswith("#") for link in links)
    assert "\u202e" not in "".join(page.texts["main"])
    assert "⟨U+202E⟩gnp.exe" in "".join(page.texts["main"])


def test_only_the_pages_own_scripts_may_run() -> None:
    html = page_html(payloads.made_up(num_thumbs=2))
    page = Outline(html)
    policy = next(a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for text in (page.texts["script"][0], page.texts["script"][2], page.texts["style"][0]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    outside = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    assert not re.findall(r"(?:https?:)?//[a-z]", re.sub(r"<dd>.*?</dd>", "", outside))


def test_a_page_has_an_outline() -> None:
    page = Outline(page_html(payloads.made_up()))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == tags.count("main") == tags.count("nav") == 1
    assert len(page.ids()) == len(set(page.ids()))
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    targets = {a["href"][1:] for tag, a in page.tags if tag == "a" and a.get("href")}  # type: ignore[index]
    assert targets <= set(page.ids())


def test_the_answer_stands_in_the_page_without_script() -> None:
    page = Outline(page_html(payloads.made_up()))
    answer = " ".join("".join(page.texts["p"]).replace("\u00a0", " ").split())
    assert "In 3,200 posts of 214 accounts, between 1 Sep 2026 and 19 Nov 2026, the most frequent things are" in answer
    assert "Over that time car" in answer
    rows = [a for tag, a in page.tags if tag == "th" and a.get("scope") == "row"]
    assert len(rows) == 50 + 2  # labels and reasons of failures


@pytest.mark.parametrize(
    ("payload", "sections", "words"),
    [
        (payloads.nothing, ["coverage", "making"], "Nothing was analysed"),
        (payloads.only_failures, ["coverage", "making"], "all 12 files failed"),
        (payloads.nulls, ["labels", "pictures", "posts", "videos", "places", "coverage", "making"], "thing"),
    ],
)
def test_what_has_no_data_is_absent(payload: object, sections: list[str], words: str) -> None:
    page = Outline(page_html(payload()))  # type: ignore[operator]
    found = [attributes["id"] for tag, attributes in page.tags if tag == "section" and "id" in attributes]
    assert found == sections
    assert words in " ".join(" ".join(page.texts["main"]).split())


@pytest.mark.parametrize("key", sorted(payloads.made_up(num_units=50, num_labels=3, num_thumbs=1)))
def test_any_part_may_be_unknown_or_half_known(key: str) -> None:
    payload = payloads.made_up(num_units=50, num_labels=3, num_thumbs=1)
    assert "<h1>" in page_html(payload | {key: None})
    if isinstance(payload[key], dict) and key != "labels":
        for part in payload[key]:
            assert "<h1>" in page_html(payload | {key: {**payload[key], part: None}})


def test_json_in_a_script_cannot_end_it() -> None:
    value = {"</script>": ["<!--", "\u2028\u2029", "&amp;"]}
    text = embeddable(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_values_are_made_plain() -> None:
    whole = complete({"totals": {"units": 3, "video_minutes": float("nan")}, "title": "half \udcff"})
    assert whole["totals"]["video_minutes"] is None
    assert whole["title"] == "half ?"
    with pytest.raises(ValueError, match="plain values only"):
        complete({"cuts": [object()]})
    with pytest.raises(ValueError, match=r"share has 1 entries, labels\.name 2"):
        complete({"labels": {"name": ["a", "b"], "share": [0.5]}})
