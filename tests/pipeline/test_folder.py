"""The run folder: refusals, locks, and what --overwrite may remove."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ovdet_cli.errors import OutputError
from ovdet_cli.pipeline.folder import RunFolder


def make_run(path: Path) -> None:
    with RunFolder(path) as folder:
        folder.write_info({"schema": "ovdet/1"})
        (path / "images").mkdir()
        (path / "images" / "a.jpg").write_bytes(b"old")
        (path / "detections.jsonl").write_text("{}\n")


def test_an_existing_run_is_refused_and_untouched(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(OutputError, match=r"already holds a run.*--overwrite"):
        RunFolder(tmp_path / "run")
    assert (tmp_path / "run" / "images" / "a.jpg").read_bytes() == b"old"


def test_overwrite_removes_the_run_and_nothing_else(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with RunFolder(tmp_path / "run", overwrite=True) as folder:
        assert (tmp_path / "run" / "images" / "a.jpg").is_file(), "the old run stays until the new one begins"
        folder.clear()
        left = {path.name for path in (tmp_path / "run").iterdir() if path.name != ".ovdet.lock"}
    assert left == {"notes.txt"}


def test_overwrite_never_removes_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="no run folder but holds images"):
        RunFolder(tmp_path, overwrite=True)
    assert (tmp_path / "images" / "holiday.jpg").read_bytes() == b"mine"


def test_anothers_run_json_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"lr": 0.1}')
    (tmp_path / "images").mkdir()
    with pytest.raises(OutputError, match="no run folder"):
        RunFolder(tmp_path, overwrite=True)


def test_overwrite_does_not_follow_links(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "keep.txt").write_text("mine")
    (tmp_path / "run" / "videos").symlink_to(tmp_path / "elsewhere")
    with RunFolder(tmp_path / "run", overwrite=True) as folder:
        folder.clear()
        assert not (tmp_path / "run" / "videos").exists()
    assert (tmp_path / "elsewhere" / "keep.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with RunFolder(tmp_path) as folder:
        folder.write_info({"schema": "ovdet/1"})
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom ovdet_cli.pipeline.folder import RunFolder\n"
        "try:\n    RunFolder(pathlib.Path(sys.argv[1]), overwrite=True)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    with RunFolder(tmp_path / "run"):
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, check=True
        )
    assert other.stdout.startswith("OutputError another ovdet is writing")
    RunFolder(tmp_path / "run").close()


def test_an_empty_new_folder_goes_again(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").close()
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="cannot write the run folder"):
            RunFolder(path)


def test_run_json_takes_undecodable_names(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.write_info({"command": ["ovdet", "caf\udce9.jpg"], "label": "猫"})
    read = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert read == {"command": ["ovdet", r"caf\udce9.jpg"], "label": "猫"}
