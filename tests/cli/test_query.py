"""`ovdet query`: an indexed run asked other words gives what detect would have given."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from ovdet_cli.cli.main import app
from ovdet_cli.media.images import read_image
from ovdet_cli.results.index import Index
from ovdet_cli.results.jsonl import read_jsonl, read_records
from ovdet_cli.results.record import Record
from ovdet_cli.results.runs import load_run
from tests.media.clips import make_clip

Ovdet = Callable[..., Result]
POSTS = Path(__file__).parents[2] / "samples" / "posts"
SMALL = ("--imgsz", 288, "--device", "cpu", "-q")
FIRST = ("--classes", "house,cat", "--threshold", 0.4, "--record-threshold", 0.2)
WORDS = ("--classes", "pizza,fried egg,sun,cup,tree,balloon", "--threshold", 0.3, "--record-threshold", 0.1)


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def said(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module", autouse=True)
def _module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OVDET_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a broken one between them, and a clip of odd times."""
    root = tmp_path_factory.mktemp("in") / "posts"
    (root / "more").mkdir(parents=True)
    breakfast = Image.open(POSTS / "kitchen" / "breakfast.webp").convert("RGB")
    breakfast.save(root / "breakfast.png")
    (root / "cut.jpg").write_bytes((POSTS / "park.jpg").read_bytes()[:700])
    Image.open(POSTS / "stickers.jpg").save(root / "more" / "stickers.png")
    (root / "empty.png").write_bytes(b"")
    with av.open(str(POSTS / "clip.mp4")) as container:
        pictures = [f.to_ndarray(format="rgb24") for _, f in zip(range(28), container.decode(video=0), strict=False)]
    pictures = [np.ascontiguousarray(p[::2, ::2]) for p in pictures[::4]]
    ticks = [9000, 12003, 15006, 18009, 21012, 60000, 70000]
    make_clip(root / "clip.mkv", ticks=ticks, size_wh=pictures[0].shape[1::-1], pictures=pictures)
    return root


@pytest.fixture(scope="module")
def run(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of all there is, every second frame of the clip, made with other words."""
    folder = tmp_path_factory.mktemp("run") / "first"
    index = ("--index", "--index-regions", "all", "--index-precision", "fp16", "--index-masks")
    result = ask("detect", posts, *SMALL, *FIRST, *index, "--every", 2, "--render", "none", "-o", folder)
    assert result.exit_code == 3, result.output
    return folder


@pytest.fixture(scope="module")
def detected(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What detect gives with the words that are asked."""
    folder = tmp_path_factory.mktemp("detected") / "run"
    result = ask("detect", posts, *SMALL, *WORDS, "--every", 2, "--format", "jsonl,csv,coco", "-o", folder)
    assert result.exit_code == 3, result.output
    return folder


@pytest.fixture(autouse=True)
def _untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """No query writes into RUN."""
    if "run" not in request.fixturenames:
        yield
        return
    folder = request.getfixturevalue("run")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    yield
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before


def assert_same(found: list[Record], wanted: list[Record], cut: float, least: int = 20) -> None:
    """The same frames, boxes and classes; scores within 2e-3, so that one at the threshold may be missing."""
    assert [(r.source, r.index, r.time_s, r.width, r.height, r.status, r.error) for r in found] == [
        (r.source, r.index, r.time_s, r.width, r.height, r.status, r.error) for r in wanted
    ]
    num = 0
    for one, other in zip(found, wanted, strict=True):
        for left, right in ((one, other), (other, one)):
            for box, score, class_id, _ in left.detections:
                near = np.abs(right.detections.boxes_xyxy - box).max(axis=1, initial=0) < 0.6
                near &= right.detections.class_ids == class_id
                assert near.any() or score < cut + 2e-3, (one.source, one.index, box, score)
                if near.any():
                    assert np.abs(right.detections.scores[near] - score).min() < 2e-3
                    num += 1
    assert num > least


def test_the_records_are_those_of_detect(run: Path, detected: Path, posts: Path, tmp_path: Path) -> None:
    out = tmp_path / "asked"
    result = ask("query", run, *WORDS, "--format", "jsonl,csv,coco", "-o", out)
    assert result.exit_code == 3, result.output
    assert "2 inputs or frames failed" in said(result)
    found, wanted = (list(read_records(folder / "detections.jsonl")) for folder in (out, detected))
    assert_same(found, wanted, 0.1)
    assert [r.source for r in found if r.error] == ["cut.jpg", "empty.png"]
    for one, other in zip(found, wanted, strict=True):
        for box, _, class_id, mask in one.detections:
            near = [
                m.area
                for b, _, c, m in other.detections
                if c == class_id and np.abs(b - box).max() < 0.6 and m is not None
            ]
            assert mask is not None
            assert not near or min(abs(area - mask.area) for area in near) <= 0.05 * mask.area + 5
    assert (out / "frames.csv").read_text().splitlines()[0] == (detected / "frames.csv").read_text().splitlines()[0]
    assert len(load_run(out / "detections.csv").detections) == len(load_run(out).detections)
    coco, of_detect = (json.loads((folder / "coco_images.json").read_text()) for folder in (out, detected))
    assert coco == of_detect
    ours, theirs = (json.loads((folder / "run.json").read_text()) for folder in (out, detected))
    assert ours["status"] == "done"
    assert ours["index"] == {
        "run": str(run),
        "is_whole": True,
        "precision": "fp16",
        "regions": {"most": None, "floor": -1.0},
    }
    for key in ("inputs", "inputs_done", "pictures", "video_frames", "failed"):
        assert ours["counts"][key] == theirs["counts"][key], key
    for key in ("threshold", "record_threshold", "nms_iou", "max_detections", "one_class", "masks"):
        assert ours["settings"][key] == theirs["settings"][key], key
    assert ours["model"]["weights_sha256"] == theirs["model"]["weights_sha256"]
    assert not (out / "images").exists()


def test_without_options_the_run_s_own_settings_stand(run: Path, posts: Path, tmp_path: Path) -> None:
    assert ask("query", run, "--classes", "house,cat", "-o", tmp_path / "asked", "-q").exit_code == 3
    assert_same_as = list(read_records(run / "detections.jsonl"))
    found = list(read_records(tmp_path / "asked" / "detections.jsonl"))
    assert [r.source for r in found] == [r.source for r in assert_same_as]
    first, second = (json.loads((folder / "run.json").read_text()) for folder in (run, tmp_path / "asked"))
    for key in ("detections", "frames_with_detections"):
        assert first["counts"][key] == second["counts"][key]
    for key in ("threshold", "record_threshold"):
        assert first["settings"][key] == second["settings"][key]


def test_what_a_vocabulary_file_says_of_classes(run: Path, posts: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text(
        "- {name: fried egg, aliases: [egg], threshold: 0.5}\n"
        "- {name: cup, aliases: [mug], max_per_image: 1}\n"
        "- {name: tree, min_area: 3000}\n"
        "- {name: sun, negative: true}\n"
        "- balloon\n",
        encoding="utf-8",
    )
    options = ("--vocab", words, "--threshold", 0.3, "--all-classes")
    assert ask("query", run, *options, "-o", tmp_path / "asked", "-q").exit_code == 3
    assert (
        ask("detect", posts, *SMALL, *options, "--every", 2, "-o", tmp_path / "run", "--render", "none").exit_code == 3
    )
    found, wanted = (list(read_records(tmp_path / name / "detections.jsonl")) for name in ("asked", "run"))
    for one, other in zip(found, wanted, strict=True):
        assert sorted(one.labels) == sorted(other.labels)
    labels = [label for record in found for label in record.labels]
    assert labels
    assert "sun" not in labels
    assert max(record.labels.count("cup") for record in found) <= 1
    for record in found:
        for (x1, y1, x2, y2), score, class_id, _ in record.detections:
            assert score > (0.5 if class_id == 0 else 0.3)
            assert class_id != 2 or (x2 - x1) * (y2 - y1) >= 2999


def test_standard_output(run: Path, tmp_path: Path) -> None:
    assert ask("query", run, *WORDS, "-o", tmp_path / "asked", "-q").exit_code == 3
    result = ask("query", run, *WORDS, "-o", "-", "-q")
    assert result.exit_code == 3
    assert result.stdout == (tmp_path / "asked" / "detections.jsonl").read_text(encoding="utf-8")


def test_a_part_of_the_run(run: Path, tmp_path: Path) -> None:
    def sources(*where: str) -> list[tuple[str, int]]:
        options = [part for condition in where for part in ("--where", condition)]
        result = ask("query", run, *WORDS, *options, "-o", "-", "-q")
        assert result.exit_code in (0, 3), result.output
        return [(r["source"], r["index"]) for r in map(json.loads, result.stdout.splitlines())]

    assert sources("source=*.png") == [("breakfast.png", 0), ("empty.png", 0), ("more/stickers.png", 0)]
    assert sources("source=more/*", "source=clip*", "time=0.5-") == [("clip.mkv", 6)]
    assert sources("time=0-0.2") == [("clip.mkv", 0), ("clip.mkv", 2)]
    assert sources("time=-0:00.2") == [("clip.mkv", 0), ("clip.mkv", 2)]
    assert sources("source=nothing") == []
    for wrong in ("time=5", "time=-", "time=a-b", "time=9-3", "frame=3", "source=", "source"):
        result = ask("query", run, *WORDS, "--where", wrong, "-o", "-", "-q")
        assert result.exit_code == 2, wrong
        assert result.stdout == ""


def test_the_surest_of_each_word(run: Path, tmp_path: Path) -> None:
    assert ask("query", run, *WORDS, "-o", tmp_path / "all", "-q").exit_code == 3
    assert ask("query", run, *WORDS, "--top-k", 2, "-o", tmp_path / "top", "-q").exit_code == 0
    everything, top = (load_run(tmp_path / name).detections for name in ("all", "top"))
    for label, own in everything.groupby("label"):
        surest = own.sort_values("score", ascending=False, kind="stable").head(2)
        kept = top[top["label"] == label]
        assert sorted(kept["score"]) == sorted(surest["score"])
        assert set(zip(kept["source"], kept["index"], strict=True)) == set(
            zip(surest["source"], surest["index"], strict=True)
        )
    assert len(top) == sum(min(2, n) for n in everything["label"].value_counts())


def test_how_often_words_fire(run: Path, tmp_path: Path) -> None:
    assert ask("query", run, *WORDS, "-o", tmp_path / "all", "-q").exit_code == 3
    found = load_run(tmp_path / "all").detections
    found = found[found["score"] > np.float32(0.3)]
    result = ask("query", run, *WORDS, "--count", "--json")
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    assert {c["label"] for c in counts} == {"pizza", "fried egg", "sun", "cup", "tree", "balloon"}
    for row in counts:
        own = found[found["label"] == row["label"]]
        assert row["detections"] == len(own)
        assert row["frames"] == len(own[["source", "index"]].drop_duplicates())
    assert [c["detections"] for c in counts] == sorted((c["detections"] for c in counts), reverse=True)
    table = ask("query", run, *WORDS, "--count")
    assert table.exit_code == 0
    assert "pizza" in table.stdout


def test_a_quick_look_and_its_sheet(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = ask("query", run, "pizza", "fried egg", "--top-k", 4)
    assert result.exit_code == 0, result.output
    assert "breakfast.png" in result.stdout
    width, height = Image.open(tmp_path / "ovdet-pizza.jpg").size  # two rows of at most five
    assert width == 5 * 204 + 12
    assert height > 400
    matches = json.loads(ask("query", run, "pizza", "fried egg", "--top-k", 4, "--json", "--no-sheet").stdout)
    assert [m["label"] for m in matches] == ["pizza"] * 4 + ["fried egg"] * 4
    for label in ("pizza", "fried egg"):
        scores = [m["score"] for m in matches if m["label"] == label]
        assert scores == sorted(scores, reverse=True)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".jpg"] == ["ovdet-pizza.jpg"]
    named = ask("query", run, "tree", "--where", "source=clip.mkv", "--sheet", "sheet.png", "-q")
    assert named.exit_code == 0, named.output
    assert named.stderr == ""
    assert np.asarray(Image.open(tmp_path / "sheet.png")).std() > 10


def test_the_sheet_shows_the_frames_that_were_meant(run: Path, posts: Path) -> None:
    from ovdet_cli.media.again import read_again

    with av.open(str(posts / "clip.mkv")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for frame in Index(run).frames():
        if frame.error is None:
            image = read_again(frame.source, frame.index, frame.time_s)
            assert image is not None
            wanted = decoded[frame.index] if frame.time_s is not None else read_image(frame.source.path)
            assert np.abs(image.astype(int) - wanted).mean() < 2
            assert image.shape[:2] == frame.size_hw


def test_nothing_is_asked(run: Path) -> None:
    result = ask("query", run)
    assert result.exit_code == 2
    assert "name words to look for" in said(result)


def test_nearest_looks(run: Path, posts: Path, tmp_path: Path) -> None:
    best = json.loads(ask("query", run, "fried egg", "--json", "--no-sheet", "--top-k", 1).stdout)[0]
    box = ",".join(map(str, best["box_xyxy"]))
    picture = posts / best["source"]
    result = ask("query", run, "--like", f"{picture}:{box}", "--json", "--no-sheet", "--top-k", 3)
    assert result.exit_code == 0, result.output
    matches = json.loads(result.stdout)
    assert len(matches) == 3
    assert matches[0]["label"] == f"like {picture.name}"
    assert matches[0]["source"] == best["source"]
    assert matches[0]["score"] > 0.99, "it finds itself"
    assert np.abs(np.array(matches[0]["box_xyxy"]) - best["box_xyxy"]).max() < 3
    crop = tmp_path / "crop.png"
    Image.open(picture).crop(tuple(map(int, best["box_xyxy"]))).save(crop)
    written = ask("query", run, "--like", crop, "-o", tmp_path / "like", "--threshold", 0.3, "-q")
    assert written.exit_code == 3, written.output
    labels = load_run(tmp_path / "like").detections["label"]
    assert set(labels) == {"like crop.png"}


@pytest.mark.parametrize("like", ["{}:1,2,3", "{}:5,5,5,9", "{}:9,9,1,1", "{}:a,b,c,d", "none.png", "{}/cut.jpg"])
def test_examples_that_are_none(run: Path, posts: Path, like: str) -> None:
    picture = posts if "cut" in like else posts / "breakfast.png"
    result = ask("query", run, "--like", like.format(picture), "--no-sheet", "-q")
    assert result.exit_code not in (0, 3), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stderr


def test_an_example_with_other_weights(run: Path, posts: Path, r18_weights: Path, tmp_path: Path) -> None:
    from ovdet_cli.models import store
    from ovdet_cli.models.checkpoint import read_checkpoint, write_safetensors
    from ovdet_cli.models.zoo import BUILTIN

    tensors = read_checkpoint(store.weights_path(BUILTIN))
    mine = {name: tensors[name] for name in tensors}
    name = next(name for name in mine if name.startswith("mask"))
    write_safetensors(mine | {name: mine[name] + 1}, tmp_path / "mine.safetensors")
    result = ask("query", run, "--like", posts / "breakfast.png", "--weights", tmp_path / "mine.safetensors")
    assert result.exit_code != 0
    assert "made with other weights of builtin" in said(result)


# Drawn again


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


@pytest.mark.parametrize("render", ["all", "hits"])
def test_pictures_and_video_are_drawn_as_detect_draws_them(
    run: Path, posts: Path, detected: Path, tmp_path: Path, render: str
) -> None:
    result = ask("query", run, *WORDS, "--render", render, "-o", tmp_path / "asked")
    assert result.exit_code == 3, result.output
    drawn, wanted = (
        {p.relative_to(f).as_posix(): p for kind in ("images", "videos") for p in (f / kind).rglob("*.*")}
        for f in (tmp_path / "asked", detected)
    )
    assert set(drawn) == set(wanted) if render == "all" else set(drawn) <= set(wanted)
    assert {"images/breakfast.png", "images/more/stickers.png"} <= set(drawn)
    for name, path in drawn.items():
        if name.startswith("images"):
            one, other = (np.asarray(Image.open(p)).astype(int) for p in (path, wanted[name]))
            assert (np.abs(one - other).max(axis=2) > 40).mean() < 0.005, name
            original = np.asarray(Image.open(posts / Path(name).relative_to("images")).convert("RGB")).astype(int)
            assert (np.abs(one - original).max(axis=2) > 40).mean() > 0.005, "something is drawn"
        else:
            pairs = zip(frames_of(path), frames_of(wanted[name]), strict=True)
            assert all(np.abs(one - other).mean() < 1.5 for one, other in pairs)


def test_sources_that_are_gone(posts: Path, run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "copy"
    shutil.copytree(run, moved)
    hidden = posts.with_name("hidden")
    posts.rename(hidden)
    try:
        result = ask("query", moved, *WORDS, "--render", "all", "-o", tmp_path / "asked")
        assert result.exit_code == 3
        assert "breakfast.png is not drawn: its file is no longer there" in said(result)
        info = json.loads((tmp_path / "asked" / "run.json").read_text())
        assert info["counts"]["undrawn"] == 5
        assert info["counts"]["detections"] > 0
        look = ask("query", moved, "pizza")
        assert look.exit_code == 0
        assert "no contact sheet: the pictures are no longer where they were" in said(look)
    finally:
        hidden.rename(posts)


def test_a_source_that_changed(run: Path, posts: Path, tmp_path: Path) -> None:
    """The clip is shorter now; what comes after it is drawn all the same."""
    kept = (posts / "clip.mkv").read_bytes()
    pictures = frames_of(posts / "clip.mkv")[:1]
    try:
        shape = pictures[0].shape
        make_clip(
            posts / "clip.mkv", ticks=[9000], size_wh=shape[1::-1], pictures=[p.astype(np.uint8) for p in pictures]
        )
        assert ask("query", run, *WORDS, "--render", "all", "-o", tmp_path / "asked", "-q").exit_code == 3
        one = np.asarray(Image.open(tmp_path / "asked" / "images" / "more" / "stickers.png")).astype(int)
        original = np.asarray(Image.open(posts / "more" / "stickers.png").convert("RGB")).astype(int)
        assert (np.abs(one - original).max(axis=2) > 40).mean() > 0.005
    finally:
        (posts / "clip.mkv").write_bytes(kept)


# Never into RUN


def test_a_query_never_writes_into_its_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(run)
    targets = [
        run,
        run / "sub",
        run / "index",
        run / ".." / run.name,
        tmp_path / "link",
        tmp_path / "link" / "deep" / "er",
    ]
    for target in targets:
        result = ask("query", run, *WORDS, "-o", target, "--overwrite")
        assert result.exit_code == 2, target
        assert "never writes into the run" in said(result)
    assert ask("query", tmp_path / "link", *WORDS, "-o", run / "x").exit_code == 2
    assert ask("query", run, "pizza", "--sheet", run / "sheet.jpg").exit_code == 2
    monkeypatch.chdir(run)
    result = ask("query", ".", "pizza")
    assert result.exit_code == 0
    assert "never writes into the run" in said(result)
    assert ask("query", ".", *WORDS, "-o", "here").exit_code == 2
    assert ask("query", run, *WORDS, "-o", "-", "-q").exit_code == 3


# Bad input


def test_a_run_without_index(ovdet: Ovdet, posts: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    result = ovdet("query", tmp_path / "run", "cat")
    assert result.exit_code != 0
    assert "run `ovdet detect ... --index` once" in said(result)
    assert "no run folder" in said(ovdet("query", tmp_path / "none", "cat"))


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "copied")
    return tmp_path / "copied"


def facts_of(folder: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads((folder / "index" / "index.json").read_text())
    return facts


def write_facts(folder: Path, facts: object) -> None:
    (folder / "index" / "index.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": {"name": "nothing we know", "weights_sha256": ""}},
        {"model": {"name": "detic-r18", "weights_sha256": ""}},
        {"model": {"name": "builtin"}},
        {"rules": None},
        {"rules": {"threshold": "high"}},
        {"rules": {"nonsense": 1}},
        {"post": "other"},
        {"post": 3},
        {"width": 64},
        {"num_sets": 5},
        {"mask_cells": None},
        {"precision": "int8"},
        {"regions": 3},
        {"regions": {"floor": "x"}},
        {"size": 7, "threshold": "x"},
    ],
)
def test_facts_of_another_model_or_none(copied: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    write_facts(copied, facts_of(copied) | changes)
    result = ask("query", copied, *WORDS, "-o", tmp_path / "out", "-q")
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    if not set(changes) & {"regions", "size"}:
        assert result.exit_code not in (0, 3)
        assert result.stderr


def test_a_classifier_that_is_gone_or_damaged(copied: Path) -> None:
    file = copied / "index" / "classifier.safetensors"
    good = file.read_bytes()
    for damaged in (b"", b"nonsense", good[:50], good[:-3]):
        file.write_bytes(damaged)
        result = ask("query", copied, "cat", "--no-sheet")
        assert result.exit_code not in (0, 3)
        assert "was made by another version, or is damaged" in said(result)
    file.unlink()
    assert ask("query", copied, "cat", "--no-sheet").exit_code not in (0, 3)


def test_a_broken_shard(copied: Path, tmp_path: Path) -> None:
    shard = copied / "index" / "part-00000.arrows"
    good = shard.read_bytes()
    shard.write_bytes(good[:-1])
    result = ask("query", copied, *WORDS, "-o", tmp_path / "out")
    assert result.exit_code not in (0, 3)
    assert "part-00000.arrows has" in said(result)
    shard.unlink()
    assert "is missing: the index is damaged" in said(ask("query", copied, *WORDS, "--count"))


def test_rules_that_the_model_does_not_know(run: Path) -> None:
    for post in ("nonsense", "vild-demo"):
        result = ask("query", run, "cat", "--post", post, "--no-sheet")
        assert result.exit_code == 2
        assert f"builtin knows no rules called '{post}'" in said(result)


@pytest.mark.parametrize(
    "options",
    [
        ("cat", "--like", "a.png"),
        ("--count", "-o", "out", "--classes", "a"),
        ("--classes", "a", "-o", "-", "--json"),
        ("--classes", "a", "-o", "-", "--render", "all"),
        ("--classes", "a", "-o", ""),
        ("--classes", "a", "-o", "out", "--format", "xml"),
        ("--classes", "a", "-o", "out", "--threshold", "0.2", "--record-threshold", "0.3"),
    ],
)
def test_contradictions(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    result = ask("query", run, *options)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert list(tmp_path.glob("out*")) == []


def test_words_with_vectors(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    (tmp_path / "words.txt").write_text("pizza\nfried egg\nsun\ncup\ntree\nballoon\n", encoding="utf-8")
    made = tmp_path / "words.safetensors"
    result = ask("vocab", "embed", tmp_path / "words.txt", "-o", made)
    assert result.exit_code == 0, result.output
    cuts = WORDS[2:]
    assert ask("query", run, "--vocab", made, *cuts, "-o", tmp_path / "one", "-q").exit_code == 3
    assert ask("query", run, *WORDS, "-o", tmp_path / "two", "-q").exit_code == 3
    one, two = (list(read_records(tmp_path / name / "detections.jsonl")) for name in ("one", "two"))
    assert_same(one, two, 0.1)
    with safe_open(made, framework="np") as file:
        facts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def ask_with(tensors: dict[str, np.ndarray], **changes: str) -> Result:
        save_file(tensors, tmp_path / "other.safetensors", facts | changes)
        return ask("query", run, "--vocab", tmp_path / "other.safetensors", *cuts, "-o", tmp_path / "out", "-q")

    narrow = ask_with(tensors | {"embeddings": tensors["embeddings"][:, :100].copy()})
    assert narrow.exit_code not in (0, 3)
    assert "100" in said(narrow)
    other = ask_with(tensors, text_encoder="clip-vit-b-32")
    assert other.exit_code not in (0, 3)
    assert "of the text tower clip-vit-b-32" in said(other)
    assert not (tmp_path / "out").exists()
    np.save(tmp_path / "bare.npy", np.zeros((6, 512), np.float32))
    bare = ask("query", run, *WORDS, "--embeddings", tmp_path / "bare.npy", "-o", tmp_path / "out", "-q")
    assert bare.exit_code not in (0, 3)
    assert "512" in said(bare)


def test_below_what_the_index_keeps(posts: Path, tmp_path: Path) -> None:
    """The compact index says what it cannot answer, and answers the rest."""
    one = tmp_path / "in"
    one.mkdir()
    (one / "breakfast.png").write_bytes((posts / "breakfast.png").read_bytes())
    options = ("--classes", "pizza,fried egg", "--threshold", 0.4)
    assert ask("detect", one, *SMALL, *options, "--index", "--render", "none", "-o", tmp_path / "run").exit_code == 0
    index = Index(tmp_path / "run")
    assert (index.precision, index.mask_cells, index.facts["regions"]) == ("int8", None, {"most": None, "floor": 0.2})
    result = ask("query", tmp_path / "run", *options, "-o", tmp_path / "asked")
    assert result.exit_code == 0, result.output
    assert "the index keeps regions" not in said(result)
    first, second = (load_run(tmp_path / name).detections for name in ("run", "asked"))
    assert first["label"].tolist() == second["label"].tolist()
    np.testing.assert_allclose(first["score"], second["score"], atol=0.02)
    low = ask("query", tmp_path / "run", *options[:2], "--threshold", 0.05, "-o", tmp_path / "low")
    assert "the index keeps regions that can score above 0.2" in said(low)
    few = ask("detect", one, *SMALL, *options, "--index", "--index-regions", 3, "-o", tmp_path / "few")
    assert few.exit_code == 0, few.output
    assert [len(f.regions) for f in Index(tmp_path / "few").frames() if f.regions is not None] == [3]
    for wrong in ("0", "-1", "some", "1.5"):
        assert ask("detect", one, *SMALL, "--index", "--index-regions", wrong, "-o", tmp_path / "w").exit_code == 2
    assert ask("detect", one, *SMALL, "--index", "-o", "-").exit_code == 2


def test_a_run_of_stand_in_weights(ovdet: Ovdet, model_options: list[str], posts: Path, tmp_path: Path) -> None:
    """The weights themselves are not needed to ask."""
    one = tmp_path / "in"
    one.mkdir()
    (one / "breakfast.png").write_bytes((posts / "breakfast.png").read_bytes())
    index = ("--index", "--index-regions", "all", "--index-precision", "fp16")
    made = ovdet("detect", one, *model_options, "--max-det", 30, *index, "--no-masks", "-o", tmp_path / "run")
    assert made.exit_code == 0, made.output
    words = [model_options[i] for i in range(2, 6)]
    result = ovdet("query", tmp_path / "run", *words, "-o", tmp_path / "asked")
    assert result.exit_code == 0, result.output
    found, wanted = (list(read_records(tmp_path / name / "detections.jsonl")) for name in ("asked", "run"))
    assert_same(found, wanted, 0.6, 10)


def test_after_a_kill_all_whole_frames_are_asked(posts: Path, tmp_path: Path) -> None:
    pictures = [p.astype(np.uint8) for p in frames_of(posts / "clip.mkv")]
    size_wh = pictures[0].shape[1::-1]
    clip = make_clip(
        tmp_path / "clip.mp4",
        ticks=range(0, 400 * 3600, 3600),
        size_wh=size_wh,
        pictures=[pictures[i % len(pictures)] for i in range(400)],
    )
    folder = tmp_path / "run"
    options = [*map(str, SMALL), "--classes", "tree", "--index", "--render", "none", "-o", str(folder)]
    command = [sys.executable, "-m", "ovdet_cli", "video", str(clip), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    deadline = time.monotonic() + 90
    while not (folder / "frames.csv").is_file() or (folder / "frames.csv").read_bytes().count(b"\n") < 5:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    noted = load_run(folder).frames["index"].tolist()
    result = ask("query", folder, "--classes", "tree,house", "--threshold", 0.3, "-o", tmp_path / "asked")
    assert result.exit_code == 0, result.output
    assert "the run that made the index did not end" in said(result)
    asked = load_run(tmp_path / "asked").frames["index"].tolist()
    assert asked == list(range(len(asked)))
    assert 3 <= len(asked) < 400, "four were noted when the kill was sent"
    assert abs(len(asked) - len(noted)) <= 1, "a record is written just before its frame of the index"
    assert json.loads((tmp_path / "asked" / "run.json").read_text())["index"]["is_whole"] is False


def test_times_of_a_sampled_run_are_drawn_again_exactly(tmp_path: Path) -> None:
    """30000/1001 frames a second and a start of 0.1 s are floats in run.json."""
    from ovdet_cli.cli.query import _sampling_of
    from ovdet_cli.media.sampling import Sampling

    settings = {"every": 1, "fps": float(Fraction(30000, 1001)), "start_s": 0.1, "end_s": 61.75}
    (tmp_path / "run.json").write_text(json.dumps({"settings": settings}))  # records may be COCO's alone
    assert _sampling_of(tmp_path) == Sampling(1, Fraction(30000, 1001), Fraction(1, 10), Fraction(247, 4))
    for damaged in ("", "[]", '{"settings": 3}', '{"settings": {"every": 0, "fps": "a"}}'):
        (tmp_path / "run.json").write_text(damaged)
        assert _sampling_of(tmp_path) == Sampling()


def test_frames_that_were_like_the_one_before_have_records_too(
    posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a quick look leaves its sheet there
    pictures = [p.astype(np.uint8) for p in frames_of(posts / "clip.mkv")]
    still = [pictures[0]] * 5 + [pictures[-1]] * 4
    clip = make_clip(
        tmp_path / "clip.mp4",
        ticks=range(0, 9 * 3600, 3600),
        size_wh=pictures[0].shape[1::-1],
        pictures=still,
        options={"crf": "10", "sc_threshold": "0"},
    )
    words = ("--classes", "tree,house,balloon", "--threshold", 0.3)
    options = ("--skip-similar", "--index", "--index-regions", "all", "--index-precision", "fp16", "--render", "none")
    result = ask("detect", clip, *SMALL, *words, *options, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    result = ask("query", tmp_path / "run", *words, "-q", "-o", tmp_path / "asked")
    assert result.exit_code == 0, result.output
    lines = [list(read_jsonl(tmp_path / name / "detections.jsonl")) for name in ("run", "asked")]
    reused = [[line.get("reused", False) for line in own] for own in lines]
    assert sum(reused[0]) >= 5
    assert reused[0] == reused[1]
    assert_same(*(list(read_records(tmp_path / name / "detections.jsonl")) for name in ("asked", "run")), 0.31, 9)
    # A part that begins with such a frame holds what the frame before it, outside of the part, was found to hold.
    begin = next(line["time_s"] for line in lines[0] if line.get("reused"))
    part = ask("query", tmp_path / "run", *words, "-q", "--where", f"time={begin}-", "-o", tmp_path / "part")
    assert part.exit_code == 0, part.output
    asked = [line for line in lines[1] if line["time_s"] >= begin]
    assert list(read_jsonl(tmp_path / "part" / "detections.jsonl")) == asked
    quick = ask("query", tmp_path / "run", "tree", "--json", "--threshold", 0.3)
    assert quick.exit_code == 0, quick.output
    matches = [match["index"] for match in json.loads(quick.stdout)]
    assert matches
    assert not any(reused[0][place] for place in matches)
