"""A run's records -> summary tables: what was found how often, where, and what failed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ovdet_cli.errors import OutputError
from ovdet_cli.results.runs import Run

_QUANTILES = {"score_min": 0.0, "score_q25": 0.25, "score_median": 0.5, "score_q75": 0.75, "score_max": 1.0}


@dataclass(frozen=True, eq=False)
class RunTables:
    """The summary of one run or several.

    A frame is a picture or an analysed video frame. Only detections that were drawn count: those with score above
    the run's own `threshold` setting, or the one that its vocabulary gives their class; all where run.json names none.
    """

    labels: pd.DataFrame
    """One row a label found, the most frequent first: label, detections, frames (that hold it), share (of the frames
    that did not fail, in [0, 1]), score_min, score_q25, score_median, score_q75, score_max, first_source."""

    sources: pd.DataFrame
    """One row a source, in the order of the run: source, frames (failed ones included), failed, detections, labels
    (how many different ones), top_label (the most frequent; the first in the alphabet of equals; empty: none)."""

    failures: pd.DataFrame
    """One row a failure: source, index, error."""

    totals: pd.DataFrame
    """One row: pictures and video_frames (those that did not fail), failed, detections, labels, frames_with_detections,
    coverage (its share of the frames that did not fail, in [0, 1]; missing if there are none)."""

    parents: pd.DataFrame
    """One row a broader class of the vocabulary of which something narrower, or it itself, was found, the most frequent
    first: parent, detections, frames (that hold one or more of them), share, labels (how many different ones)."""


def summarise(*runs: Run) -> RunTables:
    """The summary tables; of several runs together, each source beginning with its run's folder."""
    if not runs:
        raise ValueError("no run to summarise")
    prefixes = _prefixes([run.folder for run in runs])
    frames = pd.concat([_named(run.frames, prefix) for run, prefix in zip(runs, prefixes, strict=True)])
    detections = pd.concat([_named(_drawn(run), prefix) for run, prefix in zip(runs, prefixes, strict=True)])
    frames = frames.reset_index(drop=True)
    detections = detections.reset_index(drop=True)
    failures = frames.loc[frames["status"] == "error", ["source", "index", "error"]].reset_index(drop=True)
    return RunTables(
        _label_table(frames, detections),
        _source_table(frames, detections),
        failures,
        _totals(frames, detections),
        _parent_table(frames, detections, [entry for run in runs for entry in _classes(run)]),
    )


def write_tables(tables: RunTables, folder: Path) -> list[Path]:
    """Writes labels.csv, sources.csv, failures.csv and totals.csv into `folder`; gives their paths.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    paths = []
    for field in fields(tables):
        path = folder / f"{field.name}.csv"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            getattr(tables, field.name).to_csv(path, index=False, lineterminator="\r\n")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        paths.append(path)
    return paths


def _prefixes(folders: Sequence[Path]) -> list[str]:
    """What tells the runs' sources apart: nothing for one run, else the folder's name, or its whole path."""
    if len(folders) == 1:
        return [""]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [folder.as_posix() for folder in folders]
    return [f"{name}/" for name in names]


def _named(table: pd.DataFrame, prefix: str) -> pd.DataFrame:
    return table.assign(source=prefix + table["source"]) if prefix else table


def _drawn(run: Run) -> pd.DataFrame:
    """The detections above the threshold for drawing, compared as the detector does: strictly, in float32."""
    settings = run.info.get("settings")
    threshold = settings.get("threshold") if isinstance(settings, dict) else None
    detections = run.detections
    if threshold is None:
        return detections
    own = {entry["name"]: entry["threshold"] for entry in _classes(run) if "threshold" in entry}
    cut = detections["label"].map(own).fillna(threshold).to_numpy(np.float32) if own else np.float32(threshold)
    return detections[detections["score"] > cut]


def _classes(run: Run) -> list[dict[str, Any]]:
    """What the vocabulary file of a run says of its classes."""
    vocabulary = run.info.get("vocabulary")
    classes = vocabulary.get("classes") if isinstance(vocabulary, dict) else None
    return [entry for entry in classes or () if isinstance(entry, dict) and isinstance(entry.get("name"), str)]


def _parent_table(frames: pd.DataFrame, detections: pd.DataFrame, classes: Sequence[dict[str, Any]]) -> pd.DataFrame:
    parents: dict[str, set[str]] = {}
    for entry in classes:
        above = entry.get("parent", ())
        parents.setdefault(entry["name"], set()).update([above] if isinstance(above, str) else above)
    groups = {name for names in parents.values() for name in names}
    pairs = [
        (label, group)
        for label in detections["label"].unique()
        for group in (_ancestors(label, parents) | {label}) & groups
    ]
    found = detections.merge(pd.DataFrame(pairs, columns=["label", "parent"], dtype="str"), on="label")
    by_parent = found.groupby("parent", sort=True)
    table = pd.DataFrame({"detections": by_parent.size()})
    table["frames"] = found.drop_duplicates(["parent", "source", "index"]).groupby("parent").size()
    table["share"] = table["frames"] / (frames["status"] == "ok").sum()
    table["labels"] = by_parent["label"].nunique()
    table = table.astype({"detections": "int64", "frames": "int64", "share": "float64", "labels": "int64"})
    return table.sort_values("detections", ascending=False, kind="stable").reset_index()


def _ancestors(label: str, parents: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(parents.get(label, ()))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += parents.get(name, ())
    return found


def _label_table(frames: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    by_label = detections.groupby("label", sort=True)
    table = pd.DataFrame({"detections": by_label.size()})
    table["frames"] = detections.drop_duplicates(["label", "source", "index"]).groupby("label").size()
    table["share"] = table["frames"] / (frames["status"] == "ok").sum()
    for name, quantile in _QUANTILES.items():
        table[name] = by_label["score"].quantile(quantile).astype("float32")
    table["first_source"] = by_label["source"].first()
    table = table.astype({"detections": "int64", "frames": "int64", "share": "float64", "first_source": "str"})
    return table.sort_values("detections", ascending=False, kind="stable").reset_index()


def _source_table(frames: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame({"frames": frames.groupby("source", sort=False).size()})
    table["failed"] = (frames["status"] == "error").groupby(frames["source"]).sum()
    by_source = detections.groupby("source")
    table["detections"] = by_source.size()
    table["labels"] = by_source["label"].nunique()
    counts = detections.groupby(["source", "label"], sort=True).size().reset_index(name="count")
    most = counts.sort_values("count", ascending=False, kind="stable").drop_duplicates("source").set_index("source")
    table["top_label"] = most["label"]
    numbers = ["frames", "failed", "detections", "labels"]
    table[numbers] = table[numbers].fillna(0).astype("int64")
    return table.reset_index()


def _totals(frames: pd.DataFrame, detections: pd.DataFrame) -> pd.DataFrame:
    is_ok = frames["status"] == "ok"
    is_picture = frames["time_s"].isna()
    num_ok = int(is_ok.sum())
    num_with = len(detections.drop_duplicates(["source", "index"]))
    row = {
        "pictures": int((is_ok & is_picture).sum()),
        "video_frames": int((is_ok & ~is_picture).sum()),
        "failed": len(frames) - num_ok,
        "detections": len(detections),
        "labels": detections["label"].nunique(),
        "frames_with_detections": num_with,
        "coverage": num_with / num_ok if num_ok else float("nan"),
    }
    return pd.DataFrame([row])
