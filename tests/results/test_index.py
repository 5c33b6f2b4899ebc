import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import OutputError, RecordError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.regions import StoredRegions, num_parts
from ovdet_cli.results import index as index_module
from ovdet_cli.results.index import Index, IndexWriter

S, D, M = 2, 6, 5
FACTS = {"model": {"name": "tiny"}, "threshold": 0.5}


def make_regions(n, seed=0, *, masks=False, width=D):
    rng = np.random.default_rng(seed)
    return StoredRegions(
        rng.uniform(-5, 200, (n, 4)).astype(np.float32),
        rng.uniform(0, 1, n).astype(np.float32),
        rng.normal(0, 1, (n, S, width)).astype(np.float32),
        None,
        rng.integers(0, 256, (n, M, M)).astype(np.uint8) if masks else None,
    )


def frame(source="a.png", index=0, time_s=None):
    return Frame.without_pixels((30, 40), source, index, time_s)


def write_clip(run, counts, precision="fp16", **kind):
    """An index of one clip's frames, with so many regions each."""
    run.mkdir(exist_ok=True)
    stored = [make_regions(n, seed, **kind) for seed, n in enumerate(counts)]
    with IndexWriter(run, FACTS, precision) as writer:
        writer.begin(SourceInfo("clip.mp4", Path("/videos/clip.mp4"), "video"))
        for number, regions in enumerate(stored):
            writer.write(frame("clip.mp4", number, Fraction(number, 25)), regions)
    return stored


def change(run, **facts):
    path = run / "index" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def shard(run, number=0):
    return run / "index" / f"part-{number:05d}.arrows"


def as_if_killed(run):
    """The same index before its last shard was closed."""
    facts = json.loads((run / "index" / "index.json").read_text())
    change(run, status="running", shards=facts["shards"][:-1])


def read_all(run):
    return [(f.index, None if f.regions is None else f.regions.objectness.tolist()) for f in Index(run).frames()]


@pytest.mark.parametrize("with_masks", [False, True])
def test_fp16_comes_back_as_half_precision_has_it(tmp_path, with_masks):
    stored = write_clip(tmp_path, [3, 0, 7], masks=with_masks)
    index = Index(tmp_path)
    frames = list(index.frames())
    assert (index.is_whole, index.num_frames, index.num_sets, index.width) == (True, 3, S, D)
    assert index.num_bytes == shard(tmp_path).stat().st_size
    assert index.facts["model"] == {"name": "tiny"}
    for number, (got, put) in enumerate(zip(frames, stored, strict=True)):
        assert got.source == SourceInfo("clip.mp4", Path("/videos/clip.mp4"), "video")
        assert (got.index, got.time_s, got.size_hw, got.error) == (number, number / 25, (30, 40), None)
        np.testing.assert_array_equal(got.regions.boxes_xyxy, put.boxes_xyxy)
        np.testing.assert_array_equal(got.regions.objectness, put.objectness)
        assert got.regions.features.dtype == np.float16
        np.testing.assert_array_equal(got.regions.features, put.features.astype(np.float16))
        assert got.regions.scales is None
        if with_masks:
            np.testing.assert_array_equal(got.regions.masks, put.masks)
        else:
            assert got.regions.masks is None


def test_int8_is_within_half_a_step(tmp_path):
    stored = write_clip(tmp_path, [4, 0, 1], "int8", masks=True)
    for got, put in zip(Index(tmp_path).frames(), stored, strict=True):
        steps = np.repeat(np.abs(put.stored_as("int8").scales), D // num_parts(D), axis=2)
        assert got.regions.features.dtype == np.int8
        back = got.regions.features * np.repeat(got.regions.scales, D // num_parts(D), axis=2)
        assert (np.abs(back - put.features) <= steps * 0.5001).all()
        np.testing.assert_array_equal(got.regions.masks, put.masks)


def test_a_feature_of_zeros_stays_one():
    zeros = StoredRegions(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros((1, S, D), np.float32))
    stored = zeros.stored_as("int8")
    assert not stored.features.any()
    assert not stored.scales.any()


def test_arrays_are_views_that_nobody_writes(tmp_path):
    write_clip(tmp_path, [3], "int8", masks=True)
    (got,) = Index(tmp_path).frames()
    for array in vars(got.regions).values():
        assert not array.flags.writeable
        assert not array.flags.owndata


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_failures_stand_in_their_place(tmp_path, precision):
    with IndexWriter(tmp_path, FACTS, precision) as writer:
        writer.skip(Failure("gone.png", "no such file"))
        writer.begin(SourceInfo("caf\udce9.png", Path("/in/caf\udce9.png"), "image"))
        writer.skip(Failure("caf\udce9.png", "no picture: \udce9"))
        writer.begin(SourceInfo("a.png", Path("/in/a.png"), "image"))
        writer.write(frame(), make_regions(2))
        writer.begin(SourceInfo("b.mp4", Path("/in/b.mp4"), "video"))
        writer.skip(Failure("b.mp4", "damaged", 3, Fraction(1, 8)))
    gone, unreadable, good, damaged = Index(tmp_path).frames()
    assert (gone.source, gone.error) == (SourceInfo("gone.png", Path(), "image"), "no such file")
    assert (gone.size_hw, gone.regions, gone.time_s) == (None, None, None)
    assert (unreadable.source.name, unreadable.error) == (r"caf\udce9.png", r"no picture: \udce9")
    assert len(good.regions) == 2
    assert (damaged.source.kind, damaged.index, damaged.time_s, damaged.error) == ("video", 3, 0.125, "damaged")


def test_only_failures(tmp_path):
    with IndexWriter(tmp_path, FACTS, "int8") as writer:
        for number in range(3):
            writer.skip(Failure("b.mp4", f"damaged {number}", number, Fraction(number)))
    assert [f.error for f in Index(tmp_path).frames()] == ["damaged 0", "damaged 1", "damaged 2"]


def test_an_empty_run(tmp_path):
    IndexWriter(tmp_path, FACTS, "int8").close()
    index = Index(tmp_path)
    assert (list(index.frames()), index.num_frames, index.is_whole) == ([], 0, True)


def test_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "_SHARD_BYTES", 4000)
    stored = write_clip(tmp_path, [9, 1, 0, 14, 2, 9, 3])
    assert shard(tmp_path, 2).exists()
    index = Index(tmp_path)
    assert index.num_frames == 7
    assert sum(s["frames"] for s in index.facts["shards"]) == 7
    assert [f.index for f in index.frames()] == list(range(7))
    assert [len(f.regions) for f in index.frames()] == list(map(len, stored))
    assert [f.index for f in index.frames()] == list(range(7)), "it can be read again"


def test_frames_outlive_the_reader(tmp_path):
    stored = write_clip(tmp_path, [5])
    frames = list(Index(tmp_path).frames())
    shard(tmp_path).unlink()
    np.testing.assert_array_equal(frames[0].regions.boxes_xyxy, stored[0].boxes_xyxy)


def test_others_read_it_by_column_names(tmp_path):
    """Nothing but Arrow is needed."""
    stored = write_clip(tmp_path, [3, 2], "int8", masks=True)
    with pa.memory_map(str(shard(tmp_path))) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table.column("source").to_pylist() == ["clip.mp4"] * 2
    assert table.column("time_s").to_pylist() == [0, 0.04]
    np.testing.assert_array_equal(np.array(table.column("boxes")[1].as_py(), np.float32), stored[1].boxes_xyxy)
    features, scales = (np.array(table.column(name)[0].as_py(), np.float32) for name in ("features", "scales"))
    back = features.reshape(3, S, D) * np.repeat(scales.reshape(3, S, -1), D // num_parts(D), axis=2)
    np.testing.assert_allclose(back, stored[0].features, atol=0.02)
    assert [len(m) for m in table.column("masks")[1].as_py()] == [M * M] * 2


# A kill


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_kill_costs_the_unfinished_frame_alone(tmp_path_factory, precision, data):
    run = tmp_path_factory.mktemp("run")
    ends = [0]  # bytes on disk after each frame
    with IndexWriter(run, FACTS, precision) as writer:
        for number, n in enumerate([2, 0, 5, 1]):
            writer.write(frame("clip.mp4", number, Fraction(number)), make_regions(n, number))
            ends.append(shard(run).stat().st_size)
    size = data.draw(st.one_of(st.integers(0, ends[-1]), st.sampled_from(ends)))
    shard(run).write_bytes(shard(run).read_bytes()[:size])
    whole = sum(end <= size for end in ends[1:])
    expected = [make_regions(n, k).objectness.tolist() for k, n in enumerate([2, 0, 5, 1][:whole])]

    with pytest.raises(RecordError, match=r"part-00000\.arrows has .* damaged"):
        read_all(run)
    as_if_killed(run)
    assert Index(run).num_frames is None
    assert not Index(run).is_whole
    assert read_all(run) == list(enumerate(expected))


def test_a_kill_in_a_later_shard(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(index_module, "_SHARD_BYTES", 4000)
    write_clip(tmp_path, [9, 9, 9, 9, 9])
    as_if_killed(tmp_path)
    last = sorted((tmp_path / "index").glob("part-*"))[-1]
    before = len(read_all(tmp_path))
    last.write_bytes(last.read_bytes()[:-300])
    assert [i for i, _ in read_all(tmp_path)] == list(range(before - 1))
    assert f"the run was killed while it wrote {last}" in caplog.text


def test_a_kill_between_a_shard_and_its_note(tmp_path):
    write_clip(tmp_path, [1, 2])
    as_if_killed(tmp_path)
    assert len(read_all(tmp_path)) == 2


def test_a_kill_before_the_first_frame(tmp_path):
    IndexWriter(tmp_path, FACTS, "int8")
    assert read_all(tmp_path) == []
    shard(tmp_path).write_bytes(b"")
    assert read_all(tmp_path) == []


def test_an_error_in_the_run_closes_what_was_found(tmp_path):
    with pytest.raises(ZeroDivisionError), IndexWriter(tmp_path, FACTS, "int8") as writer:
        writer.write(frame(), make_regions(2))
        raise ZeroDivisionError
    assert len(read_all(tmp_path)) == 1


# Damage


def survives(run):
    """Whole frames or RecordError, and nothing else."""
    try:
        for got in Index(run).frames():
            assert got.error is not None or min(got.size_hw) > 0
            if got.regions is not None:
                assert all(np.asarray(a).sum() is not None for a in vars(got.regions).values() if a is not None)
    except RecordError:
        pass


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    run = tmp_path_factory.mktemp("pristine")
    with IndexWriter(run, FACTS, "int8") as writer:
        writer.begin(SourceInfo("a.png", Path("/in/a.png"), "image"))
        writer.write(frame(), make_regions(3, masks=True))
        writer.skip(Failure("a.png", "damaged"))
        writer.write(frame("a.png", 1, Fraction(1, 3)), make_regions(0, masks=True))
    return run, shard(run).read_bytes()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), is_killed=st.booleans())
def test_flipped_bytes_give_frames_or_record_error(pristine, tmp_path, data, is_killed):
    run, good = pristine
    places = data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=4))
    damaged = bytearray(good)
    for place in places:
        damaged[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, damaged[place] ^ 1, damaged[place] ^ 0x80]))
    (tmp_path / "index").mkdir(exist_ok=True)
    (tmp_path / "index" / "index.json").write_bytes((run / "index" / "index.json").read_bytes())
    shard(tmp_path).write_bytes(bytes(damaged))
    if is_killed:
        as_if_killed(tmp_path)
    survives(tmp_path)


EVERY_BYTE = """
import json, sys
from pathlib import Path
from tests.results.test_index import shard, survives
run, step = Path(sys.argv[1]), int(sys.argv[2])
good = shard(run).read_bytes()
for place in range(0, len(good), step):
    for value in (0xFF, 0x7F, 0x00, good[place] ^ 4):
        damaged = bytearray(good)
        damaged[place] = value
        shard(run).write_bytes(damaged)
        survives(run)
print("alive")
"""


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_no_flipped_byte_ends_the_interpreter(tmp_path, precision):
    write_clip(tmp_path, [2], precision)
    command = [sys.executable, "-c", EVERY_BYTE, tmp_path, "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.stdout == "alive\n", (done.returncode, done.stderr[-3000:])


@pytest.mark.parametrize(
    ("name", "value"),
    [("source", None), ("index", None), ("index", -1), ("time_s", float("nan")), ("width", None), ("height", 0)],
)
def test_rows_that_no_writer_writes(tmp_path, name, value):
    write_clip(tmp_path, [1])
    with pa.memory_map(str(shard(tmp_path))) as file:
        table = pa.ipc.open_stream(file).read_all()
    place = table.schema.get_field_index(name)
    table = table.set_column(place, table.schema.field(place), pa.array([value], table.schema.field(place).type))
    shard(tmp_path).unlink()
    with pa.OSFile(str(shard(tmp_path)), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    facts = Index(tmp_path).facts
    change(tmp_path, shards=[facts["shards"][0] | {"bytes": shard(tmp_path).stat().st_size}])
    with pytest.raises(RecordError, match=r"part-00000\.arrows is damaged after frame 0"):
        read_all(tmp_path)


def test_batches_of_several_rows_are_read_too(tmp_path):
    """As other tools write them."""
    stored = write_clip(tmp_path, [2, 3, 1])
    with pa.memory_map(str(shard(tmp_path))) as file:
        table = pa.ipc.open_stream(file).read_all().combine_chunks()
    shard(tmp_path).unlink()
    with pa.OSFile(str(shard(tmp_path)), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    facts = Index(tmp_path).facts
    change(tmp_path, shards=[facts["shards"][0] | {"bytes": shard(tmp_path).stat().st_size}])
    for got, put in zip(Index(tmp_path).frames(), stored, strict=True):
        np.testing.assert_array_equal(got.regions.boxes_xyxy, put.boxes_xyxy)
        np.testing.assert_array_equal(got.regions.features, put.features.astype(np.float16))


def test_a_shard_of_another_index(tmp_path):
    (tmp_path / "other").mkdir()
    write_clip(tmp_path / "other", [3], width=D + 2)
    (tmp_path / "own").mkdir()
    write_clip(tmp_path / "own", [3])
    foreign = shard(tmp_path / "other").read_bytes()
    shard(tmp_path / "own").write_bytes(foreign)
    with pytest.raises(RecordError, match="bytes, but had"):
        read_all(tmp_path / "own")
    change(tmp_path / "own", shards=[{"file": shard(tmp_path).name, "bytes": len(foreign), "frames": 1}])
    with pytest.raises(RecordError, match=r"part-00000\.arrows has other columns .* belongs to another index"):
        read_all(tmp_path / "own")


def test_a_missing_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "_SHARD_BYTES", 2000)
    write_clip(tmp_path, [9, 9, 9])
    shard(tmp_path, 1).unlink()
    with pytest.raises(RecordError, match=r"part-00001\.arrows is missing"):
        read_all(tmp_path)


def test_fewer_frames_than_were_written(tmp_path):
    write_clip(tmp_path, [3])
    change(tmp_path, shards=[Index(tmp_path).facts["shards"][0] | {"frames": 2}])
    with pytest.raises(RecordError, match="holds 1 frames, but 2 were written"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        b"\xff\xfe",
        '{"schema": "other/1", "status": "done", "shards": [], "precision": "fp16"}',
        '{"schema": "ovdet-index/1", "status": "done", "shards": [], "precision": "fp8"}',
        '{"schema": "ovdet-index/1", "status": "done", "shards": [], "precision": "fp16", "width": "wide"}',
        '{"schema": "ovdet-index/1", "status": "done", "shards": [3], "precision": "fp16"}',
        '{"schema": "ovdet-index/1", "status": "done", "shards": {"a": 1}, "precision": "fp16"}',
        '{"schema": "ovdet-index/1", "status": "done", "shards": [{"file": "a"}], "precision": "fp16"}',
    ],
)
def test_facts_that_are_none(tmp_path, text):
    write_clip(tmp_path, [3])
    (tmp_path / "index" / "index.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecordError, match=r"index\.json is no description of an index, or is damaged"):
        Index(tmp_path)


def test_no_facts_no_index_no_run(tmp_path):
    with pytest.raises(RecordError, match=r"has no index.*run `ovdet detect \.\.\. --index` once"):
        Index(tmp_path)
    (tmp_path / "index").mkdir()
    with pytest.raises(RecordError, match=r"cannot read .*index\.json: No such file"):
        Index(tmp_path)
    with pytest.raises(RecordError, match="there is no run folder"):
        Index(tmp_path / "none")


def test_an_index_that_cannot_be_made(tmp_path):
    (tmp_path / "index").write_text("a file of this name")
    with pytest.raises(OutputError, match="cannot write the index"):
        IndexWriter(tmp_path, FACTS, "int8")


def test_a_full_disk(tmp_path, monkeypatch):
    writer = IndexWriter(tmp_path, FACTS, "fp16")
    writer.write(frame(), make_regions(3))

    class Full:
        def __getattr__(self, name):
            def refuse(*_):
                raise OSError(28, "No space left on device")

            return refuse

    monkeypatch.setattr(writer, "_file", Full())
    with pytest.raises(OutputError, match=r"cannot write the index .*: No space left on device"):
        writer.write(frame("a.png", 1), make_regions(3))


def test_parts_of_a_wide_vector_have_scales_of_their_own():
    features = np.random.default_rng(0).standard_normal((2, 1, 192), dtype=np.float32)
    features[:, :, :64] *= 100
    stored = StoredRegions(np.zeros((2, 4), np.float32), np.ones(2, np.float32), features).stored_as("int8")
    assert stored.scales is not None
    assert stored.scales.shape == (2, 1, 3)
    back = stored.features * np.repeat(stored.scales, 64, axis=2)
    assert np.abs(back - features)[:, :, 64:].max() < 0.02


def test_sources_once_each(tmp_path):
    with IndexWriter(tmp_path, FACTS, "int8") as writer:
        writer.skip(Failure("gone.png", "no such file"))
        for name, frames in (("a.png", 1), ("clip.mp4", 3)):
            writer.begin(SourceInfo(name, Path("/in") / name, "image" if frames == 1 else "video"))
            for number in range(frames):
                writer.write(frame(name, number), make_regions(2))
    assert list(Index(tmp_path).sources()) == [
        SourceInfo("gone.png", Path(), "image"),
        SourceInfo("a.png", Path("/in/a.png"), "image"),
        SourceInfo("clip.mp4", Path("/in/clip.mp4"), "video"),
    ]


def rewrite(run, change_table):
    """The index's one shard as another tool might write it."""
    with pa.memory_map(str(shard(run))) as file:
        table = change_table(pa.ipc.open_stream(file).read_all())
    shard(run).unlink()
    with pa.OSFile(str(shard(run)), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    change(run, shards=[Index(run).facts["shards"][0] | {"bytes": shard(run).stat().st_size}])


@pytest.mark.parametrize("name", ["objectness", "features"])
@pytest.mark.parametrize("missing", ["the list", "a number"])
def test_numbers_that_are_missing(tmp_path, name, missing):
    write_clip(tmp_path, [2, 3, 1], "int8")

    def without(table):
        place = table.schema.get_field_index(name)
        rows = table.column(name).to_pylist()
        if missing == "the list":
            rows[1] = None
        elif name == "objectness":
            rows[1][2] = None
        else:
            rows[1][2][3] = None
        kind = table.schema.field(place).type
        return table.set_column(place, table.schema.field(place), pa.array(rows, kind)).combine_chunks()

    rewrite(tmp_path, without)
    frames = Index(tmp_path).frames()
    if missing == "the list":
        next(frames)  # the row before is whole
    with pytest.raises(RecordError, match=f"the column {name} lacks numbers"):
        list(frames)


def test_failures_among_frames_of_one_batch(tmp_path):
    with IndexWriter(tmp_path, FACTS, "int8") as writer:
        writer.write(frame(), make_regions(3))
        writer.skip(Failure("b.png", "damaged"))
        writer.write(frame("c.png"), make_regions(2, 1))
    rewrite(tmp_path, lambda table: table.combine_chunks())
    assert [f.error or len(f.regions) for f in Index(tmp_path).frames()] == [3, "damaged", 2]


def test_what_stands_before_damage_is_read(tmp_path):
    """Though rows are read some at a time."""
    write_clip(tmp_path, [2] * 9)
    good = shard(tmp_path).read_bytes()
    shard(tmp_path).write_bytes(good[: len(good) * 2 // 3] + bytes(len(good) - len(good) * 2 // 3))
    seen = []
    with pytest.raises(RecordError, match=r"damaged"):
        seen.extend(got.index for got in Index(tmp_path).frames())
    assert seen == list(range(len(seen)))
    assert 4 <= len(seen) < 9


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_frame_like_the_one_before_is_told_from_one_without_regions(tmp_path, precision):
    with IndexWriter(tmp_path, FACTS, precision) as writer:
        writer.begin(SourceInfo("clip.mp4", Path("/videos/clip.mp4"), "video"))
        writer.write(frame("clip.mp4", 0, Fraction(0)), make_regions(0))
        writer.reuse(frame("clip.mp4", 1, Fraction(1, 25)))
    first, second = Index(tmp_path).frames()
    assert (first.is_reused, len(first.regions)) == (False, 0)
    assert (second.is_reused, second.regions, second.size_hw, second.time_s) == (True, None, (30, 40), 0.04)
