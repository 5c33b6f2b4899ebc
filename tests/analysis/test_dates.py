from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.analysis import dates
from ovdet_cli.analysis.dates import parse_time, zone_named
from ovdet_cli.errors import UsageError

BERLIN = ZoneInfo("Europe/Berlin")
MOMENT = datetime(2024, 5, 17, 16, 33, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2024-05-17T16:33:02Z",
            "2024-05-17T18:33:02+02:00",
            "2024-05-17 18:33:02+0200",
            "2024-05-17 18:33:02 +02:00",
        ),
        *("2024-05-17 18:33:02", "2024-05-17 16:33:02 UTC", "2024/05/17 18:33:02", "2024:05:17 18:33:02+02:00"),
        *("17.05.2024 18:33:02", "20240517183302", "20240517T183302", "Fri, 17 May 2024 18:33:02 +0200"),
        *("Fri May 17 18:33:02 +0200 2024", "Fri, 17 May 2024 16:33:02 GMT", "2024-05-17T16:33:02.000000000Z"),
        *(1715963582, "1715963582", 1715963582.0, 1715963582000, "1715963582000000", 1715963582000000000),
        *(datetime(2024, 5, 17, 18, 33, 2), MOMENT),
    ],
)
def test_all_the_usual_ways_mean_one_instant(value: object) -> None:
    assert parse_time(value, BERLIN) == MOMENT


def test_a_day_is_its_midnight() -> None:
    for value in ("2024-05-17", "20240517", 20240517, MOMENT.date()):
        assert parse_time(value, BERLIN) == datetime(2024, 5, 16, 22, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", None, 0, "0", "null", "N/A", float("nan"), "0000:00:00 00:00:00", " "])
def test_nothing_is_no_time(value: object) -> None:
    assert parse_time(value, BERLIN) is None


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2024-02-30",
            "2024-13-01 00:00",
            "20240230",
            "05/06/2024",
            "yesterday",
            "9999-01-01",
            "0001-01-01",
            True,
            [],
            {},
        ),
        *(-5, 1e300, "1e400", "9" * 5000, "12345678901234567890123", "25:00", "\x00", "2024-05-17T25:00:00", b"2024"),
    ],
)
def test_the_impossible_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(value, BERLIN)


def test_the_hour_that_comes_twice_is_the_first_and_the_one_left_out_an_hour_later() -> None:
    assert parse_time("2024-10-27 02:30:00", BERLIN) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert parse_time("2024-03-31 02:30:00", BERLIN) == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)


@given(
    st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.from_regex(r"[0-9:/. T+-]{1,30}", fullmatch=True))
)
def test_anything_is_a_time_of_our_age_or_a_value_error(value: object) -> None:
    try:
        moment = parse_time(value, BERLIN)
    except ValueError:
        return
    assert moment is None or (1799 <= moment.year <= datetime.now(UTC).year + 2 and moment.utcoffset() == timedelta(0))


@given(
    st.datetimes(datetime(1800, 1, 2), datetime(2025, 1, 1)),
    st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
)
def test_iso_with_a_zone_comes_back(moment: datetime, zone: str) -> None:
    own = moment.replace(tzinfo=UTC)
    assert parse_time(own.astimezone(ZoneInfo(zone)).isoformat(), BERLIN) == own


@pytest.mark.parametrize("name", ["Europe", "Mars/Olympus", "../etc/passwd", "", "europe/berlin", "\x00"])
def test_an_unknown_zone_is_an_error_for_people(name: str) -> None:
    try:
        zone = zone_named(name)
    except UsageError as error:
        assert "time zone" in str(error)
    else:  # a file system that knows no case
        assert zone.utcoffset(MOMENT.replace(tzinfo=None)) == timedelta(hours=2)


def test_a_system_without_zones_is_told_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dates, "available_timezones", set)
    with pytest.raises(UsageError, match="pip install tzdata"):
        zone_named("No/Where")
