"""The date in a file's name: as cameras, phones, messengers and downloaders write it, or as a pattern says."""

import re
from datetime import UTC, datetime, tzinfo

from ovdet_cli.analysis.dates import is_plausible
from ovdet_cli.errors import UsageError

# 2024-05-17_18-33-02, 20240517_183302, 20240517183302, IMG_20240517, 2024-05-17 at 18.33.02, 2024-05-17T18:33Z ...
# instaloader's names end with _UTC, and so say in which zone they are meant.
_DEFAULT = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<sign>[-_. ]?)(?P<month>\d\d)(?P=sign)(?P<day>\d\d)"
    r"(?:(?:[T_. \u202f-]{1,3}|[ _-]at[ _-]|(?<=\d{8})(?=\d{6}(?!\d)))(?P<hour>\d\d?)"
    r"(?P<colon>[-_.:h]?)(?P<minute>\d\d)(?:(?P=colon)m?(?P<second>\d\d))?(?!\d)"
    r"(?:[ \u202f]?(?P<half>[AP]M)\b)?(?P<utc>[_ ]?(?:UTC|Z)(?![A-Za-z]))?"
    r"|(?!\d))"
)
_EPOCH_MS = re.compile(r"(?<!\d)(1\d{12})(?!\d)")
_DIRECTIVES = {
    "Y": r"(?P<year>\d{4})", "y": r"(?P<short_year>\d\d)", "m": r"(?P<month>\d\d?)", "d": r"(?P<day>\d\d?)",
    "H": r"(?P<hour>\d\d?)", "M": r"(?P<minute>\d\d)", "S": r"(?P<second>\d\d)", "f": r"\d{1,9}", "%": "%",
    "s": r"(?P<epoch>\d{9,13})", "j": r"(?P<day_of_year>\d{3})",
}  # fmt: skip
_GROUPS = frozenset(
    ("year", "short_year", "month", "day", "hour", "minute", "second", "epoch", "day_of_year", "half", "utc")
)


class NameDates:
    """Finds dates in names. pattern: strptime's signs (`%Y-%m-%d_%H-%M-%S`), found anywhere in the name, or a regular
    expression with groups `(?P<year>...)`, month, day, hour, minute, second; None: the usual ways. zone: what times
    are meant in. A pattern with `/` is looked for in the whole source name, any other in the file's name alone.

    Raises:
        UsageError: the pattern is none, or has no year.
    """

    def __init__(self, zone: tzinfo, pattern: str | None = None) -> None:
        self._zone = zone
        self._pattern = _DEFAULT if pattern is None else _compiled(pattern)
        self._is_default = pattern is None
        self._is_path = pattern is not None and "/" in pattern

    def find(self, source: str) -> datetime | None:
        """The first plausible date of a name, aware, UTC; None where there is none. A day is its midnight."""
        name = source if self._is_path else source.rpartition("/")[2]
        for match in self._pattern.finditer(name):
            moment = self._moment(match)
            if moment is not None:
                return moment
        if not self._is_default:
            return None
        for match in _EPOCH_MS.finditer(name):
            moment = datetime.fromtimestamp(int(match[1]) / 1000, UTC)
            if is_plausible(moment):
                return moment
        return None

    def _moment(self, match: re.Match[str]) -> datetime | None:
        part = {name: value for name, value in match.groupdict().items() if value is not None and name in _GROUPS}
        try:
            if epoch := part.get("epoch"):
                moment = datetime.fromtimestamp(int(epoch) / (1000 if len(epoch) > 11 else 1), UTC)
                return moment if is_plausible(moment) else None
            day = self._day(part)
            if not is_plausible(day):
                return None
            hour = int(part.get("hour", 0))
            if "half" in part:
                hour = hour % 12 + (12 if part["half"] == "PM" else 0)
            clock = day.replace(hour=hour, minute=int(part.get("minute", 0)), second=int(part.get("second", 0)))
        except (ValueError, OverflowError, OSError):
            if not self._is_default or "hour" not in part:
                return None
            try:  # digits after a date that are no time of day: the day stands
                clock = self._day(part)
            except ValueError:
                return None
        return clock.replace(tzinfo=UTC if "utc" in part else self._zone).astimezone(UTC)

    @staticmethod
    def _day(part: dict[str, str]) -> datetime:
        year = int(part["year"]) if "year" in part else 2000 + int(part["short_year"])
        if "day_of_year" in part:
            return datetime.strptime(f"{year:04d} {part['day_of_year']}", "%Y %j")
        return datetime(year, int(part.get("month", 1)), int(part.get("day", 1)))


def _compiled(pattern: str) -> re.Pattern[str]:
    is_regex = "(?P<" in pattern
    try:
        expression = re.compile(pattern if is_regex else _translated(pattern))
    except re.error as error:
        raise UsageError(f"--date-pattern {pattern!r}: {error}") from error
    if not {"year", "short_year", "epoch"} & expression.groupindex.keys():
        raise UsageError(f"--date-pattern {pattern!r} has no year; write it as %Y-%m-%d, or with a group (?P<year>...)")
    return expression


def _translated(pattern: str) -> str:
    parts = re.split(r"%(.)", pattern)
    unknown = next((sign for sign in parts[1::2] if sign not in _DIRECTIVES), None)
    if unknown is not None or pattern.replace("%%", "").endswith("%"):
        known = " ".join(f"%{sign}" for sign in _DIRECTIVES)
        raise UsageError(f"--date-pattern {pattern!r}: %{unknown or ''} is not read; use {known}")
    parts[0::2] = [re.escape(part) for part in parts[0::2]]
    parts[1::2] = [_DIRECTIVES[sign] for sign in parts[1::2]]
    return rf"(?<!\d){''.join(parts)}(?!\d)"
