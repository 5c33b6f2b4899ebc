"""Times as people, programs and cameras write them -> instants in UTC; and the zone they are meant in."""

import contextlib
import math
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ovdet_cli.errors import UsageError

EARLIEST_YEAR = 1800  # photographs begin a little later
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NOTHING = frozenset(("", "-", "0", "none", "null", "nan", "nat", "n/a", "na", "unknown"))
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+]?\d+)?")
_UTC_WORD = re.compile(r"\s*\b(?:UTC|GMT)$", re.IGNORECASE)
# 2024:05:17 (EXIF), 2024/05/17 and 2024.05.17 are ISO dates with another sign; 17.05.2024 is German.
_YEAR_FIRST = re.compile(r"(\d{4})([:/.])(\d\d?)\2(\d\d?)(?!\d)")
_DAY_FIRST = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})(?!\d)")
# Fri May 17 18:33:02 +0000 2024, as Twitter and Weibo give it
_ASCTIME = re.compile(r"[A-Za-z]{3} ([A-Za-z]{3}) +(\d\d?) (\d\d:\d\d:\d\d)(?: ([+-]\d{4}|UTC|GMT))? (\d{4})")
# Digits before the point -> what one is in seconds: seconds from 1973 to 2286, and their thousandths ...
_EPOCH_UNITS = {9: 1, 10: 1, 12: 1e3, 13: 1e3, 15: 1e6, 16: 1e6, 18: 1e9, 19: 1e9}
_TZDATA_HINT = "this system has no table of time zones: pip install tzdata"


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name ("Europe/Berlin", "UTC").

    Raises:
        UsageError: there is none, or the system has no table of zones at all (Windows without `tzdata`).
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # ValueError: "../x"; OSError: a folder, "Europe"
        if not available_timezones():
            raise UsageError(f"time zone {name!r}: {_TZDATA_HINT}") from error
        folded = {zone.casefold(): zone for zone in available_timezones()}
        near = folded.get(name.strip().casefold().replace(" ", "_"))
        advice = f"did you mean {near}?" if near else "give one such as Europe/Berlin, America/New_York or UTC"
        raise UsageError(f"unknown time zone {name!r}; {advice}") from error


def parse_time(value: object, zone: tzinfo) -> datetime | None:
    """The instant that a value means, aware and in UTC; None where it says nothing ("", None, 0, "null").

    Read are ISO 8601, seconds, milli-, micro- and nanoseconds since 1970, RFC 2822, EXIF's `2024:05:17 18:33:02`,
    `20240517`, `20240517183302`, `17.05.2024` and the order of C's asctime. A time without a zone is meant in `zone`
    (in the hour that comes twice, the first; in the one that is left out, an hour later); a day is its midnight.
    `05/06/2024` is refused: nobody knows which month is meant.

    Raises:
        ValueError: it is no time, none that the calendar has, before 1800, or after the end of next year.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        raise ValueError("no time")
    if isinstance(value, datetime):
        return _instant(value, zone)
    if isinstance(value, date):
        return _instant(datetime(value.year, value.month, value.day), zone)
    text = str(value).strip() if isinstance(value, str | int | float) else None
    if text is None:
        raise ValueError("no time")
    if text.casefold() in _NOTHING or text.startswith(("0000-00-00", "0000:00:00")):
        return None
    if _NUMBER.fullmatch(text):
        return _from_number(text, zone)
    return _instant(_from_words(text), zone)


def is_plausible(moment: datetime) -> bool:
    """Whether a date guessed from digits may be one: from 1990 to the end of next year."""
    return 1990 <= moment.year <= _latest_year()


def _latest_year() -> int:
    return datetime.now(UTC).year + 1


def _instant(moment: datetime, zone: tzinfo) -> datetime:
    if not EARLIEST_YEAR <= moment.year <= _latest_year():
        raise ValueError(f"the year {moment.year}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _from_number(text: str, zone: tzinfo) -> datetime:
    if len(text) in (8, 14) and text.isdigit():  # 20240517, 20240517183302: no unit of time since 1970 has so many
        shape = "%Y%m%d" if len(text) == 8 else "%Y%m%d%H%M%S"
        return _instant(datetime.strptime(text, shape), zone)
    number = float(text)
    whole = f"{abs(number):.0f}" if abs(number) < 1e25 else ""
    unit = _EPOCH_UNITS.get(len(whole))
    if unit is None or number < 0:
        raise ValueError("no time since 1970")
    # Whole microseconds: a float of 19 digits is off by hundreds of nanoseconds, which do not matter here.
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(number * (1e6 / unit)))
    return _instant(moment, zone)


def _from_words(text: str) -> datetime:
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text)
    in_utc = _UTC_WORD.search(text) is not None and "," not in text
    plain = _UTC_WORD.sub("", text) if in_utc else text
    plain = _YEAR_FIRST.sub(lambda m: f"{m[1]}-{int(m[3]):02d}-{int(m[4]):02d}", plain, count=1)
    plain = _DAY_FIRST.sub(lambda m: f"{m[3]}-{int(m[2]):02d}-{int(m[1]):02d}", plain, count=1)
    if match := _ASCTIME.fullmatch(plain):
        month, day, clock, offset, year = match.groups()
        if month.lower() not in _MONTHS:
            raise ValueError("no month")
        offset = "+0000" if offset in ("UTC", "GMT") else offset or ""
        plain = f"{year}-{_MONTHS.index(month.lower()) + 1:02d}-{int(day):02d} {clock}{offset}"
    try:
        # One blank before the zone is common ("18:33:02 +0200"), and no part of ISO 8601.
        moment = datetime.fromisoformat(re.sub(r"(?<=\d)\s+(?=[+-]\d\d:?\d\d$)", "", plain))
    except ValueError:
        if plain[:1].isdigit() and plain[4:5] == "-":  # "2024-02-30": do not try another reading
            raise
        moment = _from_mail(text)
    return moment.replace(tzinfo=UTC) if in_utc and moment.tzinfo is None else moment


def _from_mail(text: str) -> datetime:
    if not re.search(r"[A-Za-z]{3}", text) or len(text) > 100:
        raise ValueError("no time")
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise ValueError("no time") from error
