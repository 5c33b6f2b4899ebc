from collections import Counter, defaultdict

import numpy as np
import pytest

from ovdet_cli.analysis.intervals import ratio_of_sums, wilson
from ovdet_cli.analysis.labels import RARE_UNITS, label_shapes, label_table
from tests.analysis.store_of import Asked, open_store, record, video, write_run
from tests.analysis.wild_feed import DAY_US


def test_shares_are_of_units_with_wilsons_interval(wild):
    feed, store = wild
    columns = label_table(store).columns
    assert list(columns["label"]) == feed.ordered
    units = np.array([len(feed.held[label]) for label in feed.ordered])
    assert columns["units"].tolist() == units.tolist()
    np.testing.assert_allclose(columns["share"], units / len(feed.units))
    interval = wilson(units, len(feed.units))
    np.testing.assert_allclose(columns["low"], interval.low)
    np.testing.assert_allclose(columns["high"], interval.high)


def test_counts_and_scores_are_those_of_numpy(wild):
    feed, store = wild
    columns = label_table(store).columns
    for i, label in enumerate(feed.ordered):
        own = [(r, score, box) for r, name, score, box in feed.found if name == label]
        assert columns["detections"][i] == len(own)
        assert columns["frames"][i] == len({id(r) for r, *_ in own})
        scores = np.array([score for _, score, _ in own], np.float64)
        names = ("score_min", "score_q25", "score_median", "score_q75", "score_max")
        np.testing.assert_allclose(
            [columns[name][i] for name in names], np.quantile(scores, [0, 0.25, 0.5, 0.75, 1]), rtol=1e-5
        )
        areas = [(b[2] - b[0]) * (b[3] - b[1]) / 1e4 for _, _, b in own]
        assert columns["size_median"][i] == pytest.approx(np.median(areas), rel=1e-4)
        assert columns["first_source"][i] == own[0][0]["source"]


def test_first_and_last_times_are_those_of_its_units(wild):
    feed, store = wild
    columns = label_table(store).columns
    for i, label in enumerate(feed.ordered):
        times = [time for unit in feed.held[label] if (time := feed.time_of(unit)) is not None]
        got = [None if np.ma.is_masked(columns[name][i]) else columns[name][i] for name in ("first_us", "last_us")]
        assert got == ([min(times), max(times)] if times else [None, None])


def test_minutes_are_the_time_that_frames_stand_for(wild):
    feed, store = wild
    columns = label_table(store).columns
    weights = feed.weights()
    x, y = defaultdict(float), defaultdict(lambda: defaultdict(float))
    for (source, _), weight in weights.items():
        x[source] += weight / 60
    for r in feed.ok:
        for label in {name for own, name, *_ in feed.found if own is r and r["time_s"] is not None}:
            y[label][r["source"]] += weights[r["source"], r["index"]] / 60
    for i, label in enumerate(feed.ordered):
        pairs = [(y[label][source], x[source]) for source in x]
        sums = [sum(b) for b in zip(*((a, a * a, a * b, b, b * b) for a, b in pairs), strict=True)]
        ratio = ratio_of_sums(*sums, len(x))
        got = [columns[name][i] for name in ("minutes", "minutes_share", "minutes_low", "minutes_high")]
        np.testing.assert_allclose(got, [sums[0], ratio.share, ratio.low, ratio.high], rtol=1e-9, atol=1e-12)


def test_shapes_count_scores_places_and_sizes(wild):
    feed, store = wild
    table = label_table(store)
    shapes = label_shapes(store, table)
    for i, label in enumerate(feed.ordered):
        own = [(score, np.float32(np.array(box) / 100)) for _, name, score, box in feed.found if name == label]
        scores = Counter(min(int(np.float32(20) * score), 19) for score, _ in own)
        assert shapes.scores[i].tolist() == [scores[k] for k in range(20)]
        places = Counter(min(int(3 * (b[0] + b[2]) / 2), 2) + 3 * min(int(3 * (b[1] + b[3]) / 2), 2) for _, b in own)
        assert shapes.places[i].tolist() == [places[k] for k in range(9)]
        edges = np.array([0.01, 0.04, 0.16, 0.5])
        sizes = Counter(int(((b[2] - b[0]) * (b[3] - b[1]) >= edges).sum()) for _, b in own)
        assert shapes.sizes[i].tolist() == [sizes[k] for k in range(5)]


def test_of_a_run_without_anything_the_table_is_empty(tmp_path):
    for records in ([], [record("a.jpg", error="broken")], [record("a.jpg")]):
        with open_store(Asked(), write_run(tmp_path / str(len(records)), *records)) as (store, _):
            table = label_table(store)
            assert len(table) == 0
            assert label_shapes(store, table).scores.shape == (0, 20)


def test_new_labels_come_late_and_rare_ones_in_few_units(tmp_path):
    run = write_run(tmp_path, *(record(f"{i}.jpg", ("cat", 0.9), *[("new", 0.9)] * (i >= 38)) for i in range(40)))
    posts = {f"{i}.jpg": {"time_us": i * DAY_US} for i in range(40)}
    with open_store(Asked(posts), run) as (store, _):
        columns = label_table(store).columns
        assert columns["is_new"].tolist() == [False, True]
        assert columns["is_rare"].tolist() == [False, RARE_UNITS >= 2]
    with open_store(Asked({name: {"time_us": 5} for name in posts}), run) as (store, _):
        assert not label_table(store).columns["is_new"].any()


def test_a_video_of_one_frame_has_no_minutes(tmp_path):
    with open_store(Asked(), write_run(tmp_path, *video("v", (2.0, ("cat", 0.9))))) as (store, _):
        assert label_table(store).columns["minutes"] is None


def test_pictures_without_a_size_have_scores_but_no_places(tmp_path):
    nameless = {**record("a.jpg", ("cat", 0.9)), "width": None, "height": None}
    with open_store(Asked(), write_run(tmp_path, nameless)) as (store, _):
        table = label_table(store)
        shapes = label_shapes(store, table)
        assert np.ma.is_masked(table.columns["size_median"][0])
        assert (shapes.scores.sum(), shapes.places.sum(), shapes.sizes.sum()) == (1, 0, 0)


def test_many_labels_and_one_with_very_many_boxes(tmp_path):
    many = [(f"label {i}", 0.5) for i in range(21_000)]
    run = write_run(tmp_path, record("a.jpg", *many), record("b.jpg", *[("label 7", 0.5)] * 50_000))
    with open_store(Asked(), run) as (store, _):
        table = label_table(store)
        assert len(table) == 21_000
        assert table.columns["label"][0] == "label 7"
        assert table.columns["detections"][0] == 50_001
        assert label_shapes(store, table).scores.sum() == 71_000
