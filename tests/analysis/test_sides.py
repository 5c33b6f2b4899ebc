import numpy as np
import pytest

from ovdet_cli.analysis.comparing import compare_independent, compare_paired
from ovdet_cli.analysis.labels import label_table
from ovdet_cli.analysis.sides import compare_runs, compare_spans, middle_of_time
from tests.analysis.store_of import Asked, open_store, record, write_run
from tests.analysis.wild_feed import DAY_US


def same(comparison, expected):
    for name in ("a", "b", "difference", "low", "high", "p", "q"):
        np.testing.assert_allclose(getattr(comparison, name), getattr(expected, name), err_msg=name)
    assert comparison.verdict.tolist() == expected.verdict.tolist()


def test_spans_are_compared_by_units_before_and_after(wild):
    feed, store = wild
    split = 12 * DAY_US
    sides = compare_spans(store, label_table(store), split)
    times = {unit: feed.time_of(unit) for unit in feed.units}
    before = {unit for unit, time in times.items() if time is not None and time < split}
    after = {unit for unit, time in times.items() if time is not None and time >= split}
    assert sides.units == (len(before), len(after))
    ka, kb = ([len(feed.held[label] & side) for label in feed.ordered] for side in (before, after))
    same(sides.comparison, compare_independent(ka, len(before), kb, len(after)))


def test_the_middle_is_that_of_the_time_spanned(wild):
    feed, store = wild
    times = [time for unit in feed.units if (time := feed.time_of(unit)) is not None]
    assert middle_of_time(store) == (min(times) + max(times)) // 2


@pytest.mark.parametrize("times", [[], [5], [0, 7_199_999_999]])
def test_of_less_than_two_hours_there_is_no_middle(tmp_path, times):
    run = write_run(tmp_path, *(record(f"{i}") for i in range(len(times))))
    with open_store(Asked({f"{i}": {"time_us": time} for i, time in enumerate(times)}), run) as (store, _):
        assert middle_of_time(store) is None


def two_runs(tmp_path, common, alone=0):
    """The first run finds cats in even files, the second in every third; `alone` files are only in the second."""
    rng = range(common)
    one = write_run(tmp_path / "one", *(record(f"{i}", *[("cat", 0.9)] * (i % 2 == 0), ("dog", 0.9)) for i in rng))
    two = write_run(
        tmp_path / "two",
        *(record(f"{i}", *[("cat", 0.9), ("cat", 0.8)] * (i % 3 == 0)) for i in range(common)),
        *(record(f"new {i}", ("bird", 0.9)) for i in range(alone)),
    )
    # By the metadata the files of one name are one post.
    posts = {f"{i}": {"id": f"P{i}"} for i in rng}
    return open_store(Asked(posts), one, two)


def test_runs_over_the_same_files_are_paired(tmp_path):
    with two_runs(tmp_path, 30, 5) as (store, _):
        table = label_table(store)
        sides = compare_runs(store, table, "posts")
    assert table.columns["label"].tolist() == ["dog", "cat", "bird"]
    assert sides.units == (30, 30)
    assert "the 30 posts that are in both" in sides.how
    assert "McNemar" in sides.how
    same(sides.comparison, compare_paired([0, 5, 0], [30, 10, 0], [0, 5, 0], 30))


def test_runs_over_different_files_are_independent(tmp_path):
    with two_runs(tmp_path, 6, 20) as (store, _):
        sides = compare_runs(store, label_table(store), "posts")
    assert sides.units == (6, 26)
    assert "Fisher" in sides.how
    same(sides.comparison, compare_independent([0, 6, 3], 6, [20, 0, 2], 26))


def test_runs_in_which_nothing_was_found(tmp_path):
    runs = [write_run(tmp_path / name, record("a")) for name in "ab"]
    with open_store(Asked(), *runs) as (store, _):
        assert len(compare_runs(store, label_table(store), "posts").comparison.a) == 0
