"""A report -> the payload of its page (its keys: `payload.py`)."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ovdet_cli.analysis import footage, gallery, groups, over_time, summary
from ovdet_cli.analysis.gallery import Chosen
from ovdet_cli.analysis.labels import label_shapes
from ovdet_cli.analysis.report import Report
from ovdet_cli.render.colours import class_colour
from ovdet_cli.render.page.thumbs import Wanted, make_thumbs

_FULL_LABELS = 200
"""Labels that are shown with all that is known of them; the others are rows of the table."""
_TOP_POSTS = 5
_MOST_VIDEOS = 50
_MOST_BANDS = 4000
_STRIP = 8
_MOST_GROUPS = 200
_MOST_BOXES = 60
_MOST_TEXT = 1000


@dataclass(frozen=True)
class PageOptions:
    """each: thumbnails a label and kind. thumb_bytes: all of them together. folder: where the page will lie."""

    title: str
    folder: Path
    command: str = ""
    version: str = ""
    each: int = 8
    thumb_bytes: int = 12_000_000


class _Contents:
    """Collects what the sections share: posts and pictures that are shown somewhere, each once."""

    def __init__(self, report: Report, options: PageOptions) -> None:
        self.report = report
        self.store = report.store
        self.options = options
        self.place_of = {label_id: place for place, label_id in enumerate(report.labels.label_ids.tolist())}
        self.frame_ids: dict[int, int] = {}
        self.unit_ids: dict[int, int] = {}

    def pictures(self, frame_ids: Iterable[int]) -> list[int]:
        """Their places in the page's list."""
        return [self.frame_ids.setdefault(frame_id, len(self.frame_ids)) for frame_id in frame_ids]

    def posts(self, unit_ids: Iterable[int]) -> list[int]:
        """Likewise."""
        return [self.unit_ids.setdefault(unit_id, len(self.unit_ids)) for unit_id in unit_ids]


def page_payload(report: Report, options: PageOptions) -> dict[str, Any]:
    """All that the page shows."""
    contents = _Contents(report, options)
    table, totals = report.labels, report.totals
    chosen = gallery.choose_frames(report.store, table, _FULL_LABELS, options.each)
    videos, more_videos = _videos(contents)
    details = _details(contents, chosen)
    accounts = groups.account_table(report.store) if totals["accounts"] else None
    tags = groups.tag_table(report.store)
    cube = over_time.make_cube(report.store, table) if report.bins or totals["accounts"] else None
    pictures, thumbs, missing = _pictures(contents, chosen, videos)
    return {
        "title": options.title,
        "generated": datetime.now(report.request.zone).isoformat(timespec="minutes"),
        "version": options.version,
        "command": options.command,
        "unit": {"one": report.request.unit, "many": report.many, "how": report.how_units},
        "tz": str(report.request.zone),
        "cuts": report.cuts,
        "warnings": report.warnings,
        "totals": {
            **{k: v for k, v in totals.items() if k not in ("failed", "coverage", "first_us", "last_us")},
            "accounts": totals["accounts"] or None,
            "first": _moment(report, totals["first_us"]),
            "last": _moment(report, totals["last_us"]),
        },
        "runs": [_run(run) for run in report.runs],
        "coverage": _coverage(report),
        "labels": _labels(report),
        "details": details,
        "parents": _parents(contents),
        "bins": _bins(report),
        "cube": None if cube is None else {name: _plain(value) for name, value in vars(cube).items()},
        "pairs": _pairs(report),
        "compare": _compare(report),
        "suggested": report.suggested,
        "accounts": None if accounts is None else _groups(contents, accounts, "account"),
        "tags": _groups(contents, tags, "tag") if tags.num_rows else None,
        "folders": _groups(contents, groups.folder_table(report.store), "folder"),
        "posts": _posts(contents),
        "pictures": pictures,
        "thumbs": thumbs,
        "videos": videos,
        "more": {
            "labels": 0,
            "posts": max(totals["units"] - len(contents.unit_ids), 0),
            "videos": more_videos,
            "accounts": max((accounts.num_rows if accounts else 0) - _MOST_GROUPS, 0),
            "thumbs": missing,
        },
    }


def _moment(report: Report, time_us: Any) -> str | None:
    return None if time_us is None or time_us is np.ma.masked else report.local(int(time_us))


def _plain(values: Any) -> list[Any]:
    """An array as a list; what is missing or nan is None."""
    if isinstance(values, np.ma.MaskedArray):
        return [None if value is np.ma.masked else _number(value) for value in values.tolist()]
    return [_number(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _run(run: summary.RunFacts) -> dict[str, Any]:
    model, words = run.part("model"), run.part("vocabulary")
    names, command = words.get("names"), run.info.get("command")
    notes = run.info.get("notes")
    return {
        "name": run.name,
        "path": Path(run.path).name,
        "model": model.get("name"),
        "model_title": model.get("stem"),
        "weights_sha256": model.get("weights_sha256"),
        "vocabulary": ", ".join(map(str, words.get("origins") or ())),
        "num_words": len(names) if isinstance(names, list) else None,
        "threshold": run.threshold,
        "record_threshold": run.recorded,
        "status": str(run.info.get("status", "not known")),
        "started": run.info.get("started"),
        "command": " ".join(map(str, command)) if isinstance(command, list) else None,
        "sampling": run.sampling,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
    }


def _coverage(report: Report) -> dict[str, Any]:
    skipped: dict[str, int] = {}
    for run in report.runs:
        for reason, count in dict(run.part("inputs").get("skipped") or {}).items():
            skipped[reason] = skipped.get(reason, 0) + int(count)
    return {
        "failures": summary.failure_reasons(report.store),
        "skipped": skipped,
        "reused_frames": report.store.number(
            "SELECT count(*) FILTER (is_reused) FROM frame JOIN member USING (source_id)"
        ),
        "time_from": report.time_from,
        "side_cars_unused": report.findings.counts.get("unused side-car", 0),
        "without_account": report.without_account,
        "duplicates": report.duplicates,
    }


def _labels(report: Report) -> dict[str, Any]:
    columns = report.labels.columns
    named = {
        **{key: key for key in ("detections", "units", "share", "low", "high")},
        **{key: key for key in ("minutes", "minutes_share", "minutes_low", "minutes_high")},
        "score": "score_median",
        "size": "size_median",
    }
    colours = {entry["name"]: entry["colour"] for run in report.runs for entry in run.classes if "colour" in entry}
    corrected = report.corrected
    return {
        "name": list(columns["label"]),
        "colour": [_hex(colours.get(name), name) for name in columns["label"]],
        **{key: None if columns[name] is None else _plain(columns[name]) for key, name in named.items()},
        "corrected": None if corrected is None else _plain(corrected.share),
        "corrected_low": None if corrected is None else _plain(corrected.low),
        "corrected_high": None if corrected is None else _plain(corrected.high),
        "threshold": report.thresholds_of_labels,
        "first": [_moment(report, time_us) for time_us in columns["first_us"]],
        "last": [_moment(report, time_us) for time_us in columns["last_us"]],
        "is_new": columns["is_new"].astype(int).tolist(),
        "is_rare": columns["is_rare"].astype(int).tolist(),
    }


def _hex(given: Any, name: str) -> str:
    if isinstance(given, str) and len(given) == 7 and given.startswith("#"):
        return given
    return "#{:02x}{:02x}{:02x}".format(*class_colour(name))


def _details(contents: _Contents, chosen: dict[int, Chosen]) -> dict[str, Any]:
    report = contents.report
    shapes = label_shapes(report.store, report.labels)
    top = gallery.top_units(report.store, report.labels, _FULL_LABELS, _TOP_POSTS)
    details = {}
    for place in range(min(len(report.labels), _FULL_LABELS)):
        frames = chosen.get(place, Chosen([], [], []))
        details[str(place)] = {
            "scores": shapes.scores[place].tolist(),
            "place": shapes.places[place].tolist(),
            "sizes": shapes.sizes[place].tolist(),
            "gallery": {kind: contents.pictures(getattr(frames, kind)) for kind in ("surest", "unsure", "random")},
            "top": contents.posts(top.get(place, [])),
        }
    return details


def _parents(contents: _Contents) -> list[dict[str, Any]]:
    table = contents.report.parents
    below = groups.labels_of_parents(contents.store)
    rows = table.to_pylist()
    return [
        {
            "name": row["parent"],
            "units": row["units"],
            "share": row["share"],
            "low": row["low"],
            "high": row["high"],
            "detections": row["detections"],
            "labels": [contents.place_of[label_id] for label_id in below[row["parent"]]],
        }
        for row in rows
    ]


def _bins(report: Report) -> dict[str, Any] | None:
    if report.bins is None:
        return None
    starts = [start.astimezone(report.request.zone).isoformat(timespec="minutes") for start in report.bins.starts]
    return {
        "size": report.bins.size,
        "starts": starts,
        "units": over_time.units_by_bin(report.store, report.bins).tolist(),
    }


def _pairs(report: Report) -> dict[str, Any] | None:
    counts = groups.pair_counts(report.store, report.labels)
    if len(counts) < 2:
        return None
    return {"labels": list(range(len(counts))), "counts": counts.tolist()}


def _compare(report: Report) -> dict[str, Any] | None:
    if report.comparison is None or not len(report.labels):
        return None
    found, a, b = report.comparison
    comparison = found.comparison
    columns = {name: _plain(getattr(comparison, name)) for name in ("a", "b", "difference", "low", "high", "p", "q")}
    verdicts = comparison.verdict.tolist()
    # What has changed most surely first; of thousands of labels the rest says nothing.
    order = sorted(range(len(verdicts)), key=lambda i: (math.inf if columns["q"][i] is None else columns["q"][i], i))
    rows = [
        {"label": i, **{name: values[i] for name, values in columns.items()}, "verdict": verdicts[i]}
        for i in order[: 5 * _FULL_LABELS]
    ]
    return {
        "a": {"name": a, "units": found.units[0]},
        "b": {"name": b, "units": found.units[1]},
        "how": found.how,
        "rows": rows,
    }


def _groups(contents: _Contents, table: Any, key: str) -> list[dict[str, Any]]:
    labels = {name: place for place, name in enumerate(contents.report.labels.columns["label"])}
    rows = table.slice(0, _MOST_GROUPS).rename_columns(["name" if name == key else name for name in table.column_names])
    return [{**row, "top_label": labels.get(row["top_label"])} for row in rows.to_pylist()]


def _posts(contents: _Contents) -> list[dict[str, Any]]:
    unit_ids = list(contents.unit_ids)
    if not unit_ids:
        return []
    wanted = ", ".join(map(str, unit_ids))
    store, report = contents.store, contents.report
    files = dict(
        store.rows(
            f"""SELECT unit_id, list(s.name ORDER BY source_id) FROM member JOIN source s USING (source_id)
            WHERE unit_id IN ({wanted}) GROUP BY unit_id"""
        )
    )
    held: dict[int, list[tuple[int, int, float, int]]] = {}
    for unit_id, label_id, num, best, frame_id in store.rows(
        f"SELECT unit_id, label_id, num, best, frame_id FROM presence WHERE unit_id IN ({wanted}) ORDER BY best DESC"
    ):
        held.setdefault(unit_id, []).append((label_id, num, best, frame_id))
    rows = store.rows(
        f"""SELECT unit_id, key, account, time_us, time_from, likes, text, url, tags FROM unit
        WHERE unit_id IN ({wanted})"""
    )
    posts = {}
    for unit_id, key, account, time_us, time_from, likes, text, url, tags in rows:
        own = held.get(unit_id, [])
        shown = next((contents.frame_ids[frame] for *_, frame in own if frame in contents.frame_ids), None)
        posts[unit_id] = {
            "id": key,
            "account": account,
            "time": _moment(report, time_us),
            "time_from": time_from or "none",
            "likes": likes,
            "text": text[:_MOST_TEXT] if text else None,
            "url": url,
            "tags": tags or [],
            "files": files.get(unit_id, [])[:20],
            "labels": [
                [contents.place_of[label_id], num, round(best, 4)] for label_id, num, best, _ in own[:_MOST_BOXES]
            ],
            "picture": shown,
        }
    return [posts[unit_id] for unit_id in unit_ids]


def _videos(contents: _Contents) -> tuple[list[dict[str, Any]], int]:
    """Videos of the page, and how many there are besides."""
    report = contents.report
    all_videos = footage.video_table(report.store).to_pylist()
    videos = all_videos[:_MOST_VIDEOS]
    if not videos:
        return [], 0
    bands: dict[int, list[dict[str, Any]]] = {video["source_id"]: [] for video in videos}
    for band in footage.band_table(report.store).to_pylist():
        if band["source_id"] in bands:
            bands[band["source_id"]].append(band)
    each = max(_MOST_BANDS // len(videos), 20)
    shown = []
    for video in videos:
        own = sorted(bands[video["source_id"]], key=lambda band: (contents.place_of[band["label_id"]], band["start_s"]))
        own = own[:each]
        strip = contents.pictures(_strip(report, video["source_id"]))
        best = sorted(own, key=lambda band: -band["best_score"])[:_STRIP]
        with_picture = {band["frame_id"] for band in best}
        shown.append(
            {
                "source": video["source"],
                "href": _href(contents, video["source_id"]),
                "duration_s": round(video["first_s"] + video["duration_s"], 3),
                "frames": video["frames"],
                "bands": [
                    [
                        *(contents.place_of[band["label_id"]], round(band["start_s"], 3), round(band["end_s"], 3)),
                        *(round(band["best_s"], 3), round(band["best_score"], 4)),
                        contents.pictures([band["frame_id"]])[0] if band["frame_id"] in with_picture else None,
                    ]
                    for band in own
                ],
                "strip": strip,
            }
        )
    return shown, len(all_videos) - len(videos)


def _strip(report: Report, source_id: int) -> list[int]:
    """Frames spread over a video: of as many equal parts the one that shows most."""
    rows = report.store.rows(
        f"""WITH ranged AS (
          SELECT frame_id, time_s, min(time_s) OVER () AS low, max(time_s) OVER () AS high
          FROM shown WHERE source_id = ?
        ), parts AS (
          SELECT frame_id, time_s,
            least(floor({_STRIP} * (time_s - low) / greatest(high - low, 1e-9)), {_STRIP - 1}) AS part FROM ranged
        ), rich AS (SELECT frame_id, sum(best) AS amount FROM seen GROUP BY frame_id)
        SELECT max_by(frame_id, (coalesce(amount, 0), -time_s)) FROM parts LEFT JOIN rich USING (frame_id)
        GROUP BY part ORDER BY part""",
        source_id,
    )
    return [row[0] for row in rows]


def _href(contents: _Contents, source_id: int) -> str | None:
    """A link from the page's folder to a source's file; None where that is not there."""
    run_id, file = contents.store.rows("SELECT run_id, file FROM source WHERE source_id = ?", source_id)[0]
    path = contents.report.places[run_id].find(file)
    if path is None or not path.is_file():
        return None
    try:
        return quote(Path(os.path.relpath(path.resolve(), contents.options.folder.resolve())).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()


def _pictures(
    contents: _Contents, chosen: dict[int, Chosen], videos: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str], int]:
    """The page's pictures, its thumbnails, and how many pictures are without one."""
    frame_ids = list(contents.frame_ids)
    if not frame_ids:
        return [], [], 0
    store = contents.store
    wanted = ", ".join(map(str, frame_ids))
    rows = store.rows(
        f"""SELECT frame_id, source_id, run_id, s.name, s.file, "index", time_s, width, height
        FROM frame JOIN source s USING (source_id) WHERE frame_id IN ({wanted})"""
    )
    facts = {row[0]: row[1:] for row in rows}
    boxes: dict[int, list[list[Any]]] = {}
    for frame_id, label_id, score, *box in store.rows(
        f"""SELECT frame_id, label_id, score, x1, y1, x2, y2 FROM det WHERE frame_id IN ({wanted})
        AND label_id IN (SELECT label_id FROM seen) ORDER BY score DESC"""
    ):
        own = boxes.setdefault(frame_id, [])
        if len(own) < _MOST_BOXES and None not in box:
            own.append([contents.place_of[label_id], round(score, 4), *(round(v, 4) for v in box)])
    hrefs = {source_id: _href(contents, source_id) for source_id in {fact[0] for fact in facts.values()}}
    order = list(dict.fromkeys(chain(_by_need(chosen), frame_ids)))
    places = contents.report.places
    candidates = []
    for frame_id in order:
        if frame_id not in contents.frame_ids:
            continue
        source_id, run_id, _, file, index, time_s, *_ = facts[frame_id]
        path = places[run_id].find(file)
        if path is not None and hrefs[source_id] is not None:
            candidates.append(Wanted(frame_id, path, index, time_s))
    made = make_thumbs(candidates, contents.options.thumb_bytes)
    thumbs: list[str] = []
    thumb_of: dict[int, int] = {}
    for frame_id in frame_ids:
        if frame_id in made:
            thumb_of[frame_id] = len(thumbs)
            thumbs.append(made[frame_id])
    unit_of = dict(store.rows(f"SELECT frame_id, unit_id FROM shown WHERE frame_id IN ({wanted})"))
    # A picture's post is known to the page, so that its text and account can be read beside it.
    pictures = []
    for frame_id in frame_ids:
        source_id, _, name, _, index, time_s, width, height = facts[frame_id]
        pictures.append(
            {
                "source": name,
                "index": index,
                "time_s": time_s,
                "width": width,
                "height": height,
                "href": hrefs[source_id],
                "post": contents.posts([unit_of[frame_id]])[0],
                "thumb": thumb_of.get(frame_id),
                "boxes": boxes.get(frame_id, []),
            }
        )
    return pictures, thumbs, len(frame_ids) - len(thumbs)


def _by_need(chosen: dict[int, Chosen]) -> Iterable[int]:
    """All labels' first pictures before any one's second."""
    columns = [list(chain.from_iterable(zip_longest(c.surest, c.unsure, c.random))) for c in chosen.values()]
    return (frame_id for row in zip_longest(*columns) for frame_id in row if frame_id is not None)
