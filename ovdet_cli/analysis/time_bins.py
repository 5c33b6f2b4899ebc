"""Hours, days, weeks and months of a time zone as instants: right where clocks are changed."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

BinSize = Literal["hour", "day", "week", "month"]
SIZES: tuple[BinSize, ...] = ("hour", "day", "week", "month")
_FULL, _FEWEST = 30, 5
"""Things in a bin that give its shares some meaning, and the bins that still show how they move."""
_HOURS = {"hour": 1, "day": 24, "week": 168, "month": 730}


def local_bins(first: datetime, last: datetime, zone: tzinfo, size: BinSize) -> list[datetime]:
    """The edges of the bins that hold `first` to `last`, in UTC: bin i is from edge i to before edge i + 1.

    Days, weeks (ISO, from Monday) and months begin at the zone's midnight, or at the first moment after it where
    clocks are put forward then; so a day has 23, 24 or 25 hours.
    """
    if last < first:
        raise ValueError("the last time is before the first")
    if size == "hour":
        return _hours(first, last, zone)
    edge = _floor(first.astimezone(zone).replace(tzinfo=None), size)
    edges = [_midnight(edge, zone)]
    while edges[-1] <= last:
        edge = _next(edge, size)
        edges.append(_midnight(edge, zone))
    return edges


def bin_size(first: datetime, last: datetime, most: int = 100, count: int | None = None) -> BinSize:
    """The smallest size of which about `most` bins reach from `first` to `last`; months where none does.

    count: how many things fall into them. Where these are so few that shares in a bin would jump about, a larger size
    is taken, as long as a handful of bins remains.
    """
    hours = (last - first).total_seconds() / 3600
    fitting = [size for size in SIZES if hours / _HOURS[size] <= most] or ["month"]
    while count is not None and len(fitting) > 1 and count < _FULL * hours / _HOURS[fitting[0]]:
        if hours / _HOURS[fitting[1]] < _FEWEST:
            break
        fitting.pop(0)
    return fitting[0]


def _hours(first: datetime, last: datetime, zone: tzinfo) -> list[datetime]:
    edges = [_hour_floor(first, zone)]
    while edges[-1] <= last:
        after = edges[-1] + timedelta(hours=1)
        aligned = _hour_floor(after, zone)  # some clocks are changed by half an hour: one bin is shorter there
        edges.append(aligned if aligned > edges[-1] else after)
    return edges


def _hour_floor(moment: datetime, zone: tzinfo) -> datetime:
    local = moment.astimezone(zone)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return moment.astimezone(UTC) - into


def _floor(local: datetime, size: BinSize) -> datetime:
    day = datetime(local.year, local.month, local.day)
    if size == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if size == "month" else day


def _next(edge: datetime, size: BinSize) -> datetime:
    if size == "month":
        return datetime(edge.year + edge.month // 12, edge.month % 12 + 1, 1)
    return edge + timedelta(days=7 if size == "week" else 1)


def _midnight(day: datetime, zone: tzinfo) -> datetime:
    # fold 0: of a midnight that comes twice the first; one that is left out is the very moment of the change.
    return day.replace(tzinfo=zone).astimezone(UTC)
