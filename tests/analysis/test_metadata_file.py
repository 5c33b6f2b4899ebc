import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.analysis import metadata_rows
from ovdet_cli.analysis.metadata_file import MetadataFile, read_metadata
from ovdet_cli.errors import InputError, UsageError

BERLIN = ZoneInfo("Europe/Berlin")
MOMENT = datetime(2024, 5, 17, 16, 33, 2, tzinfo=UTC)
ROW = {"id": "p1", "account": "alice", "time": MOMENT, "likes": 1234, "text": "Hi, #Sky"}
ROW |= {"url": "https://x.example/p1", "tags": ["a", "b", "sky"]}


def write(folder: Path, text: str, name: str = "posts.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(folder: Path, text: str, **options: object) -> MetadataFile:
    return read_metadata(write(folder, text), BERLIN, **options)  # type: ignore[arg-type]


POST = {"text": "Hi, #Sky", "url": "https://x.example/p1"}
DAY = "2024-05-17 18:33:02"
NESTED = {"file": "a.jpg", "id": "p1", "user": {"username": "alice"}, "createdAt": 1715963582000, "likeCount": 1234}
FLAT = {**POST, "post_id": "p1", "author": "alice", "date": DAY, "likes": "1,234", "tags": "a b"}
COMMAS = """file,post_id,username,created_at,like_count,caption,permalink,tags
a.jpg,p1,@alice,2024-05-17T18:33:02+02:00,"1,234","Hi, #Sky",https://x.example/p1,"a, b"
"""
SEMICOLONS = """Filename;Shortcode;Owner;Taken At;Likes;Text;Link;Hashtags
a.jpg;p1;alice;2024-05-17 18:33:02;1234;Hi, #Sky;https://x.example/p1;#a #b
"""
TABS = """image	id	author	timestamp	likes	content	url	tags
a.jpg	p1	alice	1715963582	1.234K	Hi, #Sky	https://x.example/p1	a|b
"""


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("posts.csv", COMMAS, "utf-8-sig"),
        ("posts.csv", SEMICOLONS, "utf-8"),
        ("posts.tsv", TABS, "utf-16"),
        ("posts.jsonl", json.dumps({**NESTED, **POST, "tags": ["a", "b"]}) + "\n\n", "utf-8"),
        ("posts.json", json.dumps({"posts": [{"file": "a.jpg", **FLAT}]}), "utf-8-sig"),
        ("posts.json", json.dumps({"a.jpg": FLAT}), "utf-8"),
    ],
)
def test_the_usual_tables_say_the_same(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    metadata = read_metadata(write(tmp_path, text, name, encoding), BERLIN)
    assert metadata.join(["feed/a.jpg"]).tolist() == [0]
    assert metadata.rows.to_pylist() == [ROW]
    assert not metadata.findings().counts


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = "was,wer,wann,file\nx.jpg,alice,2024-05-17 18:33:02,7\n"
    metadata = read(tmp_path, text, key="was", columns={"account": "WER", "time": "wann"})
    assert metadata.rows.to_pylist()[0] | {"account": "alice", "time": MOMENT} == metadata.rows.to_pylist()[0]
    for options in ({"key": "no"}, {"columns": {"time": "no"}}, {"columns": {"colour": "was"}}):
        with pytest.raises(UsageError):
            read(tmp_path, text, **options)
    path = write(tmp_path, '{"was": "x.jpg", "by": {"name": "alice"}}\n', "p.jsonl")
    assert read_metadata(path, BERLIN, "was", {"account": "by.name"}).rows["account"].to_pylist() == ["alice"]
    with pytest.raises(UsageError, match="metadata-key"):
        read_metadata(path, BERLIN)


@pytest.mark.parametrize(
    ("keys", "sources", "rows"),
    [
        (["a/1.jpg", "b/1.jpg"], ["b/1.jpg", "a/1.jpg", "c/1.jpg"], [1, 0, -1]),
        (["1.jpg"], ["run/a/1.jpg"], [0]),
        (["/data/feed/a/1.jpg", "/data/feed/b/1.jpg"], ["b/1.jpg", "a/1.jpg"], [1, 0]),
        (["C:\\feed\\a\\1.jpg"], ["a/1.jpg"], [0]),
        (["./a/1.jpg"], ["a/1.jpg"], [0]),
        (["https://cdn.example/v/1.jpg?x=1"], ["feed/1.jpg"], [0]),
        (["old/1.jpg"], ["new/1.jpg"], [0]),
        (["IMG.JPG"], ["a/img.jpg"], [0]),
        (["u\u0308.jpg"], ["ü.jpg"], [0]),
        (["1.jpg"], ["a/1.jpg", "b/1.jpg"], [-1, -1]),
        (["1.jpg"], ["1.jpg", "b/1.jpg"], [0, -1]),
        (["1.png"], ["a/1.jpg"], [0]),
        (["abc"], ["abc.jpg", "abc_1.jpg", "x/abc_12.mp4", "abc (2).jpg", "abcd.jpg"], [0, 0, 0, 0, -1]),
        (["abc"], ["Some title [abc].mp4", "abc_998877665544.jpg"], [0, 0]),
        (["a_b-c"], ["a_b-c_2_1.jpg", "a_b.jpg"], [0, -1]),
        (["a.jpg"], ["a_1.jpg"], [-1]),
        (["a.jpg", "a.jpg"], ["a.jpg"], [0]),
        (["a/x.jpg", "b/x.jpg"], ["x.jpg"], [-1]),
        ([], ["a.jpg"], [-1]),
    ],
)  # fmt: skip
def test_who_speaks_of_whom(tmp_path: Path, keys: list[str], sources: list[str], rows: list[int]) -> None:
    metadata = read(tmp_path, "file,likes\n" + "".join(f"{key},1\n" for key in keys))
    assert metadata.join(sources).tolist() == rows
    told = metadata.findings().counts
    left = len(keys) - len({row for row in rows if row >= 0})
    assert told.get("unused row", 0) + told.get("duplicate row", 0) + told.get("ambiguous row", 0) == left


def test_what_is_odd_is_counted_with_its_line(tmp_path: Path) -> None:
    text = (
        'file,date,likes,text\n'
        'a.jpg,2024-02-30,12,"two\nlines"\n'
        '\n'
        'b.jpg,2024-05-17,many,x\n'
        'c.jpg,2024-05-17\n'
        'd.jpg,2024-05-17,1,"open quote\n'
        'e.jpg,2024-05-17,1,fine\n'
        ',2024-05-17,1,no file\n'
        'e.jpg,2024-05-18,1,again\n'
        'f.jpg,31/12/99,-1,last'
    )  # fmt: skip
    metadata = read(tmp_path, text)
    rows = metadata.rows.take(metadata.join(["a.jpg", "b.jpg", "e.jpg"])).to_pylist()
    assert [row["time"] is None for row in rows] == [True, False, False]
    assert [row["likes"] for row in rows] == [12, None, 1]
    findings = metadata.findings()
    once = dict.fromkeys(("impossible number", "row without key", "duplicate row", "unused row"), 1)
    assert findings.counts == {"broken row": 2, "impossible time": 2, **once}
    lines = {kind: [example.partition(":")[0] for example in own] for kind, own in findings.examples.items()}
    assert lines["broken row"] == ["posts.csv, line 6", "posts.csv, line 7"]
    assert lines["impossible time"] == ["posts.csv, line 2", "posts.csv, line 11"]
    assert lines["impossible number"] == ["posts.csv, line 5"]
    assert lines["row without key"] == ["posts.csv, line 9"]
    assert lines["duplicate row"] == ["posts.csv, line 10"]
    assert lines["unused row"] == ["posts.csv, line 11"]
    assert "posts.csv, line 2: '2024-02-30'" in " ".join(findings.sentences())


def test_the_quick_and_the_careful_way_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_rows, "_PIECE", 300)
    rows = [f'{i}_1.jpg,"line one\nline ""two"" {i}",{1_700_000_000 + i}' for i in range(1000)]
    quick = read(tmp_path, "file,caption,timestamp\n" + "\n".join(rows))
    careful = read(tmp_path, "file,caption,timestamp\n" + "\n".join([*rows, "one field"]))
    assert quick.rows == careful.rows
    assert careful.findings().examples["broken row"] == ["posts.csv, line 2002: 1 fields instead of 3"]
    assert quick.findings().examples["unused row"] == careful.findings().examples["unused row"]


@pytest.mark.parametrize("text", ["", "\n\n", "colour,shape\nred,round\n"])
def test_a_table_without_files_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises((InputError, UsageError)):
        read(tmp_path, text)
    for name, content in (("a.json", "{"), ("a.json", "5"), ("b.jsonl", None), ("c.csv", None)):
        path = tmp_path / name if content is None else write(tmp_path, content, name)
        with pytest.raises(InputError):
            read_metadata(path, BERLIN)


def test_broken_json_lines_are_named(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"file": "a.jpg", "likes": 1}\n{"file": \n[1]\n\n{"likes": 2}\n{"file": "b.jpg", "date": "x"}',
        "p.jsonl",
    )
    metadata = read_metadata(path, BERLIN)
    assert metadata.join(["a.jpg", "b.jpg"]).tolist() == [0, 1]
    examples = metadata.findings().examples
    assert [example.partition(":")[0] for kind in examples for example in examples[kind]] == [
        f"p.jsonl, line {line}" for line in (2, 3, 6, 5)
    ]


CELLS = st.text(st.sampled_from('ab1,;"\n\r\t #@é\u202e\x00-:'), max_size=12)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8), st.sampled_from([3, 1_000_000]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_survived(tmp_path: Path, rows: list[list[str]], piece: int) -> None:
    metadata_rows._PIECE, before = piece, metadata_rows._PIECE
    try:
        metadata = read(tmp_path, "file,date,likes,text,tags\n" + "\n".join(",".join(row) for row in rows))
        metadata.join(["a.jpg", "ab", ""])
        metadata.findings().sentences()
    finally:
        metadata_rows._PIECE = before


@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.tsv", "x.json", "x.jsonl"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(b"file\n" * (name == "x.csv") + content)
    try:
        metadata = read_metadata(tmp_path / name, BERLIN)
    except (InputError, UsageError):
        return
    metadata.findings()
