from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from ovdet_cli.analysis.exporting import TABLES
from ovdet_cli.analysis.report import Report, ReportRequest
from ovdet_cli.media.images import write_image
from ovdet_cli.results.jsonl import JsonlSink
from tests.wild_records import blank_frame, two_finds


def drawing(seed: int, side: int = 96) -> np.ndarray:
    """A picture with shapes of its own."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 128, np.uint8)
    for _ in range(30):
        y, x, h, w = rng.integers(0, side, 4)
        image[y : y + h // 2 + 3, x : x + w // 2 + 3] = rng.integers(0, 256, 3)
    return image


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two pictures, the first of them three times: as it is, smaller, and under the post of the second."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    first, second = drawing(1), drawing(2)
    shown = {"a.png": first, "b.jpg": first, "c.png": second, "c2.png": first}
    folder = tmp_path / "run"
    folder.mkdir()
    with JsonlSink(folder / "detections.jsonl", ["cat", "dog"]) as sink:
        for name, image in shown.items():
            write_image(pictures / name, image)
            sink.write(blank_frame(name), two_finds())
        sink.write(blank_frame("gone.png"), two_finds())
    info = {"status": "done", "inputs": {"root": str(pictures), "elsewhere": {}}}
    (folder / "run.json").write_bytes(orjson.dumps(info))
    (tmp_path / "posts.csv").write_text(
        "file,post_id,created_at\na.png,A,2026-03-02\nb.jpg,B,2026-03-01\nc.png,C,2026-03-03\nc2.png,C,2026-03-03\n"
    )
    return folder


def table(report: Report, name: str) -> pa.Table:
    return TABLES[name](report)


def test_the_earliest_of_like_posts_is_counted_and_the_list_is_kept(run: Path, tmp_path: Path) -> None:
    request = ReportRequest([run], metadata=tmp_path / "posts.csv", fold_duplicates=True, cache=tmp_path / "cache")
    with Report(request) as report:
        # C shows something else besides, so it is no duplicate; gone.png is its own post and cannot be compared.
        assert report.totals["units"] == 3
        assert report.left_out.folded == 1
        assert table(report, "duplicates").to_pylist() == [{"source": "a.png", "like": "b.jpg"}]
        assert report.duplicates == {"folded": 1, "groups": 1, "examples": [["b.jpg", "a.png"]]}
        assert any("1 files could not be compared" in warning for warning in report.warnings)
        assert table(report, "labels")["units"].to_pylist() == [3, 3]
    assert (tmp_path / "cache").is_file()


def test_files_are_folded_one_by_one_where_files_are_counted(run: Path, tmp_path: Path) -> None:
    request = ReportRequest([run], "file", metadata=tmp_path / "posts.csv", fold_duplicates=True)
    with Report(request) as report:
        pairs = {(row["source"], row["like"]) for row in table(report, "duplicates").to_pylist()}
        assert pairs == {("a.png", "b.jpg"), ("c2.png", "b.jpg")}
        assert report.totals["units"] == 3


def test_what_is_not_counted_stands_for_nothing(run: Path, tmp_path: Path) -> None:
    since = datetime(2026, 3, 1, 12, tzinfo=UTC)  # the earliest of the two like posts is out
    with Report(ReportRequest([run], metadata=tmp_path / "posts.csv", fold_duplicates=True, since=since)) as report:
        assert [row["source"] for row in table(report, "sources").to_pylist()] == ["a.png", "c.png", "c2.png"]
        assert report.left_out.folded == 0


def test_without_the_option_nothing_is_folded(run: Path) -> None:
    with Report(ReportRequest([run])) as report:
        assert report.totals["units"] == 5
        assert report.duplicates is None
        assert table(report, "duplicates").num_rows == 0


def test_an_empty_run_has_no_duplicates(tmp_path: Path) -> None:
    JsonlSink(tmp_path / "detections.jsonl", []).close()
    with Report(ReportRequest([tmp_path], fold_duplicates=True)) as report:
        assert report.duplicates == {"folded": 0, "groups": 0, "examples": []}
