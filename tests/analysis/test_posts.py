import json
import lzma
import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from ovdet_cli.analysis import posts
from ovdet_cli.analysis.metadata_file import read_metadata
from ovdet_cli.analysis.post import Post
from ovdet_cli.analysis.posts import SCHEMA, PostFinder
from ovdet_cli.media.images import read_exif

BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = 1715963582
MOMENT = datetime(2024, 5, 17, 16, 33, 2, tzinfo=UTC)
SIDE_CAR = {"node": {"shortcode": "C7", "taken_at_timestamp": EPOCH, "owner": {"username": "alice"}}}


def picture(path: Path, taken: str | None = None, offset: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken
    if offset is not None:
        exif.get_ifd(0x8769)[0x9011] = offset
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    os.utime(path, (EPOCH + 60, EPOCH + 60))
    return path


def test_each_field_is_from_the_first_that_has_it(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", "2020:01:01 00:00:00")
    (tmp_path / "a.jpg.json").write_text(
        json.dumps({"id": "s", "author": "bob", "date": "2024-05-17 16:33:02", "likes": 5, "text": "from #side"})
    )
    csv = tmp_path / "posts.csv"
    csv.write_text("file,account,tags\na.jpg,alice,sky\n")
    finder = PostFinder(tmp_path, metadata=read_metadata(csv, BERLIN), zone=BERLIN)
    assert finder.find("a.jpg") == Post("s", "alice", MOMENT, "side-car", 5, "from #side", None, ("sky",))


def test_the_time_of_a_lone_picture(tmp_path: Path) -> None:
    picture(tmp_path / "exif.jpg", "2024:05:17 18:33:02")
    picture(tmp_path / "exif zone.webp", "2024:05:17 12:33:02", "-04:00")
    picture(tmp_path / "20240517_183302 unset.jpg", "0000:00:00 00:00:00")
    picture(tmp_path / "20240517_183302 odd.jpg", "2024:02:30 00:00:00")
    picture(tmp_path / "plain.jpg")
    finder = PostFinder(tmp_path, zone=BERLIN)
    found = {name: finder.find(name) for name in sorted(path.name for path in tmp_path.iterdir())}
    assert {name: post.time_from for name, post in found.items()} == {
        "exif.jpg": "EXIF", "exif zone.webp": "EXIF", "20240517_183302 unset.jpg": "file name",
        "20240517_183302 odd.jpg": "file name", "plain.jpg": "file time",
    }  # fmt: skip
    assert {(post.time or MOMENT).replace(minute=33) for post in found.values()} == {MOMENT}
    assert {name: post.id for name, post in found.items()} == {name: name for name in found}
    assert finder.findings.counts == {"impossible time": 1}
    assert PostFinder(tmp_path, zone=BERLIN, use_file_time=False).find("plain.jpg") == Post("plain.jpg")


def test_a_carousel_is_one_post(tmp_path: Path) -> None:
    for part in ("1.jpg", "2.mp4"):
        (tmp_path / f"2024-05-17_16-33-02_UTC_{part}").touch()
    (tmp_path / "2024-05-17_16-33-02_UTC.json.xz").write_bytes(lzma.compress(json.dumps(SIDE_CAR).encode()))
    (tmp_path / "2024-05-17_16-33-02_UTC.txt").write_text("Up we go #Sky")
    (tmp_path / "lost.json").write_text("{}")
    (tmp_path / "lost_1.json").write_text("{}")
    finder = PostFinder(tmp_path, zone=BERLIN)
    table = finder.find_all([f"2024-05-17_16-33-02_UTC_{part}" for part in ("1.jpg", "2.mp4")])
    assert set(table["post"].to_pylist()) == {"C7"}
    assert table["tags"].to_pylist() == [["sky"], ["sky"]]
    assert finder.findings.counts == {"unused side-car": 2}
    finder.find_all(["lost_1.jpg"])
    assert finder.findings.counts == {"unknown side-car": 2}


def test_without_files_names_and_metadata_tell(tmp_path: Path) -> None:
    finder = PostFinder(tmp_path / "gone", zone=BERLIN)
    table = finder.find_all(["x/20240517_183302.jpg", "y.jpg", "../../etc/passwd", "/etc/passwd", "a\0b.jpg"])
    assert table.schema == SCHEMA
    assert table["time_from"].to_pylist() == ["file name", *["none"] * 4]
    assert table["tags"].to_pylist() == [[]] * 5
    assert PostFinder().find_all([]).num_rows == 0


def test_a_name_does_not_lead_out_of_the_root(tmp_path: Path) -> None:
    picture(tmp_path / "out.jpg")
    (tmp_path / "in").mkdir()
    assert PostFinder(tmp_path / "in").find("../out.jpg").time_from == "none"
    assert PostFinder(tmp_path / "in", places={"../out.jpg": tmp_path / "out.jpg"}).find("../out.jpg").time is not None
    assert PostFinder(places=lambda source: tmp_path / source).find("out.jpg").time_from == "file time"


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv = tmp_path / "posts.csv"
    csv.write_text(
        "file,post_id,date,text\n" + "".join(f"{i}.jpg,p{i // 2},2024-05-17,#t{i}\n" for i in range(0, 90, 3))
    )
    sources = [f"{i}.jpg" for i in range(90)]
    whole = PostFinder(metadata=read_metadata(csv, BERLIN), zone=BERLIN).find_all(sources)
    monkeypatch.setattr(posts, "_CHUNK", 7)
    finder = PostFinder(metadata=read_metadata(csv, BERLIN), zone=BERLIN)
    assert finder.find_all(sources) == whole
    assert whole["post"].to_pylist()[:4] == ["p0", "1.jpg", "2.jpg", "p1"]
    assert [finder.find(source).id for source in sources] == whole["post"].to_pylist()


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        picture(tmp_path / f"feed/{i}.jpg")
    listed = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scan(path))
    PostFinder(tmp_path).find_all([f"feed/{i}.jpg" for i in range(20)] + [f"gone/{i}.jpg" for i in range(20)])
    assert len(listed) == 2


@pytest.mark.filterwarnings("ignore")
def test_exif_of_anything_is_survived(tmp_path: Path) -> None:
    whole = picture(tmp_path / "a.jpg", "2024:05:17 18:33:02").read_bytes()
    for place in range(min(len(whole), 220)):
        (tmp_path / "b.jpg").write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        assert isinstance(read_exif(tmp_path / "b.jpg"), dict)
    for name in ("a.jpg", "missing.jpg"):
        assert isinstance(read_exif(tmp_path / name), dict)
    assert read_exif(tmp_path) == {}
