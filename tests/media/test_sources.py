import io
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.images import write_image
from ovdet_cli.media.naming import safe_name
from ovdet_cli.media.sources import ImageSource, InputList, VideoSource, collect_inputs, open_source
from ovdet_cli.media.walk import matches, natural_key
from tests.media.clips import make_clip


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(inputs: InputList) -> list[str]:
    return [source.name for source in inputs.sources]


def listed(text: str | bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "utf-8")


def test_a_folder_is_walked_in_one_natural_order() -> None:
    touch(
        "in/a10.jpg",
        "in/a2.jpg",
        "in/B/2.png",
        "in/B/10.png",
        "in/c.mp4",
        "in/a2/x.jpg",
        "in/.hidden.jpg",
        "in/.git/y.jpg",
    )
    inputs = collect_inputs(["in"])
    assert names(inputs) == ["a2/x.jpg", "a2.jpg", "a10.jpg", "B/2.png", "B/10.png", "c.mp4"]
    assert [source.kind for source in inputs.sources] == ["image"] * 5 + ["video"]
    assert inputs.sources[0].path == Path("in/a2/x.jpg")
    assert inputs.name == "in"


def test_what_is_not_ours_is_counted_by_ending() -> None:
    touch("in/a.JPG", "in/b.txt", "in/c.TXT", "in/d", "in/e.tar.gz")
    os.mkfifo("in/pipe.jpg")
    Path("in/dead.jpg").symlink_to("nowhere")
    inputs = collect_inputs(["in"])
    assert names(inputs) == ["a.JPG"]
    assert inputs.skipped == {".txt": 2, "(none)": 1, ".gz": 1, "(not a file)": 1, "(broken link)": 1}


def test_kinds_leave_out_the_others() -> None:
    touch("in/a.jpg", "in/b.mp4")
    assert names(collect_inputs(["in"], kinds=frozenset({"video"}))) == ["b.mp4"]
    with pytest.raises(UsageError, match=r"a\.jpg.*only videos"):
        collect_inputs(["in/a.jpg"], kinds=frozenset({"video"}))


def test_links_are_followed_and_loops_end() -> None:
    touch("in/a/1.jpg", "elsewhere/2.jpg")
    Path("in/a/up").symlink_to(Path("..").resolve() / Path.cwd().name / "in")
    Path("in/b").symlink_to(Path("elsewhere").resolve())
    Path("in/self").symlink_to("self")
    inputs = collect_inputs(["in"])
    assert names(inputs) == ["a/1.jpg", "b/2.jpg"]
    assert inputs.skipped == {"(broken link)": 1}


def test_run_folders_and_excluded_folders_are_never_walked() -> None:
    touch("in/a.jpg", "in/run/annotated/a.jpg", "in/out/b.jpg", "in/other/c.jpg")
    Path("in/run/run.json").write_text('{"schema": "ovdet/1"}')
    Path("in/other/run.json").write_text('{"schema": "theirs"}')
    inputs = collect_inputs(["in"], exclude=[Path("in/out").resolve()])
    assert names(inputs) == ["a.jpg", "other/c.jpg"]
    with pytest.raises(UsageError, match="ovdet run"):
        collect_inputs(["in/run"])
    assert names(collect_inputs(["in/run/annotated"])) == ["a.jpg"]


def test_typescript_is_no_video() -> None:
    touch("in/a.jpg")
    Path("in/code.ts").write_text("Go = 1; // TypeScript\n" * 30)
    Path("in/code.mts").write_text("export const G = 1\n")
    Path("in/film.ts").write_bytes((b"G" + bytes(187)) * 3)
    Path("in/film.mts").write_bytes((bytes(4) + b"G" + bytes(187)) * 3)
    inputs = collect_inputs(["in"])
    assert names(inputs) == ["a.jpg", "film.mts", "film.ts"]
    assert inputs.skipped == {".mts": 1, ".ts": 1}


def test_loose_files_are_named_from_their_common_folder() -> None:
    touch("in/x/1.jpg", "in/y/deep/2.jpg")
    assert names(collect_inputs(["in/x/1.jpg"])) == ["1.jpg"]
    assert names(collect_inputs(["in/x/1.jpg", "in/y/deep/2.jpg"])) == ["x/1.jpg", "y/deep/2.jpg"]


def test_several_roots_begin_with_their_own_names() -> None:
    touch("one/pics/1.jpg", "two/pics/1.jpg", "loose/3.jpg", "glob/4.jpg")
    inputs = collect_inputs(["one/pics", "two/pics", "loose/3.jpg", "glob/*.jpg"])
    assert names(inputs) == ["pics/1.jpg", "pics-2/1.jpg", "loose/3.jpg", "glob/4.jpg"]
    assert inputs.name == "pics-and-3-more"


def test_a_root_that_gives_nothing_new_is_none() -> None:
    touch("in/1.jpg", "in/2.jpg")
    inputs = collect_inputs(["in", "in/*.jpg", "in/1.jpg", str(Path("in").resolve())])
    assert names(inputs) == ["1.jpg", "2.jpg"]
    assert inputs.skipped == {"(duplicate)": 5}


def test_loose_files_share_the_root_of_a_folder_they_lie_in() -> None:
    touch("in/1.jpg", "in/2.odd")
    write_image(Path("in/3.png"), np.zeros((4, 4, 3), np.uint8))
    Path("in/3.png").rename("in/2.odd")
    assert names(collect_inputs(["in", "in/2.odd"])) == ["1.jpg", "2.odd"]


@pytest.mark.parametrize(
    ("pattern", "expected", "name"),
    [
        ("in/*.jpg", ["1.jpg", "2.jpg"], "in"),
        ("in/**/*.jpg", ["1.jpg", "2.jpg", "sub/3.jpg", "sub/sub/4.jpg"], "in"),
        ("in/**", ["1.jpg", "2.jpg", "sub/3.jpg", "sub/sub/4.jpg"], "in"),
        ("in/sub/**/*.jpg", ["3.jpg", "sub/4.jpg"], "sub"),
        ("in/*/*.jpg", ["sub/3.jpg"], "in"),
        ("in/[13].jpg", ["1.jpg"], "in"),
        ("in/?.j*", ["1.jpg", "2.jpg"], "in"),
        ("**/sub/*.jpg", ["in/sub/3.jpg", "in/sub/sub/4.jpg"], None),
    ],
)
def test_patterns(pattern: str, expected: list[str], name: str | None) -> None:
    touch("in/1.jpg", "in/2.jpg", "in/sub/3.jpg", "in/sub/sub/4.jpg", "in/5.txt", "in/.hidden.jpg")
    for argument in (pattern, str(Path.cwd() / pattern)):
        inputs = collect_inputs([argument])
        assert names(inputs) == expected
        assert inputs.name == (name or Path.cwd().name)


def test_a_name_that_looks_like_a_pattern_is_the_file() -> None:
    touch("photo[1].jpg", "photo1.jpg")
    assert names(collect_inputs(["photo[1].jpg"])) == ["photo[1].jpg"]
    assert collect_inputs(["photo[1].jpg"]).name == "photo[1]"
    assert names(collect_inputs(["photo[1]*.jpg"])) == ["photo1.jpg"]


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("none.jpg", "none.jpg: no such file"),
        ("none/", "no such file"),
        ("in/*.png", "matches no file"),
        ("none/*.png", "no such folder: none"),
        ("in", r"no pictures or videos in in \(skipped: 2 .txt, 1 \(none\)\)"),
        ("empty", r"no pictures or videos in empty \(it is empty\)"),
        ("in/*.txt", r"no pictures or videos in in/\*.txt \(skipped: 2 .txt\)"),
        ("in/a.txt", "neither a picture nor a video.*\\.jpg.*"),
        ("dead.jpg", "a link to something that is not there"),
        ("@none.txt", "the list cannot be read"),
        ("@in/a.txt", "the list is empty"),
        ("-", "the list is empty"),
        ("", "empty name"),
    ],
)
def test_what_names_nothing_is_a_usage_error(argument: str, says: str) -> None:
    touch("in/a.txt", "in/b.txt", "in/none")
    Path("empty").mkdir()
    Path("dead.jpg").symlink_to("nowhere")
    with pytest.raises(UsageError, match=says):
        collect_inputs([argument], stdin=listed(""))


def test_no_argument_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no input"):
        collect_inputs([])


def test_an_unknown_ending_is_taken_for_what_the_content_is() -> None:
    write_image(Path("a.png"), np.zeros((4, 4, 3), np.uint8))
    make_clip(Path("b.mp4"), ticks=[0, 3600])
    Path("a.png").rename("picture.dat")
    Path("b.mp4").rename("film")
    assert [source.kind for source in collect_inputs(["picture.dat", "film"]).sources] == ["image", "video"]


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_gives_one_path_a_line(begin: bytes, end: str) -> None:
    touch("in/1.jpg", "in/2 3.jpg", "lists/beside.jpg", "in/sub/4.jpg")
    lines = ["in/1.jpg", "", "# a comment", "  ", "in/2 3.jpg", "beside.jpg", "in/none.jpg", "in/sub", "lists/list.txt"]
    Path("lists/list.txt").write_bytes(begin + end.join(lines).encode())
    inputs = collect_inputs(["@lists/list.txt"])
    assert [str(source.path) for source in inputs.sources] == [
        "in/1.jpg",
        "in/2 3.jpg",
        "lists/beside.jpg",
        "in/sub/4.jpg",
    ]
    root = Path.cwd().name
    assert names(inputs) == [f"{root}/in/1.jpg", f"{root}/in/2 3.jpg", f"{root}/lists/beside.jpg", "sub/4.jpg"]
    assert [failure.source for failure in inputs.missing] == ["in/none.jpg", "lists/list.txt"]
    assert "no such file" in inputs.missing[0].error
    assert "ending" in inputs.missing[1].error
    assert inputs.name == "list"


def test_a_list_may_come_from_standard_input_and_be_nul_separated() -> None:
    touch("a.jpg", "line\nbreak.jpg", "#1.jpg")
    inputs = collect_inputs(["-"], stdin=listed("a.jpg\0line\nbreak.jpg\0#1.jpg\0"))
    assert names(inputs) == ["a.jpg", "line\\nbreak.jpg", "#1.jpg"]
    assert inputs.name == "stdin"
    assert names(collect_inputs(["-"], stdin=io.StringIO("a.jpg\n./#1.jpg"))) == ["a.jpg", "#1.jpg"]


def test_a_list_of_nothing_that_is_there_is_all_missing() -> None:
    inputs = collect_inputs(["-"], stdin=listed("x.jpg\nx.jpg\ny.jpg"))
    assert inputs.sources == ()
    assert [failure.source for failure in inputs.missing] == ["x.jpg", "y.jpg"]
    assert inputs.skipped == {"(duplicate)": 1}


def test_a_utf16_list_says_what_to_do() -> None:
    Path("list.txt").write_text("a.jpg\n", encoding="utf-16")
    with pytest.raises(InputError, match="UTF-8"):
        collect_inputs(["@list.txt"])


def test_names_that_are_no_utf8_or_hold_control_signs_are_made_printable() -> None:
    touch("in/caf\udce9.jpg", "in/a\tb.jpg", "in/日本 \u202f.jpg", "in/caf\\xe9.jpg")
    inputs = collect_inputs(["in"])
    found = names(inputs)
    for name in found:
        name.encode("utf-8")
    assert len(set(found)) == 4
    assert "a\\tb.jpg" in found
    assert "日本 \u202f.jpg" in found
    assert {"caf\\xe9.jpg", "caf\\xe9-2.jpg"} <= set(found)
    assert all(source.path.exists() for source in inputs.sources)


@given(st.text(max_size=30))
def test_safe_names_are_utf8_of_one_line(name: str) -> None:
    safe = safe_name(name)
    safe.encode("utf-8")
    assert len(safe.splitlines()) <= 1 or any(sign in name for sign in "\u2028\u2029")
    assert name != safe or not any(ord(sign) < 32 for sign in name)


def test_run_names(tmp_path: Path) -> None:
    touch("photos/a.jpg", "film.of.me.mp4", "sets/train.txt")
    Path("sets/train.txt").write_text("photos/a.jpg")
    for arguments, name in {
        ("photos",): "photos", ("photos/",): "photos", (".",): tmp_path.name, ("film.of.me.mp4",): "film.of.me",
        ("photos/*.jpg",): "photos", ("@sets/train.txt",): "train", ("photos", "film.of.me.mp4"): "photos-and-1-more",
    }.items():  # fmt: skip
        assert collect_inputs(list(arguments)).name == name
    os.chdir("photos")
    assert collect_inputs(["."]).name == "photos"
    assert collect_inputs([".."]).name == tmp_path.name


def test_a_folder_that_cannot_be_opened_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.jpg", "in/secret/b.jpg")
    scandir = os.scandir

    def refuse(folder: str):
        if str(folder).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    inputs = collect_inputs(["in"])
    assert names(inputs) == ["a.jpg"]
    assert [(failure.source, failure.error) for failure in inputs.missing] == [
        ("secret", "the folder cannot be opened: Permission denied")
    ]
    with pytest.raises(UsageError, match="Permission denied"):
        collect_inputs(["in/secret"])


def test_natural_order() -> None:
    ordered = ["1.jpg", "01.jpg", "2.jpg", "10.jpg", "a", "A", "a1b2", "a1b10", "a02", "a10", "b"]
    shuffled = random.Random(0).sample(ordered, len(ordered))
    assert [natural_key(name)[0] for name in sorted(shuffled, key=natural_key)] == [
        natural_key(name)[0] for name in ordered
    ]


@given(st.lists(st.text("aB0129.é²٣", max_size=8), max_size=12))
def test_natural_order_is_total_and_repeatable(some: list[str]) -> None:
    once = sorted(some, key=natural_key)
    some.reverse()
    assert once == sorted(some, key=natural_key)
    assert sorted(map(str, range(0, 200, 7)), key=natural_key) == [str(number) for number in range(0, 200, 7)]


def test_an_endless_number_is_ordered() -> None:
    assert natural_key("9" * 5000) < natural_key("1" + "0" * 5000)


@given(
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4),
    st.lists(st.sampled_from(["a", "*", "**", "?", "[ab]"]), max_size=4),
)
def test_patterns_agree_with_a_regular_expression(parts: list[str], pattern: list[str]) -> None:
    spelled = {"a": "a/", "*": "[ab]+/", "?": "[ab]/", "[ab]": "[ab]/", "**": "(?:[ab]+/)*"}
    expression = "".join(spelled[part] for part in pattern)
    if pattern[-1:] == ["**"]:  # at the end it stands for what lies below, which is at least a file
        expression += "[ab]+/"
    assert matches(tuple(parts), tuple(pattern)) == bool(
        re.fullmatch(expression, "".join(f"{part}/" for part in parts))
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=120), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))))
def test_no_list_raises_anything_unforeseen(content: bytes) -> None:
    Path("list.txt").write_bytes(content)
    try:
        inputs = collect_inputs(["@list.txt"])
    except (UsageError, InputError):
        return
    everything = [source.name for source in inputs.sources] + [failure.source for failure in inputs.missing]
    assert len(set(everything)) == len(everything)
    for name in everything:
        name.encode("utf-8")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_names_are_unique_and_files_are_taken_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    os.chdir(tmp_path_factory.mktemp("tree"))
    folders = st.sampled_from(["x", "y", "x/x", "y/x", "x/y/z"])
    files = data.draw(
        st.lists(st.tuples(folders, st.sampled_from(["1.jpg", "1.png", "a.mp4", "b.txt"])), min_size=1, max_size=12)
    )
    paths = [f"{folder}/{name}" for folder, name in files]
    touch("x/0.jpg", *paths)
    wanted = [path for path in paths if not path.endswith(".txt")]
    arguments = data.draw(st.lists(st.sampled_from([*wanted, "x", "x/**", "x/*.jpg", "."]), min_size=1, max_size=5))
    inputs = collect_inputs(arguments)
    assert len(set(names(inputs))) == len(inputs.sources)
    resolved = [source.path.resolve() for source in inputs.sources]
    assert len(set(resolved)) == len(resolved)
    for source in inputs.sources:
        assert str(source.path.resolve()).endswith(source.name.partition("/")[2] if "/" in source.name else source.name)


def test_fifty_thousand_files_take_seconds_not_minutes() -> None:
    Path("in").mkdir()
    for index in range(3000):
        (Path("in") / f"{index}.jpg").touch()
    text = "\n".join(f"in/{index % 3000}.jpg" for index in range(50_000))
    inputs = collect_inputs(["-"], stdin=listed(text))
    assert len(inputs.sources) == 3000
    assert inputs.skipped == {"(duplicate)": 47_000}


def test_the_kind_chooses_the_source(tmp_path: Path) -> None:
    assert isinstance(open_source(SourceInfo("a", tmp_path / "a", "image")), ImageSource)
    assert isinstance(open_source(SourceInfo("a", tmp_path / "a", "video")), VideoSource)
