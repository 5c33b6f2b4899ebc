"""A report -> the payload of its page (its keys: `payload.py`)."""

import math
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.analysis import gallery, groups, over_time, summary
from ovdet_cli.analysis.gallery import Chosen
from ovdet_cli.analysis.labels import label_shapes
from ovdet_cli.analysis.report import Report
from ovdet_cli.render.colours import class_colour
from ovdet_cli.render.page.films import page_videos
from ovdet_cli.render.page.pictures import page_pictures
from ovdet_cli.render.page.posts import page_posts
from ovdet_cli.render.page.shown import PageOptions, Shown, moment

_FULL_LABELS = 200
"""Labels that are shown with all that is known of them; the others are rows of the table."""
_MOST_COMPARED = 1000
_TOP_POSTS = 5
_MOST_GROUPS = 200


def page_payload(report: Report, options: PageOptions) -> dict[str, Any]:
    """All that the page shows."""
    shown = Shown(report, options)
    table, totals = report.labels, report.totals
    chosen = gallery.choose_frames(report.store, table, _FULL_LABELS, options.each)
    videos, more_videos = page_videos(shown)
    details = _details(shown, chosen)
    accounts = groups.account_table(report.store) if totals["accounts"] else None
    tags = groups.tag_table(report.store)
    cube = over_time.make_cube(report.store, table) if report.bins or totals["accounts"] else None
    pictures, thumbs, missing = page_pictures(shown, chosen)
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
            "first": moment(report, totals["first_us"]),
            "last": moment(report, totals["last_us"]),
        },
        "runs": [_run(run) for run in report.runs],
        "coverage": _coverage(report),
        "labels": _labels(report),
        "details": details,
        "parents": _parents(shown),
        "bins": _bins(report),
        "cube": None if cube is None else {name: _plain(value) for name, value in vars(cube).items()},
        "pairs": _pairs(report),
        "compare": _compare(report),
        "suggested": report.suggested,
        "accounts": None if accounts is None else _groups(shown, accounts, "account"),
        "tags": _groups(shown, tags, "tag") if tags.num_rows else None,
        "folders": _groups(shown, groups.folder_table(report.store), "folder"),
        "posts": page_posts(shown),
        "pictures": pictures,
        "thumbs": thumbs,
        "videos": videos,
        "more": {
            "labels": 0,
            "posts": max(totals["units"] - len(shown.unit_ids), 0),
            "videos": more_videos,
            "accounts": max((accounts.num_rows if accounts else 0) - _MOST_GROUPS, 0),
            "thumbs": missing,
        },
    }


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
    names, command, origins, notes = (
        words.get("names"),
        run.info.get("command"),
        words.get("origins"),
        run.info.get("notes"),
    )
    return {
        "name": run.name,
        "path": Path(run.path).name,
        "model": _text(model.get("name")),
        "model_title": _text(model.get("stem")),
        "weights_sha256": _text(model.get("weights_sha256")),
        "vocabulary": ", ".join(map(str, origins)) if isinstance(origins, list) else "",
        "num_words": len(names) if isinstance(names, list) else None,
        "threshold": run.threshold,
        "record_threshold": run.recorded,
        "status": str(run.info.get("status", "not known")),
        "started": _text(run.info.get("started")),
        "command": " ".join(map(str, command)) if isinstance(command, list) else None,
        "sampling": run.sampling,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
    }


def _text(value: Any) -> str | None:
    """What run.json says, which anybody may have written."""
    return None if value is None else str(value)


def _coverage(report: Report) -> dict[str, Any]:
    skipped: dict[str, int] = {}
    for run in report.runs:
        of_run = run.part("inputs").get("skipped")
        for reason, count in of_run.items() if isinstance(of_run, dict) else ():
            if isinstance(count, int):
                skipped[reason] = skipped.get(reason, 0) + count
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
        "first": [moment(report, time_us) for time_us in columns["first_us"]],
        "last": [moment(report, time_us) for time_us in columns["last_us"]],
        "is_new": columns["is_new"].astype(int).tolist(),
        "is_rare": columns["is_rare"].astype(int).tolist(),
    }


def _hex(given: Any, name: str) -> str:
    if isinstance(given, str) and re.fullmatch("#[0-9a-fA-F]{6}", given):
        return given
    return "#{:02x}{:02x}{:02x}".format(*class_colour(name))


def _details(shown: Shown, chosen: dict[int, Chosen]) -> dict[str, Any]:
    report = shown.report
    shapes = label_shapes(report.store, report.labels)
    top = gallery.top_units(report.store, report.labels, _FULL_LABELS, _TOP_POSTS)
    details = {}
    for place in range(min(len(report.labels), _FULL_LABELS)):
        frames = chosen.get(place, Chosen([], [], []))
        details[str(place)] = {
            "scores": shapes.scores[place].tolist(),
            "place": shapes.places[place].tolist(),
            "sizes": shapes.sizes[place].tolist(),
            "gallery": {kind: shown.pictures(getattr(frames, kind)) for kind in ("surest", "unsure", "random")},
            "top": shown.posts(top.get(place, [])),
        }
    return details


def _parents(shown: Shown) -> list[dict[str, Any]]:
    table = shown.report.parents
    below = groups.labels_of_parents(shown.store)
    rows = table.to_pylist()
    return [
        {
            "name": row["parent"],
            "units": row["units"],
            "share": row["share"],
            "low": row["low"],
            "high": row["high"],
            "detections": row["detections"],
            "labels": [shown.place_of[label_id] for label_id in below[row["parent"]]],
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
        for i in order[:_MOST_COMPARED]
    ]
    return {
        "a": {"name": a, "units": found.units[0]},
        "b": {"name": b, "units": found.units[1]},
        "how": found.how,
        "rows": rows,
    }


def _groups(shown: Shown, table: Any, key: str) -> list[dict[str, Any]]:
    labels = {name: place for place, name in enumerate(shown.report.labels.columns["label"])}
    rows = table.slice(0, _MOST_GROUPS).rename_columns(["name" if name == key else name for name in table.column_names])
    return [{**row, "top_label": labels.get(row["top_label"])} for row in rows.to_pylist()]
