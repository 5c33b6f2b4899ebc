from collections import Counter, defaultdict

import pytest

from ovdet_cli.analysis.summary import RunFacts, failure_reasons, failure_table, source_table, totals
from tests.analysis.store_of import Asked, open_store, record, video, write_run


def test_totals_are_those_of_plain_python(wild):
    feed, store = wild
    got = totals(store)
    times = [time for unit in feed.units if (time := feed.time_of(unit)) is not None]
    units_with = set().union(*feed.held.values())
    failed = [r for r in feed.records if r["status"] == "error"]
    minutes = got.pop("video_minutes")
    assert minutes == pytest.approx(sum(feed.weights().values()) / 60)
    assert got == {
        "units": len(feed.units),
        "units_with": len(units_with),
        "pictures": sum(r["time_s"] is None for r in feed.ok),
        "videos": len({r["source"] for r in feed.ok if r["time_s"] is not None}),
        "video_frames": sum(r["time_s"] is not None for r in feed.ok),
        "detections": len(feed.found),
        "labels": len(feed.held),
        "accounts": len({feed.account_of(unit) for unit in feed.units} - {None}),
        "files": len({r["source"] for r in feed.records}),
        "failed_files": len({r["source"] for r in failed}),
        "failed": len(failed),
        "coverage": len(units_with) / len(feed.units),
        "first_us": min(times),
        "last_us": max(times),
    }


def test_nothing_has_no_coverage(tmp_path):
    with open_store(Asked(), write_run(tmp_path, record("a", error="broken"))) as (store, _):
        got = totals(store)
    assert (got["units"], got["coverage"], got["files"], got["failed_files"], got["first_us"]) == (0, None, 1, 1, None)


def test_sources_and_failures_are_listed_in_order(wild):
    feed, store = wild
    labels, frames, failed = defaultdict(Counter), Counter(), Counter()
    for r in feed.records:
        frames[r["source"]] += 1
        failed[r["source"]] += r["status"] == "error"
    for r, label, *_ in feed.found:
        labels[r["source"]][label] += 1
    rows = source_table(store).to_pylist()
    assert [row["source"] for row in rows] == list(frames)
    for row in rows:
        own = labels[row["source"]]
        assert (row["frames"], row["failed"]) == (frames[row["source"]], failed[row["source"]])
        assert (row["detections"], row["labels"]) == (own.total(), len(own))
        assert row["top_label"] is None if not own else own[row["top_label"]] == max(own.values())
    errors = [(r["source"], r["index"], r["error"]) for r in feed.records if r["status"] == "error"]
    assert [tuple(row.values()) for row in failure_table(store).to_pylist()] == errors


def test_failures_of_one_reason_are_one_row(tmp_path):
    records = [record(f"{i}.jpg", error=f"/data/{i}.jpg: cut short after {100 + i} bytes") for i in range(5)]
    records += [record("", error="'x' is none"), record("it's", error="'y' is none"), record("no", error="")]
    records += [r if i else record("v", index=i, time_s=0.0, error="cut") for i, r in enumerate(video("v", (0.0,)))]
    records.append(record("v", index=2, time_s=2.0, error="cut"))
    with open_store(Asked(), write_run(tmp_path, *records)) as (store, _):
        reasons = failure_reasons(store)
        few = failure_reasons(store, 1)
    assert [(row["reason"], row["files"]) for row in reasons] == [
        ("/data/FILE: cut short after … bytes", 5),
        ("… is none", 2),
        ("", 1),
        ("cut", 1),
    ]
    assert reasons[0]["examples"] == ["0.jpg", "1.jpg", "2.jpg"]
    assert reasons[3]["examples"] == ["v"]
    assert few == reasons[:1]


def facts(**settings):
    return RunFacts("r", "r", {"settings": settings})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, None),
        ({"every": 1, "fps": None, "keyframes": False, "scenes": False, "skip_similar": None}, None),
        ({"every": 5}, "every 5th frame"),
        ({"every": 1, "fps": 1.0}, "1 frames a second"),
        ({"keyframes": True}, "keyframes"),
        ({"scenes": True, "every": 1}, "a frame a shot"),
        ({"fps": 0.5, "skip_similar": 3}, "0.5 frames a second, frames that change (--skip-similar)"),
        ({"fps": "many", "every": ["x"], "keyframes": "yes"}, None),
    ],
)
def test_sampling_is_told_in_words(settings, told):
    assert facts(**settings).sampling == told


@pytest.mark.parametrize("info", [{}, {"settings": None, "vocabulary": None}, {"settings": [1], "vocabulary": "x"}])
def test_of_a_run_that_tells_nothing_nothing_is_known(info):
    run = RunFacts("r", "r", info)
    assert (run.threshold, run.recorded, run.of_label, run.classes, run.sampling) == (None, None, {}, [], None)


def test_thresholds_of_a_run_and_of_its_classes():
    run = RunFacts(
        *("r", "r"),
        {
            "settings": {"threshold": 0.5, "record_threshold": 0.1},
            "vocabulary": {
                "classes": [{"name": "cat", "threshold": 0.7}, {"name": "dog", "threshold": True}, {"name": 5}, "x"]
            },
        },
    )
    assert (run.threshold, run.recorded, run.of_label) == (0.5, 0.1, {"cat": 0.7})
    assert facts(threshold=0.5).recorded == 0.5
    assert facts(threshold="0.5").threshold is None
