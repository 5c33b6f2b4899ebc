from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.analysis.time_bins import SIZES, BinSize, bin_size, local_bins

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Africa/Cairo",
]


def local(*when: int) -> datetime:
    return datetime(*when, tzinfo=BERLIN).astimezone(UTC)


def test_days_are_shorter_and_longer_where_clocks_are_changed() -> None:
    edges = local_bins(local(2024, 3, 30, 12), local(2024, 4, 1, 0), BERLIN, "day")
    assert edges == [local(2024, 3, day) for day in (30, 31)] + [local(2024, 4, day) for day in (1, 2)]
    assert [(b - a).total_seconds() / 3600 for a, b in pairwise(edges)] == [24, 23, 24]
    edges = local_bins(local(2024, 10, 27), local(2024, 10, 27, 5), BERLIN, "day")
    assert edges[1] - edges[0] == timedelta(hours=25)


def test_the_hour_that_comes_twice_is_two_bins() -> None:
    edges = local_bins(local(2024, 10, 27, 1), local(2024, 10, 27, 3), BERLIN, "hour")
    assert len(edges) == 5
    assert [edge.astimezone(BERLIN).hour for edge in edges] == [1, 2, 2, 3, 4]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert local_bins(local(2024, 5, 17), local(2024, 5, 21), BERLIN, "week") == [
        local(2024, 5, 13), local(2024, 5, 20), local(2024, 5, 27)
    ]  # fmt: skip
    assert local_bins(local(2024, 12, 17), local(2025, 1, 1), BERLIN, "month") == [
        local(2024, 12, 1), local(2025, 1, 1), local(2025, 2, 1)
    ]  # fmt: skip


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
    st.timedeltas(timedelta(0), timedelta(days=60)),
    st.sampled_from(ZONES),
    st.sampled_from(SIZES),
)
def test_bins_hold_all_and_rise(first: datetime, length: timedelta, zone: str, size: BinSize) -> None:
    first = first.replace(tzinfo=UTC)
    edges = local_bins(first, first + length, ZoneInfo(zone), size)
    assert edges[0] <= first < edges[1]
    assert edges[-2] <= first + length < edges[-1]
    assert all(before < after for before, after in pairwise(edges))


def test_the_size_follows_the_length() -> None:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    days = [1, 30, 300, 3000]
    assert [bin_size(first, first + timedelta(days=count)) for count in days] == ["hour", "day", "week", "month"]
    with pytest.raises(ValueError, match="before"):
        local_bins(first, first - timedelta(1), BERLIN, "day")
