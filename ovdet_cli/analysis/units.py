"""What is counted: sources of a store -> units (posts, files or accounts), and the frames that count.

Tables of the store made here:

    post     source_id, id, account, time_us, time_from, likes, text, url, tags     what is known of each source's post
    unit     unit_id, key, account, time_us, time_from, likes, text, url, tags, num_files, first_source
    member   source_id, unit_id, run_id                              the sources that are counted
    shown    frame_id, source_id, unit_id, run_id, time_s, weight_s  the frames that are counted: whole and looked at

time_us is microseconds since 1970 UTC. weight_s of a video's frame is the time until the next one that was looked at;
the last stands for as long as the one in the middle of all does.
"""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from ovdet_cli.analysis.store import Store

Unit = Literal["post", "file", "account"]

POST_SCHEMA = pa.schema(
    {
        "source_id": pa.int32(),
        "id": pa.string(),
        "account": pa.string(),
        "time_us": pa.int64(),
        "time_from": pa.string(),
        "likes": pa.int64(),
        "text": pa.string(),
        "url": pa.string(),
        "tags": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True)
class Part:
    """Which units are counted.

    since_us, until_us: when they were posted, the end excluded; units without a time are then left out. accounts,
    sources: patterns with * and ? of which one must fit; none: all do.
    """

    since_us: int | None = None
    until_us: int | None = None
    accounts: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Sources that are not counted, and why."""

    without_account: int
    """Of no account, where accounts are counted or asked for."""
    without_time: int
    """Of no time, where a time is asked for."""
    elsewhere: int
    """Of another time, account or place than was asked for."""
    folded: int
    """Near-duplicates of one that is counted."""


def make_units(store: Store, unit: Unit, part: Part, folded: Iterable[int] = ()) -> LeftOut:
    """Makes unit, member and shown out of source and post. folded: source_ids of duplicates, which are not counted."""
    store.put("folded", pa.table({"source_id": pa.array(sorted(folded), pa.int32())}))
    key = {
        "post": "CASE WHEN p.id = s.file OR p.id IS NULL THEN 'file ' || s.place ELSE 'post ' || p.id END",
        "file": "'file ' || s.place",
        "account": "p.account",
    }[unit]
    # A file's name is its key on the page; its place, which no other file has, makes the unit.
    own = {
        "post": "CASE WHEN p.id = s.file OR p.id IS NULL THEN s.name ELSE p.id END",
        "file": "s.name",
        "account": "p.account",
    }[unit]
    store.run(
        f"""CREATE OR REPLACE TABLE candidate AS SELECT s.source_id, s.run_id, s.name, {key} AS place, {own} AS key,
        p.account, p.time_us, p.time_from, p.likes, p.text, p.url, p.tags, s.source_id IN (FROM folded) AS is_folded,
        true AS is_taken
        FROM source s LEFT JOIN post p USING (source_id)"""
    )
    _leave_out(store, "account", part.accounts)
    _leave_out(store, "name", part.sources)
    without_account = 0
    if unit == "account" or part.accounts:
        without_account = store.number("SELECT count(*) FROM candidate WHERE account IS NULL")
        store.run("UPDATE candidate SET is_taken = false WHERE account IS NULL")
    # A post has one time, that of its first file, so that no post is cut in two.
    store.run(
        """CREATE OR REPLACE TABLE unit AS SELECT (row_number() OVER (ORDER BY min(source_id)) - 1)::INTEGER AS unit_id,
        place, min_by(key, source_id) AS key, min_by(account, source_id) AS account, min(time_us) AS time_us,
        min_by(time_from, time_us) AS time_from, max(likes) AS likes, min_by(text, source_id) AS text,
        min_by(url, source_id) AS url, min_by(tags, source_id) AS tags, count(*) AS num_files,
        min(source_id) AS first_source FROM candidate WHERE is_taken AND NOT is_folded GROUP BY place"""
    )
    without_time = 0
    if part.since_us is not None or part.until_us is not None:
        without_time = store.number("SELECT coalesce(sum(num_files), 0) FROM unit WHERE time_us IS NULL")
        store.run(
            """DELETE FROM unit WHERE time_us IS NULL OR time_us < coalesce(?, time_us)
            OR time_us >= coalesce(?, time_us + 1)""",
            part.since_us,
            part.until_us,
        )
    store.run(
        """CREATE OR REPLACE TABLE member AS SELECT c.source_id, u.unit_id, c.run_id
        FROM candidate c JOIN unit u USING (place) WHERE c.is_taken AND NOT c.is_folded"""
    )
    _make_shown(store)
    # What could not be looked at is in no denominator.
    store.run("DELETE FROM unit WHERE unit_id NOT IN (SELECT unit_id FROM shown)")
    folded_count = store.number("SELECT count(*) FROM candidate WHERE is_folded")
    counted = store.number("SELECT count(*) FROM member")
    rest = store.number("SELECT count(*) FROM candidate") - counted - folded_count - without_account - without_time
    store.run("DROP TABLE candidate; DROP TABLE folded")
    return LeftOut(without_account, without_time, rest, folded_count)


def _leave_out(store: Store, column: str, patterns: tuple[str, ...]) -> None:
    """Sources whose column fits none of the patterns are not taken."""
    if not patterns:
        return
    # DuckDB's GLOB knows no ranges written as fnmatch does, so each different value is matched here.
    values = [row[0] for row in store.rows(f"SELECT DISTINCT {column} FROM candidate WHERE {column} IS NOT NULL")]
    fitting = [value for value in values if any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)]
    store.put("fitting", pa.table({"value": pa.array(fitting, pa.string())}))
    store.run(
        f"""UPDATE candidate SET is_taken = false
        WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT value FROM fitting)"""
    )
    store.run("DROP TABLE fitting")


def _make_shown(store: Store) -> None:
    store.run(
        """CREATE OR REPLACE TABLE shown AS SELECT frame_id, f.source_id, unit_id, run_id, time_s,
        NULL::DOUBLE AS weight_s FROM frame f JOIN member m USING (source_id) WHERE is_ok AND time_s IS NULL"""
    )
    store.run(
        """INSERT INTO shown WITH timed AS (
          SELECT frame_id, source_id, unit_id, run_id, time_s,
            lead(time_s) OVER (PARTITION BY source_id ORDER BY time_s) - time_s AS gap_s
          FROM frame JOIN member USING (source_id) WHERE is_ok AND time_s IS NOT NULL
        ), usual AS (SELECT source_id, median(gap_s) AS usual_s FROM timed GROUP BY source_id)
        SELECT frame_id, source_id, unit_id, run_id, time_s, coalesce(gap_s, usual_s, 0)
        FROM timed JOIN usual USING (source_id)"""
    )
