import subprocess
import sys

import orjson
import pytest
import typer
from typer.testing import CliRunner

from ovdet_cli.cli.report import report
from ovdet_cli.errors import RecordError, UsageError
from ovdet_cli.frame import Failure
from ovdet_cli.results.jsonl import JsonlSink
from tests.wild_records import blank_frame, two_finds

app = typer.Typer()
app.command()(report)


def write_run(folder, labels=("cat", "dog"), source="a.jpg"):
    with JsonlSink(folder / "detections.jsonl", labels) as sink:
        sink.write(blank_frame(source), two_finds(has_masks=True))
        sink.skip(Failure("b.jpg", "broken"))
    return folder


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_tables_go_to_stdout_talk_to_stderr_and_csv_into_the_run(tmp_path):
    result = call(write_run(tmp_path))
    assert result.exit_code == 0, result.output
    for text in ("Labels (2)", "cat", "dog", "Sources (2)", "Failures (1)", "broken", "coverage"):
        assert text in result.stdout
    assert result.stderr.replace("\n", "") == (
        f"wrote labels.csv, sources.csv, failures.csv, totals.csv, parents.csv to {tmp_path / 'report'}"
    )
    assert len(list((tmp_path / "report").iterdir())) == 5


def test_output_says_where_and_quiet_says_nothing(tmp_path):
    result = call(write_run(tmp_path / "run"), "-o", tmp_path / "tables", "-q")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert (tmp_path / "tables" / "labels.csv").exists()
    assert not (tmp_path / "run" / "report").exists()


def test_a_records_file_is_as_good_as_its_folder(tmp_path):
    assert call(write_run(tmp_path) / "detections.jsonl").exit_code == 0
    assert (tmp_path / "report" / "labels.csv").exists()


def test_json_is_whole_and_alone_on_stdout(tmp_path):
    result = call(write_run(tmp_path), "--json", "--top", 1)
    tables = orjson.loads(result.stdout)
    assert list(tables) == ["labels", "sources", "failures", "totals", "parents"]
    assert tables["labels"][0] == {
        "label": "cat",
        "detections": 1,
        "frames": 1,
        "share": 1.0,
        "score_min": 0.9,
        "score_q25": 0.9,
        "score_median": 0.9,
        "score_q75": 0.9,
        "score_max": 0.9,
        "first_source": "a.jpg",
    }
    assert len(tables["labels"]) == 2
    assert tables["sources"][1]["top_label"] is None
    assert tables["failures"] == [{"source": "b.jpg", "index": 0, "error": "broken"}]
    assert tables["totals"][0]["pictures"] == 1


def test_top_limits_what_is_printed_and_says_so(tmp_path):
    result = call(write_run(tmp_path), "--top", 1)
    assert "Labels (the first 1 of 2)" in result.stdout
    assert "dog" not in result.stdout
    assert "dog" in (tmp_path / "report" / "labels.csv").read_text()


@pytest.mark.parametrize("label", ["[red]", "[/b]", "a[b]", "[link=x]y"])
def test_markup_in_names_is_shown_as_it_is(tmp_path, label):
    result = call(write_run(tmp_path, [label, "dog"], f"{label}.jpg"))
    assert result.exit_code == 0, result.exception
    assert f"\n{label} " in result.stdout
    assert f"{label}.jpg" in result.stdout


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path):
    result = call(write_run(tmp_path, ["\x1b[31mred\nline", "dog"]))
    assert "\x1b" not in result.stdout
    assert r"\x1b[31mred\nline" in result.stdout


def test_several_runs(tmp_path):
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    result = call(one, two)
    assert result.exit_code == 0
    assert "one/a.jpg" in result.stdout
    assert result.stderr == ""
    assert not (one / "report").exists()
    assert call(one, two, "-o", tmp_path / "both").exit_code == 0
    assert (tmp_path / "both" / "totals.csv").exists()


def test_an_empty_run(tmp_path):
    JsonlSink(tmp_path / "detections.jsonl", []).close()
    result = call(tmp_path)
    assert result.exit_code == 0, result.exception
    assert "Labels (0)" in result.stdout


def test_errors_are_for_the_app_to_tell(tmp_path):
    assert isinstance(call(tmp_path).exception, RecordError)
    run = write_run(tmp_path)
    assert isinstance(call(run, run / "." / ".").exception, UsageError)
    assert call().exit_code == 2
    assert call(run, "--top", 0).exit_code == 2


def test_importing_the_command_loads_no_heavy_package():
    code = "import sys, ovdet_cli.cli.report; print([m for m in ('pandas', 'torch', 'numpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
