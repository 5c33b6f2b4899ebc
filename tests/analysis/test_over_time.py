from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ovdet_cli.analysis import over_time
from ovdet_cli.analysis.labels import label_table
from ovdet_cli.analysis.over_time import OTHERS, from_microseconds, make_bins, make_cube, to_microseconds
from ovdet_cli.errors import UsageError
from tests.analysis.store_of import Asked, open_store, record, write_run
from tests.analysis.wild_feed import DAY_US

BERLIN = ZoneInfo("Europe/Berlin")


def bin_in(bins, time_us):
    moment = from_microseconds(time_us)
    return next(i for i in range(len(bins.starts)) if bins.edges[i] <= moment < bins.edges[i + 1])


def test_microseconds_there_and_back():
    moment = datetime(2026, 2, 3, 4, 5, 6, 789, UTC)
    assert from_microseconds(to_microseconds(moment)) == moment
    assert from_microseconds(-1) == datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)


@pytest.mark.parametrize("size", ["day", "week", "month"])
def test_units_and_labels_by_bin(wild, size):
    feed, store = wild
    bins = make_bins(store, BERLIN, size)
    if bins is None:
        assert size == "month"
        return
    times = {unit: feed.time_of(unit) for unit in feed.units}
    of_unit = {unit: bin_in(bins, time) for unit, time in times.items() if time is not None}
    counts = Counter(of_unit.values())
    assert over_time.units_by_bin(store, bins).tolist() == [counts[i] for i in range(len(bins.starts))]
    held = Counter((of_unit[unit], label) for label, units in feed.held.items() for unit in units if unit in of_unit)
    starts = [start.astimezone(BERLIN).isoformat(timespec="minutes") for start in bins.starts]
    expected = {(starts[place], label): (counts[place], num) for (place, label), num in held.items()}
    rows = over_time.bin_table(store, bins, BERLIN).to_pylist()
    assert {(r["start"], r["label"]): (r["units"], r["with_label"]) for r in rows} == expected
    assert [r["start"] for r in rows] == sorted(r["start"] for r in rows)


@pytest.mark.parametrize("has_bins", [True, False])
def test_the_cube_adds_up(wild, has_bins):
    feed, store = wild
    table = label_table(store)
    bins = make_bins(store, BERLIN, "day") if has_bins else make_bins(store, BERLIN, "month")
    cube = make_cube(store, table)
    places = {name: i for i, name in enumerate(cube.accounts)}

    def cell(unit):
        time = feed.time_of(unit)
        return places.get(feed.account_of(unit), places[OTHERS]), -1 if bins is None or time is None else bin_in(
            bins, time
        )

    base = Counter(cell(unit) for unit in feed.units)
    cells = Counter((i, *cell(unit)) for i, label in enumerate(feed.ordered) for unit in feed.held[label])
    assert dict(zip(zip(cube.base_account, cube.base_bin, strict=True), cube.base_units, strict=True)) == base
    assert dict(zip(zip(cube.label, cube.account, cube.bin, strict=True), cube.units, strict=True)) == cells


def test_a_cube_that_is_too_large_has_fewer_accounts_and_labels(tmp_path, monkeypatch):
    run = write_run(tmp_path, *(record(f"{i}.jpg", *[(f"{k:02d}", 0.9) for k in range(60)]) for i in range(60)))
    posts = {f"{i}.jpg": {"account": f"{i:02d}", "time_us": i * DAY_US} for i in range(60)}
    monkeypatch.setattr(over_time, "_MOST_CELLS", 500)
    with open_store(Asked(posts), run) as (store, _):
        make_bins(store, BERLIN, "day")
        cube = make_cube(store, label_table(store))
    assert len(cube.units) <= 500
    assert cube.accounts == [OTHERS]
    assert cube.base_units.sum() == 60
    for label in np.unique(cube.label):
        assert cube.units[cube.label == label].sum() == 60


def stored(tmp_path, *times):
    run = write_run(tmp_path, *(record(f"{i}.jpg") for i in range(len(times))))
    return open_store(Asked({f"{i}.jpg": {"time_us": time} for i, time in enumerate(times)}), run)


def test_no_time_and_one_time_make_no_bins(tmp_path):
    for times in ([None], [5], [5, 5], []):
        with stored(tmp_path, *times) as (store, _):
            assert make_bins(store, BERLIN) is None
            assert store.number("SELECT count(*) FROM bin_of") == 0


def test_a_wrong_clock_does_not_stretch_the_bins(tmp_path):
    with stored(tmp_path, *(i * DAY_US // 10 for i in range(2000)), -(10**16), 10**16) as (store, _):
        bins = make_bins(store, BERLIN, "day")
        assert len(bins.starts) <= 202
        counts = over_time.units_by_bin(store, bins)
        assert counts.sum() == 2002
        assert counts[0] >= 2
        assert counts[-1] >= 2


def test_too_many_bins_are_an_error_that_names_the_option(tmp_path):
    with stored(tmp_path, 0, 10**16) as (store, _), pytest.raises(UsageError, match="--bins hour"):
        make_bins(store, BERLIN, "hour")
    with stored(tmp_path, 0, 10**16) as (store, _):
        assert make_bins(store, BERLIN).size == "month"


def test_days_are_those_of_the_zone(tmp_path):
    evening = to_microseconds(datetime(2026, 3, 28, 23, 30, tzinfo=UTC))
    with stored(tmp_path, evening, evening + DAY_US) as (store, _):
        starts = make_bins(store, BERLIN, "day").starts
    assert [start.astimezone(BERLIN).isoformat() for start in starts] == [
        "2026-03-29T00:00:00+01:00",
        "2026-03-30T00:00:00+02:00",
    ]
    assert starts[1] - starts[0] == timedelta(hours=23)
