"""The whole way: records of a run or of another tool's files into a format, or into a run."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from ovdet_cli.errors import OutputError
from ovdet_cli.results.convert.contract import Options
from ovdet_cli.results.convert.formats import FORMATS
from ovdet_cli.results.csv_table import CsvSink
from ovdet_cli.results.jsonl import JsonlSink, read_jsonl
from ovdet_cli.results.record import Record, plain_record
from ovdet_cli.results.sink import writing

MARK = "conversion.json"


@dataclass
class Outcome:
    """What a conversion did.

    frames: pictures and frames that did not fail. failed: those that did. pictures, videos' frames and labels as in a
    run's counts. problems: what could not be converted. left_out: what the format has no place for.
    """

    frames: int = 0
    failed: int = 0
    pictures: int = 0
    detections: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def count(self, record: Record) -> None:
        """Takes note of a record."""
        if record.status != "ok":
            self.failed += 1
            return
        self.frames += 1
        self.pictures += record.time_s is None
        self.detections += len(record.labels)
        self.labels.update(record.labels)


def cut(records: Iterable[Record], threshold: float) -> Iterator[Record]:
    """The records with the detections whose score is above the threshold."""
    for record in records:
        found = record.detections
        keep = found.scores > threshold
        labels = tuple(label for label, is_kept in zip(record.labels, keep.tolist(), strict=True) if is_kept)
        yield replace(record, labels=labels, detections=found.select(keep))


def write_format(
    name: str,
    records: Iterator[Record],
    folder: Path,
    labels: Sequence[str] = (),
    *,
    options: Options | None = None,
    overwrite: bool = False,
) -> Outcome:
    """Writes records in the format `name` into `folder`. labels: the vocabulary's names, whose places are class ids.

    Raises:
        OutputError: the folder holds what would be written, or cannot be written.
        RecordError: the records cannot be read; where even the first cannot, nothing is touched.
    """
    form = FORMATS[name]
    assert form.writer is not None
    first = next(records, None)
    _clear(folder, form.entries, overwrite)
    outcome = Outcome()
    _mark(folder, name, form.entries, "running")
    with form.writer(folder, labels, options or Options()) as writer:
        for record in chain([] if first is None else [first], records):
            outcome.count(record)
            writer.write(record)
    outcome.problems += writer.problems
    outcome.left_out.update(writer.left_out)
    _mark(folder, name, form.entries, "done")
    return outcome


def write_run(records: Iterator[Record], folder: Path) -> Outcome:
    """Writes records as detections.jsonl, detections.csv and frames.csv into `folder`, which holds none yet."""
    outcome = Outcome()
    path = folder / "detections.jsonl"
    has_tracks = False
    with JsonlSink(path, ()) as sink:
        for record in records:
            outcome.count(record)
            sink.put(plain_record(record))
            has_tracks = has_tracks or record.detections.track_ids is not None
    # A second reading, since the header of a CSV says whether there are tracks at all.
    with CsvSink(folder, (), with_tracks=has_tracks) as table:
        for plain in read_jsonl(path):
            table.put(plain)
    return outcome


def run_info(outcome: Outcome, names: Sequence[str], origin: dict[str, Any], status: str) -> dict[str, Any]:
    """What run.json says of a run that was not detected but converted: no threshold, no model.

    origin: {"format", "path"} of what it was made of.
    """
    counts = {
        "inputs": None,
        "pictures": outcome.pictures,
        "video_frames": outcome.frames - outcome.pictures,
        "detections": outcome.detections,
        "recorded": outcome.detections,
        "failed": outcome.failed,
        "labels": dict(outcome.labels.most_common()),
    }
    return {
        "schema": "ovdet/1",
        "status": status,
        "converted": origin,
        "model": {"name": None},
        "vocabulary": {"names": list(names)},
        "settings": {"formats": ["jsonl", "csv"]},
        "counts": counts,
    }


def _clear(folder: Path, entries: Sequence[str], overwrite: bool) -> None:
    """Makes the folder; what an earlier conversion left goes if it may, anything else stays untouched."""
    found = [entry for entry in entries if (folder / entry).exists() or (folder / entry).is_symlink()]
    if found and not overwrite:
        raise OutputError(
            f"{folder} already holds {', '.join(found)}; choose another folder with -o, or --overwrite what an earlier "
            "conversion wrote there"
        )
    own = _marked(folder)
    if foreign := [entry for entry in found if entry not in own]:
        raise OutputError(
            f"{folder} holds {', '.join(foreign)}, which no conversion wrote, so it is not overwritten; choose another "
            "folder with -o"
        )
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for entry in found:
            place = folder / entry
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()


def _marked(folder: Path) -> set[str]:
    """What earlier conversions wrote into the folder."""
    try:
        facts = orjson.loads((folder / MARK).read_bytes())
        return {entry for made in facts["conversions"] for entry in made["entries"]}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return set()


def _mark(folder: Path, name: str, entries: Sequence[str], status: str) -> None:
    """Notes what a conversion writes, so that a later one knows what is its to replace."""
    made: list[dict[str, Any]] = []
    with suppress(OSError, orjson.JSONDecodeError, KeyError, TypeError):
        made = [one for one in orjson.loads((folder / MARK).read_bytes())["conversions"] if one["format"] != name]
    facts = {
        "schema": "ovdet-conversion/1",
        "conversions": [*made, {"format": name, "status": status, "entries": entries}],
    }
    with writing(folder / MARK):
        (folder / MARK).write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
