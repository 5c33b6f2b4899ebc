import numpy as np
import pytest

from ovdet_cli.analysis.cuts import RunCuts
from ovdet_cli.errors import UsageError
from tests.analysis.store_of import Asked, open_store, record, video, write_run

FOUND = "SELECT l.name, round(score::DOUBLE, 2) FROM found JOIN label l USING (label_id) ORDER BY ALL"
PRESENCE = "SELECT unit_id, l.name, num, round(best::DOUBLE, 2), frame_id FROM presence JOIN label l USING (label_id)"


def found(asked, *runs):
    with open_store(asked, *runs) as (store, _):
        return store.rows(FOUND)


def test_what_counts_is_what_plain_python_counts(wild):
    feed, store = wild
    rows = store.rows("SELECT frame_id, l.name, score FROM found JOIN label l USING (label_id)")
    places = {id(r): i for i, r in enumerate(feed.records)}
    assert sorted(rows) == sorted((places[id(r)], label, float(score)) for r, label, score, _ in feed.found)


def test_presence_is_by_unit_with_the_frame_that_shows_it_best(wild):
    feed, store = wild
    expected = {}
    for r, label, score, _ in feed.found:
        num, best = expected.get((feed.unit_of(r["source"]), label), (0, 0))
        expected[feed.unit_of(r["source"]), label] = num + 1, max(best, float(score))
    rows = store.rows(
        """SELECT u.key, l.name, num, best, frame_id FROM presence JOIN unit u USING (unit_id)
        JOIN label l USING (label_id)"""
    )
    assert {(key, label): (num, best) for key, label, num, best, _ in rows} == expected
    for key, label, _, best, frame_id in rows:
        shown = feed.records[frame_id]
        assert feed.unit_of(shown["source"]) == key
        assert any(d["label"] == label and np.float32(d["score"]) == np.float32(best) for d in shown["detections"])


def test_a_score_must_exceed_the_threshold_in_float32(tmp_path):
    run = write_run(tmp_path, record("a.jpg", ("cat", 0.3), ("dog", float(np.nextafter(np.float32(0.3), 1)))))
    assert [name for name, _ in found(Asked(cuts=(RunCuts("r", 0.3),)), run)] == ["dog"]


def test_classes_and_runs_have_thresholds_of_their_own_unless_one_is_asked_for(tmp_path):
    runs = [write_run(tmp_path / name, record("a.jpg", ("cat", 0.4), ("dog", 0.6))) for name in "ab"]
    cuts = (RunCuts("a", 0.3, {"cat": 0.5, "bird": 0.1}, 0.1), RunCuts("b", 0.5, {"dog": 0.7}, 0.1))
    assert found(Asked(cuts=cuts), *runs) == [("dog", 0.6)]
    assert found(Asked(cuts=cuts, threshold=0.35), *runs) == [("cat", 0.4)] * 2 + [("dog", 0.6)] * 2
    assert found(Asked(cuts=cuts, threshold=0.35, labels=("dog", "nowhere")), *runs) == [("dog", 0.6)] * 2


def test_without_any_threshold_all_that_was_recorded_counts(tmp_path):
    run = write_run(tmp_path, record("a.jpg", ("cat", 0.0), ("cat", -1.0)))
    assert len(found(Asked(), run)) == 2


@pytest.mark.parametrize(
    ("cuts", "told"),
    [
        (RunCuts("r", 0.5, recorded=0.25), "too low for r: the lowest usable one is 0.25; nothing weaker was recorded"),
        (RunCuts("r"), "the lowest usable one is 0.456; its weakest detection"),
    ],
)
def test_a_threshold_below_what_was_recorded_is_an_error_that_names_the_lowest(tmp_path, cuts, told):
    run = write_run(tmp_path, record("a.jpg", ("cat", 0.4567)))
    with pytest.raises(UsageError, match=told):
        found(Asked(cuts=(cuts,), threshold=0.2), run)
    assert found(Asked(cuts=(cuts,), threshold=0.456), run) == [("cat", 0.46)]


def test_of_a_run_that_found_nothing_any_threshold_is_usable(tmp_path):
    assert found(Asked(threshold=0.01), write_run(tmp_path, record("a.jpg"))) == []


@pytest.mark.parametrize("is_video", [False, True])
def test_presence_of_single_frames_and_of_many(tmp_path, is_video):
    records = video("v", (0.0, ("cat", 0.5)), (1.0, ("cat", 0.9), ("cat", 0.7))) if is_video else []
    run = write_run(tmp_path, *records, record("a.jpg", ("cat", 0.5), ("cat", 0.6)))
    with open_store(Asked(), run) as (store, _):
        expected = [(0, "cat", 3, 0.9, 1), (1, "cat", 2, 0.6, 2)] if is_video else [(0, "cat", 2, 0.6, 0)]
        assert store.rows(f"{PRESENCE} ORDER BY ALL") == expected
