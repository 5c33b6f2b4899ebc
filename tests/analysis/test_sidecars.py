"""Made-up side-cars in the shapes that downloaders write."""

import json
import lzma
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.analysis import sidecars
from ovdet_cli.analysis.findings import Findings
from ovdet_cli.analysis.post import Facts
from ovdet_cli.analysis.sidecars import Folder, SideCars, facts_of_document

MOMENT = datetime(2024, 5, 17, 16, 33, 2, tzinfo=UTC)
EPOCH = 1715963582
INSTALOADER = {
    "node": {
        "__typename": "GraphSidecar",
        "id": "3370000000000000001",
        "shortcode": "C7AbCdEfGhI",
        "taken_at_timestamp": EPOCH,
        "owner": {"id": "42", "username": "alice"},
        "edge_media_preview_like": {"count": 1234, "edges": []},
        "edge_media_to_caption": {"edges": [{"node": {"text": "New balloons! #Balloon #été"}}]},
        "comments_disabled": False,
    },
    "instaloader": {"version": "4.14", "node_type": "Post"},
}
YT_DLP = {
    "id": "7370000000000000002",
    "title": "Balloon ride",
    "description": "Up we go #balloon",
    "uploader": "alice",
    "uploader_id": "680000",
    "channel": "Alice",
    "timestamp": EPOCH,
    "upload_date": "20240517",
    "like_count": 99,
    "webpage_url": "https://video.example/@alice/7370000000000000002",
    "tags": ["Sky", "Balloon"],
    "extractor": "Example",
    "formats": [{"url": "https://cdn.example/x.mp4"}],
}
TWITTER = {
    "category": "twitter",
    "tweet_id": 1790000000000000001,
    "date": "2024-05-17 16:33:02",
    "author": {"id": 42, "name": "alice", "nick": "Alice A."},
    "user": {"id": 43, "name": "bob"},
    "content": "Up we go",
    "hashtags": ["balloon"],
    "favorite_count": 7,
    "num": 1,
}
GALLERY_INSTAGRAM = {
    "category": "instagram",
    "username": "alice",
    "owner_id": "42",
    "post_id": "3370000000000000001",
    "post_shortcode": "C7AbCdEfGhI",
    "shortcode": "C7child",
    "post_url": "https://www.instagram.com/p/C7AbCdEfGhI/",
    "date": "2024-05-17 16:33:02",
    "likes": -1,
    "description": "New balloons!",
    "tags": ["#balloon"],
}
MASTODON = {
    "category": "mastodon",
    "id": "11245",
    "account": {"acct": "alice", "username": "alice", "display_name": "A"},
    "created_at": "2024-05-17T16:33:02.000Z",
    "content": "<p>Up &amp; away<br />now</p><p>more</p>",
    "favourites_count": 3,
    "tags": [{"name": "balloon", "url": "https://m.example/tags/balloon"}],
    "url": "https://m.example/@alice/11245",
}
BOORU = {
    "category": "danbooru",
    "id": 5,
    "created_at": "2024-05-17T12:33:02.000-04:00",
    "fav_count": 11,
    "tag_string": "sky red_balloon",
    "uploader_id": 8,
}
PIXIV = {
    "category": "pixiv",
    "id": 118,
    "user": {"id": 9, "name": "アリス", "account": "alice"},
    "tags": ["空", "空"],
    "total_bookmarks": 4,
    "date": "2024-05-17 16:33:02",
    "title": "Balloon",
    "caption": "",
}
REDDIT = {
    "category": "reddit",
    "id": "1cu",
    "author": "alice",
    "title": "Balloon",
    "created_utc": EPOCH,
    "ups": 5,
    "selftext": "",
}


def read(document: dict[str, Any]) -> Facts:
    def fail(kind: str, message: str) -> None:
        raise AssertionError(f"{kind}: {message}")

    return facts_of_document(document, fail)


@pytest.mark.parametrize(
    ("document", "facts"),
    [
        (
            INSTALOADER,
            Facts(
                "C7AbCdEfGhI",
                "alice",
                MOMENT,
                1234,
                "New balloons! #Balloon #été",
                "https://www.instagram.com/p/C7AbCdEfGhI/",
            ),
        ),
        (
            YT_DLP,
            Facts(
                *("7370000000000000002", "alice", MOMENT, 99, "Balloon ride\nUp we go #balloon", YT_DLP["webpage_url"]),
                ("sky", "balloon"),
            ),
        ),
        (TWITTER, Facts("1790000000000000001", "alice", MOMENT, 7, "Up we go", None, ("balloon",))),
        (
            GALLERY_INSTAGRAM,
            Facts("C7AbCdEfGhI", "alice", MOMENT, None, "New balloons!", GALLERY_INSTAGRAM["post_url"], ("balloon",)),
        ),
        (MASTODON, Facts("11245", "alice", MOMENT, 3, "Up & away\nnow\nmore", MASTODON["url"], ("balloon",))),
        (BOORU, Facts("5", "8", MOMENT, 11, None, None, ("sky", "red_balloon"))),
        (PIXIV, Facts("118", "alice", MOMENT, 4, "Balloon", None, ("空",))),
        (REDDIT, Facts("1cu", "alice", MOMENT, 5, "Balloon")),
        ({"id": "x", "upload_date": "20240517"}, Facts("x", time=datetime(2024, 5, 17, tzinfo=UTC))),
        (
            {"node": {"code": "C7", "taken_at": EPOCH, "user": {"username": "a"}, "caption": {"text": "hi"}}},
            Facts("C7", "a", MOMENT, None, "hi"),
        ),
    ],
)
def test_the_shapes_of_downloaders(document: dict[str, Any], facts: Facts) -> None:
    assert read(document) == facts


def look(folder: Path, name: str) -> tuple[Facts | None, Findings, SideCars, Folder]:
    findings = Findings()
    cars, listed = SideCars(findings), Folder(str(folder))
    return cars.find(listed, name), findings, cars, listed


@pytest.mark.parametrize(
    ("side_car", "name"),
    [
        *(
            ("clip.info.json", "clip.mp4"),
            ("clip.info.json", "clip.webp"),
            ("a.jpg.json", "a.jpg"),
            ("a.json", "a.jpg"),
        ),
        *(
            ("a.json.xz", "a.jpg"),
            ("a.json.xz", "a_1.jpg"),
            ("a.json", "a_12.mp4"),
            ("Titel [x].info.json", "Titel [x].mkv"),
        ),
    ],
)
def test_side_cars_are_found_where_downloaders_put_them(tmp_path: Path, side_car: str, name: str) -> None:
    text = json.dumps(YT_DLP).encode()
    (tmp_path / side_car).write_bytes(lzma.compress(text) if side_car.endswith(".xz") else text)
    (tmp_path / name).touch()
    facts, findings, cars, folder = look(tmp_path, name)
    assert facts is not None
    assert facts.account == "alice"
    assert not findings.counts
    assert cars.unused({folder.path: folder}) == []


def test_a_caption_rides_along_but_boxes_do_not(tmp_path: Path) -> None:
    for name in ("2024-05-17_16-33-02_UTC.txt", "frame.txt"):
        (tmp_path / name).write_text("0 0.5 0.5 0.1 #a")
    facts, *_ = look(tmp_path, "2024-05-17_16-33-02_UTC_2.jpg")
    assert facts == Facts(text="0 0.5 0.5 0.1 #a")
    assert look(tmp_path, "frame.jpg")[0] is None


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", b'{"id": "x', "broken side-car"),
        ("a.json", b"", "broken side-car"),
        ("a.json", b"[1, 2]", "broken side-car"),
        ("a.json", b'"text"', "broken side-car"),
        ("a.json", b"\xff\xfe{}", "broken side-car"),
        ("a.json", b"[" * 100_000, "broken side-car"),
        ("a.json.xz", b"no xz at all", "broken side-car"),
        ("a.json.xz", lzma.compress(json.dumps(YT_DLP).encode())[:-40], "broken side-car"),
        ("a.json.xz", b"", "broken side-car"),
        ("a.json", b'{"shapes": [], "imagePath": "a.jpg"}', "unknown side-car"),
        ("a.json", b"{}", "unknown side-car"),
        ("a.json", b'{"node": 5, "timestamp": {}, "author": [], "likes": "many"}', "unknown side-car"),
    ],
)
def test_broken_side_cars_are_counted_and_named(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    facts, findings, *_ = look(tmp_path, "a.jpg")
    assert facts is None
    assert findings.counts[kind] == 1
    assert findings.examples[kind][0].startswith(name)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecars, "MOST_BYTES", 1_000_000)
    (tmp_path / "a.json.xz").write_bytes(lzma.compress(b" " * 50_000_000))
    (tmp_path / "b.json").write_bytes(b" " * 1_000_001)
    for name in ("a.jpg", "b.jpg"):
        facts, findings, *_ = look(tmp_path, name)
        assert facts is None
        assert "more than 1 MB" in findings.sentences()[0] or "larger than 1 MB" in findings.sentences()[0]


def test_a_folder_or_fifo_is_no_side_car(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b.json")
    for name in ("a.jpg", "b.jpg"):
        assert look(tmp_path, name)[0] is None


def test_side_cars_that_belong_to_nothing_are_told(tmp_path: Path) -> None:
    for name in ("a.json", "gone.info.json", "gone.json.xz", "run.json"):
        (tmp_path / name).write_text("{}")
    _, _, cars, folder = look(tmp_path, "a.jpg")
    assert [Path(path).name for path in cars.unused({folder.path: folder})] == ["gone.info.json", "gone.json.xz"]


INNER = st.sampled_from(["count", "edges", "node", "text", "username", "name", "id", "date", ""])
WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(INNER, inside, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *(
            "node",
            "iphone_struct",
            "shortcode",
            "id",
            "date",
            "timestamp",
            "author",
            "owner",
            "user",
            "likes",
            "tags",
            "stats",
        ),
        *(
            "edge_media_to_caption",
            "edge_media_preview_like",
            "caption",
            "content",
            "title",
            "url",
            "post_url",
            "created_at",
        ),
    ]
)


@given(st.dictionaries(KEYS, WILD, max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_gives_well_typed_facts(document: dict[str, Any]) -> None:
    facts = facts_of_document({"node": document, **document}, lambda kind, message: None)
    for text in (facts.id, facts.account, facts.text, facts.url):
        assert text is None or (isinstance(text, str) and text.encode())
    assert facts.url is None or facts.url.startswith(("http://", "https://"))
    assert facts.likes is None or 0 <= facts.likes < 2**63
    assert facts.time is None or facts.time.tzinfo is UTC
    assert all(isinstance(tag, str) and tag for tag in facts.tags)


@given(st.binary(max_size=200), st.sampled_from(["a.json", "a.json.xz", "a.info.json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_survived(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    look(tmp_path, "a.jpg")
