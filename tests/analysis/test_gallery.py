from collections import defaultdict

import numpy as np

from ovdet_cli.analysis.cuts import RunCuts
from ovdet_cli.analysis.gallery import choose_frames, top_units
from ovdet_cli.analysis.labels import label_table
from tests.analysis.store_of import Asked, open_store, record, video, write_run
from tests.analysis.wild_feed import CUT


def spots_of(feed, label, key):
    """Spot -> the lowest key of its detections: pictures, and every five seconds of a video."""
    spots = {}
    for r in feed.ok:
        spot = (r["source"], None if r["time_s"] is None else r["time_s"] // 5)
        for d in r["detections"]:
            if d["label"] == label and (value := key(np.float32(d["score"]))) is not None:
                spots[spot] = min(spots.get(spot, np.inf), value)
    return spots


def test_surest_and_unsure_are_the_best_of_their_spots(wild):
    feed, store = wild
    chosen = choose_frames(store, label_table(store), 200, 4)
    assert list(chosen) == list(range(len(feed.ordered)))
    cut = np.float32(CUT)
    for i, label in enumerate(feed.ordered):
        for frames, key in (
            (chosen[i].surest, lambda score: -score if score > cut else None),
            (chosen[i].unsure, lambda score: abs(score - cut)),
        ):
            expected = sorted(spots_of(feed, label, key).values())[:4]
            got = [
                min(
                    value
                    for d in feed.records[frame]["detections"]
                    if d["label"] == label and (value := key(np.float32(d["score"]))) is not None
                )
                for frame in frames
            ]
            np.testing.assert_allclose(got, expected, atol=1e-6)
            assert len(set(frames)) == len(frames)


def test_random_ones_hold_the_label_and_are_the_same_each_time(wild):
    feed, store = wild
    table = label_table(store)
    first, second = (choose_frames(store, table, 200, 4) for _ in range(2))
    assert first == second
    for i, label in enumerate(feed.ordered):
        sources = {feed.records[frame]["source"] for frame in first[i].random}
        assert sources <= {r["source"] for r, name, *_ in feed.found if name == label}
        assert len(first[i].random) == min(4, len(spots_of(feed, label, lambda s: 0 if s > np.float32(CUT) else None)))


def test_random_is_not_the_first_ones(tmp_path):
    with open_store(Asked(), write_run(tmp_path, *(record(f"{i}", ("cat", 0.9)) for i in range(400)))) as (store, _):
        picked = choose_frames(store, label_table(store), 1, 100)[0].random
    assert 150 < np.mean(picked) < 250


def test_far_scores_are_unsure_where_no_others_are(tmp_path):
    records = [record(f"{i}", ("cat", 0.31 if i < 3 else 0.9 - i / 100), ("dog", 0.95)) for i in range(9)]
    with open_store(Asked(cuts=(RunCuts("r", 0.3),)), write_run(tmp_path, *records)) as (store, _):
        chosen = choose_frames(store, label_table(store), 2, 5)
    assert chosen[0].unsure == [0, 1, 2, 8, 7]
    assert chosen[1].unsure == [0, 1, 2, 3, 4]


def test_without_a_threshold_none_is_unsure_and_odd_scores_are_no_error(tmp_path):
    records = [record("a", ("cat", 7.0)), record("b", ("cat", -3.0)), *video("v", (1e9, ("cat", 0.5)), (-7.0,))]
    with open_store(Asked(), write_run(tmp_path, *records)) as (store, _):
        chosen = choose_frames(store, label_table(store), 5, 5)[0]
    assert (chosen.surest, chosen.unsure, sorted(chosen.random)) == ([0, 2, 1], [], [0, 1, 2])


def test_nothing_is_chosen_of_nothing(wild, tmp_path):
    _, store = wild
    assert choose_frames(store, label_table(store), 200, 0) == {}
    with open_store(Asked(), write_run(tmp_path, record("a"))) as (empty, _):
        assert choose_frames(empty, label_table(empty), 200, 4) == {}
        assert top_units(empty, label_table(empty), 200, 4) == {}


def test_top_units_are_the_most_liked_that_hold_the_label(wild):
    feed, store = wild
    keys = dict(store.rows("SELECT unit_id, key FROM unit"))
    top = top_units(store, label_table(store), 200, 3)
    best = defaultdict(float)
    for r, label, score, _ in feed.found:
        best[label, feed.unit_of(r["source"])] = max(best[label, feed.unit_of(r["source"])], float(score))

    def rank(label, unit):
        likes = [like for s in feed.units[unit] if (like := feed.posts[s].get("likes")) is not None]
        return -max(likes, default=-1), -best[label, unit]

    for i, label in enumerate(feed.ordered):
        expected = sorted(rank(label, unit) for unit in feed.held[label])[:3]
        assert [rank(label, keys[unit_id]) for unit_id in top[i]] == expected
