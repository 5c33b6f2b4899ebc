from collections import Counter, defaultdict

import numpy as np
import pytest

from ovdet_cli.analysis import groups
from ovdet_cli.analysis.intervals import wilson
from ovdet_cli.analysis.labels import label_table
from tests.analysis.store_of import Asked, open_store, record, write_run

TABLES = {"account": groups.account_table, "tag": groups.tag_table, "folder": groups.folder_table}


def names_of(feed, unit, key):
    """The groups that a unit is in."""
    if key == "account":
        return {feed.account_of(unit)} - {None}
    if key == "folder":
        return {feed.units[unit][0].rpartition("/")[0]}
    return {tag for source in feed.units[unit] for tag in feed.posts[source]["tags"]}


@pytest.mark.parametrize("key", TABLES)
def test_groups_count_their_units(wild, key):
    feed, store = wild
    units, units_with, detections, held, likes = Counter(), Counter(), Counter(), defaultdict(Counter), {}
    for unit, sources in feed.units.items():
        labels = [label for r, label, *_ in feed.found if r["source"] in sources]
        given = [like for s in sources if (like := feed.posts[s].get("likes")) is not None]
        for name in names_of(feed, unit, key):
            units[name] += 1
            units_with[name] += bool(labels)
            detections[name] += len(labels)
            held[name].update(set(labels))
            if given:
                likes[name] = likes.get(name, 0) + max(given)
    rows = TABLES[key](store).to_pylist()
    assert [row[key] for row in rows] == sorted(units, key=lambda name: (-units[name], name.encode()))
    for row in rows:
        name = row[key]
        assert (row["units"], row["units_with"], row["detections"]) == (units[name], units_with[name], detections[name])
        best = max(held[name].values(), default=0)
        assert row["top_label"] is None if not best else held[name][row["top_label"]] == best
        if key == "account":
            assert row["likes"] == likes.get(name)


def test_parents_roll_up_and_a_cycle_ends(wild):
    feed, store = wild
    parents = {"cat": ["pet"], "it's": ["pet", "thing"], "pet": ["animal"], "animal": ["pet"], "rare": ["cat"]}
    below = {
        "pet": {"cat", "it's", "rare"},
        "animal": {"cat", "it's", "rare"},
        "thing": {"it's"},
        "cat": {"cat", "rare"},
    }
    rows = {row["parent"]: row for row in groups.parent_table(store, parents).to_pylist()}
    ids = groups.labels_of_parents(store)
    names = dict(store.rows("SELECT label_id, name FROM label"))
    for parent, labels in below.items():
        found = [(r, label) for r, label, *_ in feed.found if label in labels]
        if not found:
            assert parent not in rows
            continue
        row, units = rows[parent], {feed.unit_of(r["source"]) for r, _ in found}
        assert (row["units"], row["detections"]) == (len(units), len(found))
        assert row["frames"] == len({id(r) for r, _ in found})
        assert row["labels"] == len({label for _, label in found})
        assert {names[label_id] for label_id in ids[parent]} == {label for _, label in found}
        interval = wilson([len(units)], len(feed.units))
        assert [row[name] for name in ("share", "low", "high")] == pytest.approx(
            [len(units) / len(feed.units), interval.low[0], interval.high[0]]
        )


def test_without_parents_there_is_no_row(wild):
    _, store = wild
    assert groups.parent_table(store, {}).num_rows == 0
    assert groups.labels_of_parents(store) == {}


def test_pairs_are_units_that_hold_both(wild):
    feed, store = wild
    counts = groups.pair_counts(store, label_table(store))
    names = feed.ordered
    expected = [[len(feed.held[a] & feed.held[b]) for b in names] for a in names]
    assert counts.tolist() == expected


def test_pairs_of_the_first_thirty_labels_and_of_none(tmp_path):
    run = write_run(tmp_path, record("a.jpg", *[(f"{i:03d}", 0.9) for i in range(40)]), record("b.jpg", ("000", 0.9)))
    with open_store(Asked(), run) as (store, _):
        counts = groups.pair_counts(store, label_table(store))
        assert counts.shape == (30, 30)
        assert counts[0, 0] == 2
        assert (counts.sum(), counts.max()) == (901, 2)
    with open_store(Asked(), write_run(tmp_path / "none", record("a.jpg"))) as (store, _):
        assert groups.pair_counts(store, label_table(store)).shape == (0, 0)


def test_files_at_the_root_have_no_folder_and_huge_likes_no_sum(tmp_path):
    posts = {name: {"account": "ann", "likes": 2**62} for name in ("a.jpg", "b.jpg")}
    with open_store(Asked(posts), write_run(tmp_path, record("a.jpg"), record("b.jpg"))) as (store, _):
        assert groups.folder_table(store)["folder"].to_pylist() == [""]
        assert groups.account_table(store)["likes"].to_pylist() == [None]
        assert np.isnan(groups.parent_table(store, {"a": ["b"]})["share"].to_numpy()).sum() == 0
