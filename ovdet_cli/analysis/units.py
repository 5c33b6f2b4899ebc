"""What is counted: sources of a store -> units (posts, files or accounts), and the frames that count.

Tables of the store made here:

    post     source_id, id, account, time_us, time_from, likes, text, url, tags     what is known of each source's post
    unit     unit_id, key, account, time_us, time_from, likes, text, url, tags, num_files, first_source
    member   source_id, unit_id, run_id                              the sources that are counted
    shown    frame_id, source_id, unit_id, run_id, time_s, weight_s  the frames that are counted: whole and looked at

time_us is microseconds since 1970 UTC. weight_s of a video's frame is the time until the next one that was looked at;
the last stands for as long as the one in the middle of all does, and the only one of a video for no time at all.
unit_id is the source_id of a unit's first file. A file that could not be looked at is a member too, but a unit of
nothing else is none.
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

    since_us, until_us: when their posts (files, if these are counted) came, the end excluded; those without a time are
    then left out. accounts, sources: patterns with * and ? of which one must fit; none: all do.
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
    _make_candidates(store, unit, part)
    store.run(
        """CREATE OR REPLACE TABLE place_unit AS SELECT place, min(source_id) AS unit_id, count(*) AS num_files
        FROM candidate WHERE left_out IS NULL GROUP BY place"""
    )
    store.run(
        """CREATE OR REPLACE TABLE member AS SELECT source_id, unit_id, run_id
        FROM candidate JOIN place_unit USING (place) WHERE left_out IS NULL"""
    )
    _make_shown(store)
    _make_unit(store, unit)
    counts: dict[str, int] = dict(
        store.rows("SELECT left_out, count(*) FROM candidate WHERE left_out IS NOT NULL GROUP BY left_out")
    )
    store.run("DROP TABLE candidate; DROP TABLE folded; DROP TABLE place_unit")
    reasons = ("no account", "no time", "elsewhere", "folded")
    return LeftOut(*(counts.get(reason, 0) for reason in reasons))


def _make_candidates(store: Store, unit: Unit, part: Part) -> None:
    """Table candidate: each source, the place that files of its unit share, its post, and why it is not counted."""
    # A file's place, which no other file has, is that of its post where nothing tells of one.
    file = "'file ' || s.place"
    post = f"CASE WHEN p.id = s.file OR p.id IS NULL THEN {file} ELSE 'post ' || p.id END"
    places = {"post": post, "file": file, "account": "p.account"}
    left_out = ["WHEN s.source_id IN (FROM folded) THEN 'folded'"]
    if unit == "account" or part.accounts:
        left_out.append("WHEN p.account IS NULL THEN 'no account'")
    for name, column, table, patterns in (
        ("fitting_account", "account", "post", part.accounts),
        ("fitting_name", "name", "source", part.sources),
    ):
        if patterns:
            _put_fitting(store, name, f"SELECT DISTINCT {column} FROM {table}", patterns)
            left_out.append(f"WHEN {column} NOT IN (FROM {name}) THEN 'elsewhere'")
    time_us = "NULL"
    if part.since_us is not None or part.until_us is not None:
        # A post has one time, that of its first file, so that no post is cut in two. An account may well be.
        time_us = "p.time_us" if unit == "file" else f"min(p.time_us) OVER (PARTITION BY {post})"
        outside = [
            f"{time_us} {sign} {int(edge)}"
            for sign, edge in (("<", part.since_us), (">=", part.until_us))
            if edge is not None
        ]
        left_out.append(f"WHEN {time_us} IS NULL THEN 'no time'")
        left_out.append(f"WHEN {' OR '.join(outside)} THEN 'elsewhere'")
    store.run(
        f"""CREATE OR REPLACE TABLE candidate AS SELECT s.source_id, s.run_id, {places[unit]} AS place, {post} AS post,
        CASE {" ".join(left_out)} END AS left_out FROM source s LEFT JOIN post p USING (source_id)"""
    )


def _put_fitting(store: Store, name: str, query: str, patterns: tuple[str, ...]) -> None:
    """A table of those values that fit one of the patterns."""
    # DuckDB's GLOB knows no ranges written as fnmatch does.
    values = [row[0] for row in store.rows(query) if row[0] is not None]
    fitting = [value for value in values if any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)]
    store.put(name, pa.table({"value": pa.array(fitting, pa.string())}))


def _make_unit(store: Store, unit: Unit) -> None:
    key = {
        "post": "CASE WHEN p.id = s.file OR p.id IS NULL THEN s.name ELSE p.id END",
        "file": "s.name",
        "account": "p.account",
    }[unit]
    # A million posts of one file each need no grouping.
    store.run(
        f"""CREATE OR REPLACE TABLE unit AS SELECT unit_id, {key} AS key, account, time_us, time_from, likes, text, url,
        tags, num_files, unit_id AS first_source FROM place_unit JOIN source s ON s.source_id = unit_id
        LEFT JOIN post p USING (source_id) WHERE num_files = 1 AND unit_id IN (SELECT unit_id FROM shown)"""
    )
    # What several files of a post tell of its likes is one number; those of an account's posts add up.
    store.run(
        f"""INSERT INTO unit WITH several AS (
          SELECT unit_id, num_files FROM place_unit WHERE num_files > 1 AND unit_id IN (SELECT unit_id FROM shown)
        ), file AS (
          SELECT m.unit_id, source_id, {key} AS key, account, time_us, time_from, likes, text, url, tags, c.post
          FROM source s LEFT JOIN post p USING (source_id) JOIN member m USING (source_id)
          JOIN several USING (unit_id) JOIN candidate c USING (source_id)
        ), liked AS (SELECT unit_id, max(likes) AS likes FROM file GROUP BY unit_id, post)
        SELECT unit_id, min_by(key, source_id), min_by(account, source_id), min(time_us), min_by(time_from, time_us),
          any_value(total.likes), min_by(text, source_id), min_by(url, source_id),
          list_sort(list_distinct(flatten(list(tags)))), any_value(num_files), unit_id
        FROM file JOIN several USING (unit_id)
        JOIN (SELECT unit_id, try_cast(sum(likes) AS BIGINT) AS likes FROM liked GROUP BY unit_id) total USING (unit_id)
        GROUP BY unit_id"""
    )


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
