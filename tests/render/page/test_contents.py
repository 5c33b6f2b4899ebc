import json
import shutil
from zoneinfo import ZoneInfo

import orjson
import pytest

from ovdet_cli.analysis.report import Report, ReportRequest
from ovdet_cli.media.images import write_image
from ovdet_cli.render.page import contents as page_contents
from ovdet_cli.render.page.contents import page_payload
from ovdet_cli.render.page.page import write_page
from ovdet_cli.render.page.shown import PageOptions
from tests.analysis.store_of import record, video, write_run
from tests.analysis.wild_feed import CUT, make_feed
from tests.media.clips import corner_picture, make_clip


def payload(tmp_path, *runs, each=4, **asked):
    with Report(ReportRequest(runs, **asked)) as report:
        made = page_payload(report, PageOptions("title", tmp_path, each=each))
    assert json.loads(orjson.dumps(made)) is not None
    write_page(made, tmp_path / "page.html")
    return made


def every_index(made):
    """Each index of the payload, with the list that it points into."""
    for details in made["details"].values():
        for places in details["gallery"].values():
            yield from (("pictures", place) for place in places)
        yield from (("posts", place) for place in details["top"])
    for picture in made["pictures"]:
        yield "posts", picture["post"]
        yield "thumbs", picture["thumb"]
        yield from (("labels", box[0]) for box in picture["boxes"])
    for post in made["posts"]:
        yield "pictures", post["picture"]
        yield from (("labels", held[0]) for held in post["labels"])
    for video_ in made["videos"]:
        yield from (("pictures", place) for place in video_["strip"])
        for band in video_["bands"]:
            yield "labels", band[0]
            yield "pictures", band[5]
    for key in ("accounts", "tags", "folders"):
        yield from (("labels", row["top_label"]) for row in made[key] or ())
    for row in made["parents"]:
        yield from (("labels", place) for place in row["labels"])
    yield from (("labels", row["label"]) for row in (made["compare"] or {"rows": []})["rows"])
    yield from (("labels", row["label"]) for row in made["suggested"] or ())


def check(made):
    sizes = {key: len(made[key]) for key in ("pictures", "posts", "thumbs")} | {"labels": len(made["labels"]["name"])}
    for kind, place in every_index(made):
        assert place is None or 0 <= place < sizes[kind]
    lengths = {len(column) for column in made["labels"].values() if column is not None}
    assert len(lengths) == 1
    if made["cube"]:
        cube = made["cube"]
        assert len({len(cube[name]) for name in ("label", "account", "bin", "units")}) == 1
        assert max(cube["account"], default=0) < len(cube["accounts"])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_wild_feed_in_the_page_s_terms(tmp_path, seed):
    feed = make_feed(seed)
    classes = [
        {"name": "cat", "parent": "pet", "colour": "#12aBcd"},
        {"name": "it's", "parent": ["pet", "pet"], "colour": '#"><x>'},
    ]
    info = {"settings": {"threshold": CUT, "record_threshold": 0.1}, "vocabulary": {"classes": classes}}
    run = write_run(tmp_path / "run", *feed.records, info=info)
    made = payload(tmp_path, run, suggest_thresholds=True)
    check(made)
    labels = made["labels"]
    files = {s for s in feed.posts if any(r["source"] == s for r in feed.ok)}
    assert made["totals"]["units"] == len(files)
    assert labels["colour"][labels["name"].index("cat")] == "#12aBcd"
    assert labels["colour"][labels["name"].index("it's")].startswith("#")
    assert len(labels["colour"][labels["name"].index("it's")]) == 7
    assert made["thumbs"] == []
    assert made["more"]["thumbs"] == len(made["pictures"])
    for picture in made["pictures"]:
        assert picture["href"] is None
        assert all(0 <= v <= 1 for box in picture["boxes"] for v in box[2:])
    first = made["details"]["0"]
    assert sum(first["scores"]) == labels["detections"][0]
    assert len(made["posts"]) + made["more"]["posts"] == len(files)


def test_thumbnails_and_links_of_pictures_and_videos(tmp_path):
    media = tmp_path / "media # 1"
    media.mkdir()
    write_image(media / "a:b?.png", corner_picture((400, 200)))
    make_clip(media / "clip.mp4", ticks=range(0, 8 * 9000, 9000))
    records = [record("a:b?.png", ("cat", 0.9)), record("gone.png", ("cat", 0.8)), record("../a.png", ("cat", 0.7))]
    records += video("clip.mp4", *((i / 10, ("dog", 0.9 - i / 100)) for i in range(8)))
    run = write_run(tmp_path / "run", *records, info={"inputs": {"root": str(media)}})
    made = payload(tmp_path, run)
    check(made)
    by_source = {picture["source"]: picture for picture in made["pictures"]}
    assert by_source["a:b?.png"]["href"] == "media%20%23%201/a%3Ab%3F.png"
    assert by_source["a:b?.png"]["thumb"] is not None
    for name in ("gone.png", "../a.png"):
        assert (by_source[name]["href"], by_source[name]["thumb"]) == (None, None)
    (clip,) = made["videos"]
    assert (clip["source"], clip["frames"], clip["duration_s"]) == ("clip.mp4", 8, 0.8)
    assert len(clip["strip"]) == 8
    assert [band[1:3] for band in clip["bands"]] == [[0.0, 0.8]]
    assert made["pictures"][clip["bands"][0][5]]["time_s"] == 0.0
    assert len(made["thumbs"]) == 9
    # The same where the folder has moved.
    shutil.move(media, tmp_path / "moved")
    assert payload(tmp_path, run)["thumbs"] == []
    assert len(payload(tmp_path, run, root=tmp_path / "moved")["thumbs"]) == 9


def test_a_name_that_leads_out_of_the_root_is_never_opened(tmp_path):
    (tmp_path / "root").mkdir()
    write_image(tmp_path / "secret.png", corner_picture((8, 8)))
    run = write_run(
        tmp_path / "run",
        *(record(name, ("cat", 0.9)) for name in ("../secret.png", str(tmp_path / "secret.png"), "x" * 300)),
    )
    made = payload(tmp_path, run, root=tmp_path / "root")
    assert made["thumbs"] == []
    assert {picture["href"] for picture in made["pictures"]} == {None}


@pytest.mark.parametrize("records", [[], [record("a.jpg", error="broken")], [record("a.jpg")]])
def test_a_run_of_nothing(tmp_path, records):
    made = payload(tmp_path, write_run(tmp_path / "run", *records))
    check(made)
    assert made["labels"]["name"] == []
    assert made["pairs"] is made["compare"] is made["cube"] is made["bins"] is None
    assert len(made["coverage"]["failures"]) == sum(r["status"] == "error" for r in records)


def test_what_run_json_says_is_taken_as_anybody_s(tmp_path):
    info = {
        "status": ["done"],
        "started": 5,
        "command": "no list",
        "notes": {"a": 1},
        "model": {"name": ["x"], "stem": {}},
        "vocabulary": {"origins": 7, "names": "cat", "classes": [{"name": "cat", "colour": 5}]},
        "inputs": {"skipped": [".txt"], "root": "a\0b", "elsewhere": {"a.jpg": "b\0c"}},
        "settings": {"threshold": "high", "every": "x"},
    }
    made = payload(tmp_path, write_run(tmp_path / "run", record("a.jpg", ("cat", 0.9)), info=info))
    assert made["runs"][0]["model"] == "['x']"
    assert made["runs"][0]["num_words"] is None
    info["inputs"] = {"skipped": {".txt": 3, ".x": "many"}}
    made = payload(tmp_path, write_run(tmp_path / "run", record("a.jpg", ("cat", 0.9)), info=info))
    assert made["coverage"]["skipped"] == {".txt": 3}


def test_two_runs_in_a_zone_and_what_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(page_contents, "_FULL_LABELS", 2)
    runs = [
        write_run(tmp_path / name, *(record(f"{i}.jpg", ("cat", 0.9), ("dog", 0.8), ("bird", 0.7)) for i in range(9)))
        for name in ("one", "two")
    ]
    rows = "".join(f"{i}.jpg,2026-03-0{i + 1}T00:30,ann\n" for i in range(9))
    (tmp_path / "posts.csv").write_text("file,time,account\n" + rows)
    made = payload(
        tmp_path, *runs, compare=True, metadata=tmp_path / "posts.csv", zone=ZoneInfo("Asia/Kolkata"), bins="day"
    )
    check(made)
    assert list(made["details"]) == ["0", "1"]
    assert made["totals"]["first"] == "2026-03-01T00:30+05:30"
    assert made["bins"]["starts"][0] == "2026-03-01T00:00+05:30"
    assert made["bins"]["units"] == [1] * 9
    assert made["compare"]["a"] == {"name": "one", "units": 9}
    assert [row["verdict"] for row in made["compare"]["rows"]] == ["no clear change"] * 3


def test_a_page_of_21_000_labels_stays_bounded(tmp_path):
    many = [(f"label {i}", 0.9) for i in range(21_000)]
    run = write_run(tmp_path / "run", record("a.jpg", *many), *(record(f"{i}", ("label 7", 0.9)) for i in range(5)))
    made = payload(tmp_path, run)
    assert len(made["labels"]["name"]) == 21_000
    assert len(made["details"]) == 200
    assert (tmp_path / "page.html").stat().st_size < 6_000_000
