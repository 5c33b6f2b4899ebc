import subprocess
import sys

import orjson
import pytest
import typer
from typer.testing import CliRunner

from ovdet_cli.analysis.exporting import TABLES
from ovdet_cli.cli.main import app as whole_app
from ovdet_cli.cli.report import report
from ovdet_cli.cli.report_tables import bar, percent, printable
from ovdet_cli.errors import OutputError, RecordError, UsageError
from ovdet_cli.frame import Failure
from ovdet_cli.results.csv_table import CsvSink
from ovdet_cli.results.jsonl import JsonlSink
from tests.wild_records import blank_frame, two_finds

app = typer.Typer()
app.command()(report)


def write_run(folder, labels=("cat", "dog"), source="a.jpg", info=None):
    folder.mkdir(parents=True, exist_ok=True)
    with JsonlSink(folder / "detections.jsonl", labels) as sink:
        sink.write(blank_frame(source), two_finds(has_masks=True))
        sink.skip(Failure("b.jpg", "broken"))
    if info is not None:
        (folder / "run.json").write_bytes(orjson.dumps(info))
    return folder


def call(*arguments, columns=200):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": str(columns)})


def test_tables_go_to_stdout_talk_to_stderr_and_files_into_the_run(tmp_path):
    result = call(write_run(tmp_path))
    assert result.exit_code == 0, result.output
    for text in ("Labels (2)", "cat", "dog", "100.0 %", "Failures", "broken", "b.jpg", "files that failed"):
        assert text in result.stdout
    said = result.stderr.replace("\n", "")
    assert "warning: 1 of 2 files (50.0%) could not be read" in said
    assert f"wrote {len(TABLES)} tables to {tmp_path / 'report'}" in said
    assert f"wrote {tmp_path / 'report' / 'report.html'} (" in said
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.html", *(f"{name}.csv" for name in TABLES)}


def test_output_says_where_and_quiet_says_nothing(tmp_path):
    result = call(write_run(tmp_path / "run"), "-o", tmp_path / "deep" / "tables", "-q", "--tables", "json, parquet")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "Labels (2)" in result.stdout
    names = {path.name for path in (tmp_path / "deep" / "tables").iterdir()}
    assert names == {"report.html", *(f"{name}.{kind}" for name in TABLES for kind in ("json", "parquet"))}
    assert not (tmp_path / "run" / "report").exists()


def test_nothing_is_written_where_nothing_is_wanted(tmp_path):
    assert call(write_run(tmp_path), "--no-html", "--tables", "none").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["detections.jsonl"]


def test_a_records_file_is_as_good_as_its_folder(tmp_path):
    whole = call(write_run(tmp_path)).stdout
    with CsvSink(tmp_path, ["cat", "dog"]) as sink:
        sink.write(blank_frame("a.jpg"), two_finds())
        sink.skip(Failure("b.jpg", "broken"))
    for name in ("detections.jsonl", "detections.csv"):
        result = call(tmp_path / name)
        assert result.exit_code == 0
        assert result.stdout == whole
    assert (tmp_path / "report" / "labels.csv").exists()


def test_json_is_whole_and_alone_on_stdout(tmp_path):
    result = call(write_run(tmp_path), "--json", "--top", 1)
    tables = orjson.loads(result.stdout)
    assert list(tables) == list(TABLES)
    cat, dog = tables["labels"]
    assert (cat["label"], cat["units"], cat["share"], cat["detections"], cat["score_median"]) == ("cat", 1, 1.0, 1, 0.9)
    assert dog["label"] == "dog"
    assert [row["top_label"] for row in tables["sources"]] == ["cat", None]
    assert tables["failures"] == [{"source": "b.jpg", "index": 0, "error": "broken"}]
    assert tables["totals"][0]["pictures"] == 1


def test_top_limits_what_is_printed_and_says_so(tmp_path):
    result = call(write_run(tmp_path), "--top", 1)
    assert "Labels (the first 1 of 2)" in result.stdout
    assert "dog" not in result.stdout
    assert "dog" in (tmp_path / "report" / "labels.csv").read_text()


@pytest.mark.parametrize("name", ["[red]", "[/b]", "a[b]", "[link=x]y"])
def test_markup_in_names_is_shown_as_it_is(tmp_path, name):
    info = {"status": f"{name}", "vocabulary": {"classes": [{"name": name, "parent": f"{name}s"}]}}
    runs = [write_run(tmp_path / f"{name}{i}", [name, "dog"], f"{name}.jpg", info) for i in range(2)]
    result = call(*runs, "--compare", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.exception
    assert f"\n{name} " in result.stdout
    assert f"{name}s" in result.stdout
    assert f"What changed: {runs[0].name}" in result.stdout
    assert f"The run {runs[0].name} is not complete" in result.stderr
    assert call(runs[0], "-o", tmp_path / name).exit_code == 0


@pytest.mark.parametrize("name", ["\x1b[31mred\nline", "\x9b31m", "\u202eexe.gpj", "\x07bell\r\0"])
def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path, name):
    parents = [{"name": name, "parent": f"{name}s"}]
    run = write_run(
        tmp_path / "run", [name, "dog"], f"{name}/a.jpg", {"status": name, "vocabulary": {"classes": parents}}
    )
    with JsonlSink(run / "detections.jsonl", [name, "dog"]) as sink:
        sink.write(blank_frame(f"{name}/a.jpg"), two_finds())
        sink.skip(Failure(name, f"{name} is broken"))
    (tmp_path / "posts.jsonl").write_bytes(
        orjson.dumps({"file": "a.jpg", "account": name, "time": name, "tags": [name]}) + b"\n"
    )
    result = call(run, "--metadata", tmp_path / "posts.jsonl", "--suggest-thresholds", "--where", f"label={name}")
    assert result.exit_code == 0, result.exception
    assert printable(name) in result.stdout
    for text in (result.stdout, result.stderr):
        assert all(c.isprintable() or c == "\n" for c in text)


def test_several_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    result = call(one, two, "--json")
    assert result.exit_code == 0
    assert [row["source"] for row in orjson.loads(result.stdout)["sources"]][::2] == ["one/a.jpg", "two/a.jpg"]
    assert not (one / "report").exists()
    assert (tmp_path / "ovdet-report" / "report.html").exists()
    assert call(one, two, "-o", tmp_path / "both").exit_code == 0
    assert (tmp_path / "both" / "totals.csv").exists()


@pytest.mark.parametrize("is_failed", [False, True])
def test_an_empty_run_and_one_that_only_failed(tmp_path, is_failed):
    with JsonlSink(tmp_path / "detections.jsonl", []) as sink:
        if is_failed:
            sink.skip(Failure("b.jpg", "broken"))
    result = call(tmp_path)
    assert result.exit_code == 0, result.exception
    assert "Labels (0)" in result.stdout
    assert ("broken" in result.stdout) == is_failed


def test_days_and_moments_are_of_the_zone(tmp_path):
    run = write_run(tmp_path / "run")
    (tmp_path / "posts.csv").write_text("file,time\na.jpg,2026-01-31T23:30:00+00:00\n")

    def units(*options):
        result = call(
            run, "--json", "-q", "--no-html", "--tables", "none", "--metadata", tmp_path / "posts.csv", *options
        )
        assert result.exit_code == 0, result.exception
        return orjson.loads(result.stdout)["totals"][0]["units"]

    assert units("--until", "2026-01-31") == 1
    assert units("--until", "2026-01-31", "--tz", "Europe/Berlin") == 0
    assert units("--since", "2026-02-01", "--tz", "Europe/Berlin") == 1
    assert units("--until", "2026-01-31T23:30") == 0
    assert units("--since", "2026-01-31T23:30Z", "--until", "2026-02-01T01:00+01:00") == 1
    assert units("--where", "source=a.*", "--where", "source=x") == 1
    assert units("--where", "account=ann") == 0


def test_errors_are_for_the_app_to_tell(tmp_path):
    assert isinstance(call(tmp_path).exception, RecordError)
    run = write_run(tmp_path / "run")
    for arguments in (
        *((run, run / "." / "."), (run, run / "detections.jsonl")),
        *((run, "--compare"), (run, "--where", "x=y"), (run, "--where", "label"), (run, "--tables", "xml")),
        *((run, "--since", "soon"), (run, "--since", "2026-02-30"), (run, "--tz", "Mars/Olympus")),
        *((run, "--since", "2026-02-01", "--until", "2026-01-01"), (run, "--threshold", "0.05")),
    ):
        result = call(*arguments)
        assert isinstance(result.exception, UsageError), (arguments, result.exception)
    (tmp_path / "file").write_text("")
    assert isinstance(call(run, "-o", tmp_path / "file").exception, OutputError)
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    assert isinstance(call(run, "-o", tmp_path / "out").exception, OutputError)
    assert call().exit_code == 2
    assert call(run, "--top", 0).exit_code == 2


def test_a_threshold_that_is_too_low_is_exit_code_2_and_names_the_lowest(tmp_path):
    run = write_run(tmp_path, info={"settings": {"threshold": 0.5, "record_threshold": 0.3}})
    command = [sys.executable, "-m", "ovdet_cli", "report", str(run), "--threshold", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "the lowest usable one is 0.3" in done.stderr
    assert "Traceback" not in done.stderr
    assert any(command.name == "report" for command in whole_app.registered_commands)


def test_bars_and_percents():
    assert [bar(share, 4) for share in (0, 1e-9, 0.125, 0.5, 1, 7)] == ["", "▏", "▌", "██", "████", "████"]
    assert [percent(share) for share in (None, float("nan"), 0, 0.0001, 0.1234, 1)] == [
        *("", "", "0.0 %", "< 0.1 %", "12.3 %", "100.0 %")
    ]


def test_importing_the_command_loads_no_heavy_package():
    heavy = ("pandas", "torch", "numpy", "duckdb", "pyarrow", "jinja2", "cv2")
    code = f"import sys, ovdet_cli.cli.report; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_long_names_are_cut_on_the_terminal_alone(tmp_path):
    name = "ab" * 150
    result = call(write_run(tmp_path, [name, "dog"]))
    assert name not in result.stdout
    assert f"{name[:59]}…" in result.stdout
    assert name in (tmp_path / "report" / "labels.csv").read_text()
    assert printable("\u200d\u202e") == "\u200d\\u202e"
