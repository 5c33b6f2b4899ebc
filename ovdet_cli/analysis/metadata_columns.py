"""Cells of a table, a batch at a time -> typed columns: fast where they are regular, value by value where not."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from ovdet_cli.analysis.dates import EARLIEST_YEAR, parse_time
from ovdet_cli.analysis.fields import number, tags
from ovdet_cli.analysis.post import hashtags

TIME = pa.timestamp("us", "UTC")
TAGS = pa.list_(pa.string())
SCHEMA = pa.schema(
    {"id": pa.string(), "account": pa.string(), "time": TIME, "likes": pa.int64(), "text": pa.string()}
    | {"url": pa.string(), "tags": TAGS}
)
_CLOCK = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?"
_NAIVE, _ZONED = f"^{_CLOCK}$", rf"^{_CLOCK}(Z|[+-]\d\d:\d\d)$"
_EPOCHS = ((r"^1\d{9}$", 1_000_000), (r"^1\d{12}$", 1000), (r"^1\d{15}$", 1))

Report = Callable[[int, str, str], None]


def times(cells: pa.Array, zone: tzinfo, report: Report) -> pa.Array:
    """Instants; impossible ones are null. report: hears of the place, the kind and the value."""
    column = _filled(cells)
    fast = _fast_times(column, zone)
    if fast is not None:
        return fast
    known: list[datetime | None] = []
    for place, cell in enumerate(cells.to_pylist()):
        try:
            known.append(parse_time(cell, zone))
        except (ValueError, OverflowError) as error:
            known.append(None)
            report(place, "impossible time", f"{cell[:60]!r} ({error})")
    return pa.array(known, TIME)


def counts(cells: pa.Array, report: Report) -> pa.Array:
    """Counts; what is none is null."""
    try:
        column = pc.cast(_filled(cells), pa.int64())
        if (pc.min(column).as_py() or 0) >= 0:
            return column
    except pa.ArrowInvalid:
        pass
    known: list[int | None] = []
    for place, cell in enumerate(cells.to_pylist()):
        try:
            known.append(None if cell.strip() in ("-1", "-1.0") else number(cell))
        except ValueError:
            known.append(None)
            report(place, "impossible number", repr(cell[:60]))
    return pa.array(known, pa.int64())


def words(cells: pa.Array) -> pa.Array:
    """Ids and names: on one line, at most 300 characters."""
    return _filled(pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(_filled(cells)), 0, 300))


def accounts(cells: pa.Array) -> pa.Array:
    """Names of accounts, without a leading @."""
    return _filled(pc.utf8_ltrim(words(cells), characters="@"))


def texts(cells: pa.Array) -> pa.Array:
    """Texts of posts, at most 20,000 characters."""
    return _filled(pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(_filled(cells)), 0, 20_000))


def addresses(cells: pa.Array) -> pa.Array:
    """http(s) addresses; anything else is null."""
    column = pc.utf8_trim_whitespace(_filled(cells))
    is_address = pc.match_substring_regex(column, r"^(?i)https?://[^\s\x00-\x1f]+$")
    is_address = pc.and_(is_address, pc.less_equal(pc.utf8_length(column), 2000))
    return pc.if_else(is_address, column, pa.scalar(None, pa.string()))


def tag_lists(cells: pa.Array | None, texts_of: pa.Array | None) -> pa.Array:
    """Tags, and the hashtags of the texts after them."""
    length = len(cells) if cells is not None else 0 if texts_of is None else len(texts_of)
    of_cells = [()] * length if cells is None else [tags(cell) if cell else () for cell in cells.to_pylist()]
    of_texts = [()] * length if texts_of is None else [hashtags(text) for text in texts_of.to_pylist()]
    both = zip(of_cells, of_texts, strict=True)
    return pa.array(
        [tuple(dict.fromkeys(own + inside)) if own and inside else own or inside for own, inside in both], TAGS
    )


def _filled(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _fast_times(column: pa.Array, zone: tzinfo) -> pa.Array | None:
    """The instants of a column in one of the usual forms; None where one cell is otherwise."""

    def is_all(pattern: str) -> bool:
        return pc.all(pc.match_substring_regex(column, pattern)).as_py() is not False

    try:
        if is_all(_ZONED):
            found = pc.cast(column, TIME)
        elif isinstance(zone, ZoneInfo) and is_all(_NAIVE):
            # An hour that is left out raises, and is then read as Python reads it.
            local = pc.cast(column, pa.timestamp("us"))
            found = pc.assume_timezone(local, zone.key, ambiguous="earliest", nonexistent="raise").cast(TIME)
        else:
            unit = next((unit for pattern, unit in _EPOCHS if is_all(pattern)), None)
            if unit is None:
                return None
            found = pc.multiply(pc.cast(column, pa.int64()), unit).cast(TIME)
        # Of a system without a table of time zones pyarrow knows none; Python may have `tzdata`.
        ends = pc.min_max(pc.cast(found, pa.int64())).as_py()
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    low = _microseconds(datetime(EARLIEST_YEAR, 1, 2, tzinfo=UTC))
    high = _microseconds(datetime(datetime.now(UTC).year + 2, 1, 1, tzinfo=UTC)) - 86_400_000_000
    is_possible = ends["min"] is None or (low <= ends["min"] and ends["max"] <= high)
    return found if is_possible else None


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
