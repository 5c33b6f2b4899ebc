from pathlib import Path

import orjson

from ovdet_cli.analysis.places import Places
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.inputs import collect_inputs
from ovdet_cli.pipeline.description import describe_places
from ovdet_cli.results.record import readable


def info(name: str, path: str) -> SourceInfo:
    return SourceInfo(name, Path(path), "image")


def test_files_of_one_folder_have_a_root(tmp_path):
    told = describe_places([info("a.jpg", "/data/a.jpg"), info("deep/b.jpg", "/data/deep/b.jpg")])
    assert told == {"root": "/data", "elsewhere": {}}
    assert describe_places([]) == {"root": None, "elsewhere": {}}


def test_files_that_do_not_lie_there_are_told_one_by_one():
    sources = [info("a.jpg", "/x/a.jpg"), info("b.jpg", "/x/b.jpg"), info("c.jpg", "/y/c.jpg"), info("new", "/z/old")]
    assert describe_places(sources) == {"root": "/x", "elsewhere": {"c.jpg": "/y/c.jpg", "new": "/z/old"}}
    assert describe_places(sources[3:]) == {"root": None, "elsewhere": {"new": "/z/old"}}


def test_names_that_utf8_cannot_hold_are_written_as_in_the_records(tmp_path):
    told = describe_places([info("caf\udce9.jpg", "/d\udce9/caf\udce9.jpg"), info("x", "/y/caf\udce9")])
    assert orjson.loads(orjson.dumps(told)) == {"root": r"/d\udce9", "elsewhere": {"x": r"/y/caf\udce9"}}


def test_every_file_of_real_inputs_is_found_again(tmp_path, monkeypatch):
    for name in ("one/a.jpg", "one/deep/b.jpg", "two/c.jpg", "d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for given in (["one", "two"], ["one"], ["one/deep/../a.jpg", "d.jpg"], [str(tmp_path)], ["."]):
        sources = collect_inputs(given).sources
        assert sources
        places = Places.of_run({"inputs": describe_places(sources)})
        for source in sources:
            found = places.existing(readable(source.name))
            assert found is not None, (given, source)
            assert found.resolve() == source.path.resolve()
