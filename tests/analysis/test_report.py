import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ovdet_cli.analysis.exporting import TABLES
from ovdet_cli.analysis.report import Report, ReportRequest
from ovdet_cli.errors import RecordError, UsageError
from ovdet_cli.media.images import write_image
from tests.analysis.store_of import record, video, write_run
from tests.media.clips import corner_picture

BERLIN = ZoneInfo("Europe/Berlin")
METADATA = """file,post_id,account,time,likes,text
a.jpg,P,ann,2026-01-01T10:00,5,one #x
b.jpg,P,ann,2026-01-01T10:00,5,one #x
c.jpg,Q,ann,2026-02-01T10:00,7,two
d.jpg,R,bob's,2026-03-01T10:00,1,three #y
"""


def feed(tmp_path, name="run", info=None):
    """A carousel of two, two posts by themselves, a file of which nothing is known."""
    cats = (("cat", 0.9), ("dog", 0.4))
    run = write_run(
        tmp_path / name,
        *(record("a.jpg", *cats), record("b.jpg", *cats), record("c.jpg", ("cat", 0.6)), record("d.jpg")),
        record("e.jpg", ("cat", 0.3)),
        info=info,
    )
    (tmp_path / "posts.csv").write_text(METADATA)
    return run


def shares(tmp_path, *runs, **asked):
    metadata = tmp_path / "posts.csv"
    with Report(ReportRequest(runs, metadata=metadata if metadata.exists() else None, zone=BERLIN, **asked)) as report:
        columns = report.labels.columns
        return report.totals["units"], dict(zip(columns["label"], columns["units"].tolist(), strict=True))


def test_shares_of_posts_files_and_accounts(tmp_path):
    run = feed(tmp_path)
    assert shares(tmp_path, run) == (4, {"cat": 3, "dog": 1})
    assert shares(tmp_path, run, unit="file") == (5, {"cat": 4, "dog": 2})
    assert shares(tmp_path, run, unit="account") == (2, {"cat": 1, "dog": 1})


def test_parts_of_a_feed(tmp_path):
    run = feed(tmp_path)
    january = datetime(2026, 1, 15, tzinfo=UTC)
    assert shares(tmp_path, run, until=january) == (1, {"cat": 1, "dog": 1})
    assert shares(tmp_path, run, since=january) == (2, {"cat": 1})
    assert shares(tmp_path, run, since=january, unit="account") == (2, {"cat": 1})
    assert shares(tmp_path, run, accounts=("bob's",)) == (1, {})
    assert shares(tmp_path, run, sources=("[a-c].jpg",)) == (2, {"cat": 2, "dog": 1})
    assert shares(tmp_path, run, labels=("dog",)) == (4, {"dog": 1})
    # A moment is one whatever the zone: 10:00 in Berlin is 9:00 UTC.
    assert shares(tmp_path, run, since=datetime(2026, 3, 1, 9, tzinfo=UTC))[0] == 1
    assert shares(tmp_path, run, since=datetime(2026, 3, 1, 9, 0, 1, tzinfo=UTC))[0] == 0
    with pytest.raises(UsageError, match="nothing lies between"):
        shares(tmp_path, run, since=january, until=january)


INFO = {
    "status": "done",
    "settings": {"threshold": 0.5, "record_threshold": 0.2},
    "vocabulary": {
        "classes": [
            {"name": "cat", "threshold": 0.25, "parent": "pet"},
            {"name": "dog", "parent": ["pet", "guard"]},
            {"name": "pet", "parent": "animal"},
            {"name": "animal", "parent": "pet"},
            {"name": "odd", "parent": 5, "threshold": "x"},
            {"name": "none", "parent": None},
            {"parent": "x"},
            None,
        ]
    },
}


def test_thresholds_of_the_run_and_its_classes_and_parents(tmp_path):
    run = feed(tmp_path, info=INFO)
    assert shares(tmp_path, run) == (4, {"cat": 3})
    assert shares(tmp_path, run, threshold=0.35) == (4, {"cat": 2, "dog": 1})
    with Report(ReportRequest([run], threshold=0.2)) as report:
        assert report.thresholds_of_labels == [0.2, 0.2]
        assert report.parents["parent"].to_pylist() == ["animal", "pet", "guard"]
        assert report.parents["units"].to_pylist() == [4, 4, 2]
    with pytest.raises(UsageError, match=r"the lowest usable one is 0\.2"):
        shares(tmp_path, run, threshold=0.1)


@pytest.mark.parametrize("info", [None, {}, {"settings": None, "vocabulary": None, "inputs": None, "status": None}])
def test_a_run_of_which_nothing_is_told(tmp_path, info):
    assert shares(tmp_path, feed(tmp_path, info=info)) == (4, {"cat": 3, "dog": 1})


def test_a_run_json_that_is_no_object_is_an_error_but_not_for_the_records_alone(tmp_path):
    run = feed(tmp_path, info=[1])
    with pytest.raises(RecordError, match=r"run\.json is no JSON object"):
        shares(tmp_path, run)
    (run / "detections.jsonl").rename(run / "mine.jsonl")
    assert shares(tmp_path, run / "mine.jsonl")[0] == 4


def test_runs_are_counted_together_and_common_files_once(tmp_path):
    info = {"inputs": {"root": "/data", "elsewhere": {}}}
    other = {"inputs": {"root": "/data/deeper", "elsewhere": {"x.jpg": "/data/a.jpg"}}}
    one = write_run(tmp_path / "one", record("a.jpg", ("cat", 0.9)), record("deeper/y.jpg"), info=info)
    two = write_run(tmp_path / "two", record("x.jpg", ("dog", 0.9)), record("y.jpg"), record("z.jpg"), info=other)
    assert shares(tmp_path, one, two) == (3, {"cat": 1, "dog": 1})
    with Report(ReportRequest([one, two])) as report:
        sources = TABLES["sources"](report)["source"].to_pylist()
        assert sources == ["one/a.jpg", "one/deeper/y.jpg", "two/x.jpg", "two/y.jpg", "two/z.jpg"]
        assert any("2 files are in several of the runs" in warning for warning in report.warnings)
    # Where nothing tells where they lay, files of one name are not taken for one.
    alone = [write_run(tmp_path / name, record("a.jpg", ("cat", 0.9))) for name in ("three", "four")]
    assert shares(tmp_path, *alone) == (2, {"cat": 2})


def test_metadata_of_two_runs_leaves_no_row_unused(tmp_path):
    one = write_run(tmp_path / "one", record("a.jpg"), record("b.jpg"))
    two = write_run(tmp_path / "two", record("c.jpg"), record("d.jpg"))
    (tmp_path / "posts.csv").write_text(METADATA + "z.jpg,Z,ann,2026-01-01,1,x\n")
    with Report(ReportRequest([one, two], metadata=tmp_path / "posts.csv")) as report:
        assert report.totals["units"] == 3
        unused = [warning for warning in report.warnings if "belong" in warning]
    assert len(unused) == 1
    assert unused[0].startswith("1 row of the metadata belongs to no file")


def test_the_same_run_twice_is_an_error_however_it_is_named(tmp_path):
    run = feed(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(run)
    for other in (run, run / ".", run / "detections.jsonl", link):
        with pytest.raises(UsageError, match="same run is given twice"):
            shares(tmp_path, run, other)
    (run / "more.jsonl").write_bytes((run / "detections.jsonl").read_bytes())
    with Report(ReportRequest([run, run / "more.jsonl"])) as report:
        assert [facts.name for facts in report.runs] == ["run", "more.jsonl"]


def test_two_runs_are_compared_file_by_file_wherever_they_lay(tmp_path):
    runs = [feed(tmp_path, name, {"inputs": {"root": f"/{name}"}}) for name in ("x/run", "y/run")]
    with Report(ReportRequest(runs, compare=True)) as report:
        found, a, b = report.comparison
        assert found.units == (5, 5)
        assert "McNemar" in found.how
        assert (a, b) == tuple(str(run) for run in runs)
        assert TABLES["compare"](report)["difference"].to_pylist() == [0.0, 0.0]
    with pytest.raises(UsageError, match="two runs side by side; 1 given"):
        shares(tmp_path, runs[0], compare=True)


def test_spans_of_time_are_compared(tmp_path):
    with Report(ReportRequest([feed(tmp_path)], metadata=tmp_path / "posts.csv", zone=BERLIN)) as report:
        found, before, after = report.comparison
        assert found.units == (1, 2)
        assert before == f"before {after.removeprefix('from ').removesuffix(' on')}"
    asked = ReportRequest([tmp_path / "run"], metadata=tmp_path / "posts.csv", split=datetime(2026, 2, 15, tzinfo=UTC))
    with Report(asked) as report:
        assert report.comparison[0].units == (2, 1)
        assert report.comparison[1] == "before 2026-02-15T00:00+00:00"


def test_what_a_reader_must_know_is_told(tmp_path):
    (tmp_path / "pictures").mkdir()
    write_image(tmp_path / "pictures" / "a.jpg", corner_picture((8, 8)))
    os.utime(tmp_path / "pictures" / "a.jpg", (10**9, 10**9))
    info = {"status": "running", "inputs": {"root": str(tmp_path / "pictures")}, "settings": {"threshold": 0.5}}
    run = write_run(tmp_path / "run", record("a.jpg", ("cat", 0.9)), record("b.jpg", error="broken"), info=info)
    with Report(ReportRequest([run], labels=("cat", "fox"), accounts=())) as report:
        told = "\n".join(report.warnings)
        assert report.time_from == {"file time": 1}
        assert report.local(report.totals["first_us"]) == "2001-09-09T01:46+00:00"
        assert report.cuts == ["label cat", "label fox"]
    for text in (
        "killed or is still going on",
        "1 of 2 files (50.0%)",
        "all posts is that of the file on disk",
        "'fox'",
    ):
        assert text in told
    with Report(ReportRequest([run], since=datetime(2026, 1, 1, tzinfo=UTC), accounts=("x",))) as report:
        assert report.totals["units"] == 0
        assert any("2 files of no known account" in warning for warning in report.warnings)


@pytest.mark.parametrize("records", [[], [record("a.jpg", error="broken"), record("b.jpg", error="broken")]])
def test_an_empty_and_a_failed_run(tmp_path, records):
    with Report(ReportRequest([write_run(tmp_path, *records)])) as report:
        tables = {name: make(report) for name, make in TABLES.items()}
        assert report.comparison is None
        assert report.bins is None
    assert tables["totals"]["units"].to_pylist() == [0]
    assert tables["labels"].num_rows == 0
    assert tables["failures"].num_rows == len(records)


def test_hostile_names_of_everything(tmp_path):
    hostile = ["'; DROP TABLE unit; --", '"quoted"', "<script>", "../../etc/passwd", "\u202eevil", "nul\0", "💥"]
    hostile.append("l" * 300)
    records = [record(name, (name, 0.9)) for name in hostile]
    (tmp_path / "posts.jsonl").write_text("")
    run = write_run(tmp_path / "it's; --", *records, *video("v'", *((float(i), (hostile[0], 0.9)) for i in range(3))))
    request = ReportRequest([run], root=tmp_path, sources=("*",), unit="post")
    with Report(request) as report:
        tables = {name: make(report) for name, make in TABLES.items()}
        assert report.totals["units"] == len(hostile) + 1
    assert sorted(tables["labels"]["label"].to_pylist()) == sorted(hostile)
    assert tables["bands"]["source"].to_pylist() == ["v'"]


def test_a_report_that_fails_leaves_no_database(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    with pytest.raises(UsageError):
        Report(ReportRequest([feed(tmp_path)], threshold=0.1))
    assert list((tmp_path / "temporary").iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", None)
