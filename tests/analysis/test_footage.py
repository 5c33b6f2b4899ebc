from collections import defaultdict

import pytest

from ovdet_cli.analysis.footage import JOINED_S, band_table, video_table
from tests.analysis.store_of import Asked, open_store, record, video, write_run


def bands_of(feed):
    """(source, label) -> [start, end, frames, best score], by walking through the frames."""
    weights = feed.weights()
    seen = defaultdict(dict)
    for r, label, score, _ in feed.found:
        if r["time_s"] is not None:
            key = (r["time_s"], r["index"])
            seen[r["source"], label][key] = max(seen[r["source"], label].get(key, 0), float(score))
    bands = {}
    for (source, label), frames in seen.items():
        own = []
        for (time, index), best in sorted(frames.items()):
            until = time + weights[source, index]
            if own and time <= own[-1][1] + JOINED_S:
                own[-1] = [own[-1][0], until, own[-1][2] + 1, max(own[-1][3], best)]
            else:
                own.append([time, until, 1, best])
        bands[source, label] = own
    return bands


def test_bands_are_those_of_a_walk_through_the_frames(wild):
    feed, store = wild
    found = defaultdict(list)
    for row in band_table(store).to_pylist():
        found[row["source"], row["label"]].append([row[n] for n in ("start_s", "end_s", "frames", "best_score")])
        shown = feed.records[row["frame_id"]]
        assert (shown["source"], shown["time_s"]) == (row["source"], row["best_s"])
    expected = bands_of(feed)
    assert found.keys() == expected.keys()
    for key, bands in expected.items():
        assert [v for band in found[key] for v in band] == pytest.approx([v for band in bands for v in band])


def test_bands_of_some_videos(wild):
    _, store = wild
    rows = band_table(store).to_pylist()
    chosen = sorted({row["source_id"] for row in rows})[:2]
    assert band_table(store, chosen).to_pylist() == [row for row in rows if row["source_id"] in chosen]
    assert band_table(store, []).num_rows == 0


def test_a_thing_missed_for_a_moment_has_not_left(tmp_path):
    cat = ("cat", 0.5)
    frames = [(0.0, cat), (0.5,), (1.0,), (1.5, cat), (2.0,), (2.5,), (3.0,), (3.5,), (4.0, ("cat", 0.9)), (4.5, cat)]
    with open_store(Asked(), write_run(tmp_path, *video("v", *frames), *video("w", (7.0, cat)))) as (store, _):
        rows = band_table(store).to_pylist()
    got = [[row[name] for name in ("source", "start_s", "end_s", "frames", "best_s")] for row in rows]
    assert got == [["v", 0.0, 2.0, 2, 0.0], ["v", 4.0, 5.0, 2, 4.0], ["w", 7.0, 7.0, 1, 7.0]]


def test_videos_with_most_found_come_first(wild):
    feed, store = wild
    weights = feed.weights()
    expected = []
    for source in dict.fromkeys(r["source"] for r in feed.ok if r["time_s"] is not None):
        own = sorted((r["time_s"], weights[source, r["index"]]) for r in feed.ok if r["source"] == source)
        duration = max(time + weight for time, weight in own) - own[0][0]
        found = sum(r["source"] == source for r, *_ in feed.found)
        expected.append((source, len(own), own[0][0], duration, sum(w for _, w in own) / 60, found))
    expected.sort(key=lambda row: -row[-1])
    rows = [tuple(row.values())[1:] for row in video_table(store).to_pylist()]
    assert [row[0] for row in rows] == [row[0] for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert row[1:] == pytest.approx(wanted[1:])


def test_pictures_have_no_bands(tmp_path):
    with open_store(Asked(), write_run(tmp_path, record("a.jpg", ("cat", 0.9)))) as (store, _):
        assert band_table(store).num_rows == video_table(store).num_rows == 0
