"""Format name -> the sink that writes it; the contract itself stands in sink.py."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ovdet_cli.errors import UsageError
from ovdet_cli.results.coco import CocoSink
from ovdet_cli.results.csv_table import CsvSink
from ovdet_cli.results.jsonl import JsonlSink
from ovdet_cli.results.parquet import DETECTIONS, FRAMES, PARTS, ParquetSink
from ovdet_cli.results.sink import Sink
from ovdet_cli.results.tracks import TracksSink

__all__ = ["RECORD_FILES", "RECORD_FORMATS", "Sink", "check_formats", "open_record_sinks"]

SinkOpener = Callable[[Path, Sequence[str], Sequence[int] | None, bool], Sink]

RECORD_FORMATS: dict[str, SinkOpener] = {  # name -> (folder, labels, category ids, with tracks) -> sink
    "jsonl": lambda folder, labels, category_ids, tracks: JsonlSink(folder / "detections.jsonl", labels),
    "csv": lambda folder, labels, category_ids, tracks: CsvSink(folder, labels, with_tracks=tracks),
    "parquet": lambda folder, labels, category_ids, tracks: ParquetSink(folder, labels, with_tracks=tracks),
    "coco": lambda folder, labels, category_ids, tracks: CocoSink(folder, labels, category_ids),
}


RECORD_FILES = (
    *("detections.jsonl", "detections.csv", "frames.csv", "coco_results.json", "coco_images.json"),
    "tracks.csv",
    *(DETECTIONS, FRAMES, PARTS),
)
"""Every file that a sink of these makes in its folder."""


def check_formats(names: Sequence[str]) -> None:
    """UsageError unless every record format is known and there is one."""
    if unknown := [name for name in names if name not in RECORD_FORMATS]:
        raise UsageError(f"unknown record format {unknown[0]!r}; known are {', '.join(RECORD_FORMATS)}")
    if not names:
        raise UsageError(f"name at least one record format: {', '.join(RECORD_FORMATS)}")


def open_record_sinks(
    folder: Path,
    formats: Sequence[str],
    labels: Sequence[str],
    *,
    category_ids: Sequence[int] | None = None,
    with_tracks: bool = False,
) -> list[Sink]:
    """The sinks of `formats`, in that order and each once, their files new and empty in `folder`.

    labels: the vocabulary's names, by class id. category_ids: the data set's own ids, by class id (COCO only).
    with_tracks: detections have track ids, and there is a tracks.csv too.

    Raises:
        UsageError: a format is unknown. OutputError: a file cannot be made; those already open are closed.
    """
    check_formats(formats)
    with ExitStack() as opened:
        sinks = [
            opened.enter_context(RECORD_FORMATS[name](folder, labels, category_ids, with_tracks))
            for name in dict.fromkeys(formats)
        ]
        if with_tracks:
            sinks.append(opened.enter_context(TracksSink(folder, labels)))
        opened.pop_all()
    return sinks
