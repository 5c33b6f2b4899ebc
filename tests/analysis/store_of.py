"""Stores made of plain records, for tests of the report."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa

from ovdet_cli.analysis.cuts import RunCuts, apply_cuts
from ovdet_cli.analysis.loading import load_runs
from ovdet_cli.analysis.store import Store
from ovdet_cli.analysis.units import POST_SCHEMA, LeftOut, Part, Unit, make_units
from ovdet_cli.results.runs import load_run


def record(source: str, *found: tuple, index: int = 0, time_s: float | None = None, error: str | None = None) -> dict:
    """A record of a 100 x 100 picture; found: label, score and maybe a box in fractions; error: it failed."""
    detections = [
        {
            "label": label,
            "class_id": 0,
            "score": score,
            "box_xyxy": [100 * v for v in (box[0] if box else (0.4, 0.4, 0.6, 0.6))],
        }
        for label, score, *box in found
    ]
    place = {"schema": "ovdet/1", "source": source, "index": index, "time_s": time_s}
    if error is not None:
        return {**place, "width": None, "height": None, "status": "error", "error": error, "detections": []}
    return {**place, "width": 100, "height": 100, "status": "ok", "detections": detections}


def video(source: str, *frames: tuple) -> list[dict]:
    """Records of a video; frames: time_s and what was found then."""
    return [record(source, *found, index=i, time_s=time_s) for i, (time_s, *found) in enumerate(frames)]


def write_run(folder: Path, *records: dict, info: object = None) -> Path:
    """A run folder; info: its run.json, if it has one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detections.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in records))
    if info is not None:
        (folder / "run.json").write_bytes(orjson.dumps(info))
    return folder


@dataclass
class Asked:
    """What of runs is asked. posts: source -> fields of its post (id, account, time_us, likes, text, tags ...)."""

    posts: dict[str, dict] = field(default_factory=dict)
    unit: Unit = "post"
    part: Part = field(default_factory=Part)
    folded: tuple[int, ...] = ()
    cuts: tuple[RunCuts, ...] = ()
    threshold: float | None = None
    labels: tuple[str, ...] = ()


@contextlib.contextmanager
def open_store(asked: Asked, *runs: Path) -> Iterator[tuple[Store, LeftOut]]:
    """A store as the report makes it, without the places of files: of several runs each file is its own."""
    with Store() as store:
        names = [f"run{i}" for i in range(len(runs))]
        load_runs(store, [load_run(path) for path in runs], names)
        store.run("ALTER TABLE source ADD COLUMN place VARCHAR; ALTER TABLE source ADD COLUMN file VARCHAR")
        store.run("UPDATE source SET file = name, place = run_id || '/' || name")
        rows = [
            {"source_id": source_id, "id": name, "time_from": "none", "tags": [], **asked.posts.get(name, {})}
            for source_id, name in store.rows("SELECT source_id, name FROM source")
        ]
        store.put("post", pa.Table.from_pylist(rows, POST_SCHEMA))
        left_out = make_units(store, asked.unit, asked.part, asked.folded)
        cuts = asked.cuts or tuple(RunCuts(name) for name in names)
        apply_cuts(store, cuts, asked.threshold, asked.labels)
        yield store, left_out
