import csv

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ovdet_cli.analysis.exporting import TABLES, plain_table, write_tables
from ovdet_cli.analysis.report import Report, ReportRequest
from ovdet_cli.errors import OutputError
from tests.analysis.store_of import record, video, write_run
from tests.analysis.wild_feed import CUT, make_feed


def test_every_table_reads_the_same_from_all_formats(tmp_path):
    run = write_run(tmp_path / "run", *make_feed(1).records, info={"settings": {"threshold": CUT}})
    with Report(ReportRequest([run])) as report:
        paths = write_tables(report, tmp_path, ("csv", "json", "parquet"))
        tables = {name: make(report) for name, make in TABLES.items()}
    assert sorted(path.name for path in paths) == sorted(
        f"{name}.{kind}" for name in TABLES for kind in ("csv", "json", "parquet")
    )
    for name, table in tables.items():
        assert pq.read_table(tmp_path / f"{name}.parquet").equals(table)
        assert orjson.loads((tmp_path / f"{name}.json").read_bytes()) == plain_table(table)
        with (tmp_path / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == table.num_rows
        for column in table.column_names:
            if table[column].type == pa.string():
                assert [row[column] for row in rows] == [text or "" for text in table[column].to_pylist()]


def test_columns_have_the_same_types_whether_or_not_anything_was_found(tmp_path):
    found = [record("a.jpg", ("cat", 0.9)), *video("v", (0.0, ("cat", 0.5)), (1.0,)), record("b.jpg", error="broken")]
    runs = [write_run(tmp_path / "full", *found), write_run(tmp_path / "empty")]
    schemas = []
    for run in runs:
        (run / "posts.csv").write_text("file,account,time\na.jpg,ann,2026-01-01\n")
        with Report(ReportRequest([run], metadata=run / "posts.csv")) as report:
            schemas.append({name: make(report).schema for name, make in TABLES.items()})
    full, empty = schemas
    for name in TABLES:
        # Without video there are no minutes.
        wanted = [field for field in full[name] if not field.name.startswith("minutes")]
        assert [(f.name, f.type) for f in empty[name]] == [(f.name, f.type) for f in wanted], name


def test_scores_are_as_short_as_they_were(tmp_path):
    with Report(ReportRequest([write_run(tmp_path, record("a.jpg", ("cat", 0.1)))])) as report:
        row = plain_table(TABLES["labels"](report))[0]
        assert row["score_median"] == 0.1
        assert orjson.dumps(row)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with (
        Report(ReportRequest([write_run(tmp_path, record("a.jpg"))])) as report,
        pytest.raises(OutputError, match="cannot write"),
    ):
        write_tables(report, tmp_path / "nowhere", ("csv",))
