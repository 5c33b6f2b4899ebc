"""`ovdet convert`: a run in the formats of other tools, and their files as a run."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ovdet_cli.cli import console
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    from ovdet_cli.results.convert.contract import Reading
    from ovdet_cli.results.convert.converting import Outcome
    from ovdet_cli.results.record import Record

_SHOWN_PROBLEMS = 10

_Target = Literal[
    "run", "coco", "yolo", "voc", "labelme", "label-studio", "fiftyone", "mot", "parquet", "supervision-csv"
]
_Origin = Literal["coco", "yolo", "voc", "labelme", "label-studio", "mot", "parquet", "supervision-csv"]


def convert(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_PATH",
            help="A run folder or its detections.jsonl, .parquet or .csv; or a file or folder of another tool.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into; never that of the run.")
    ],
    to: Annotated[
        _Target | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="What to write; of other tools' files by default: run.",
        ),
    ] = None,
    origin: Annotated[
        _Origin | None,
        typer.Option("--from", metavar="FORMAT", help="What is read, where it is no run. Default: what it looks like."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="Only detections that score above it. Default: all recorded."),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="yolo: each row ends with the score.")] = False,
    url: Annotated[
        str, typer.Option("--url", metavar="TEXT", help="label-studio: what the pictures' addresses begin with.")
    ] = "/data/local-files/?d=",
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="--from yolo: where the pictures lie, for their sizes."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier conversion, or run, left in DIR.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors and warnings only.")] = False,
) -> None:
    """Turn a run into the files of another tool, or those into a run that report and eval read.

    Written into DIR, and what has no place there:

    - coco: annotations.json, coco_results.json. Failed pictures.
    - yolo: data.yaml, classes.txt, labels/, images.csv. Scores (but --scores), tracks.
    - voc: Annotations/*.xml. Masks, fractions of pixels.
    - labelme: labelme/*.json. Failed pictures.
    - label-studio: tasks.json, config.xml. Tracks.
    - fiftyone: fiftyone-images/, fiftyone-videos/ (FiftyOneDataset). Is not read back.
    - mot: mot/VIDEO.txt. Pictures, masks.
    - parquet: detections.parquet, frames.parquet.
    - supervision-csv: supervision.csv. Masks, frames without a detection.

    Folders are mirrored: kitchen/a.jpg has labels/kitchen/a.txt, frame 123 of clip.mp4 labels/clip.mp4/000123.txt
    (in COCO clip.mp4#frame=123). Two pictures that would share a file part: the second is a.png.txt.

    Example: ovdet convert photos-ovdet --to coco -o photos-coco

    Example: ovdet convert labelled/ --from labelme -o truth
    """
    from ovdet_cli.results.convert.contract import Options, Reading
    from ovdet_cli.results.convert.converting import cut, write_format
    from ovdet_cli.results.convert.formats import FORMATS, is_run, recognise
    from ovdet_cli.results.runs import load_run

    if not path.exists():
        raise UsageError(f"there is no {path}")
    reading = Reading(_size_of, images)
    if origin is None and is_run(path):
        if to is None:
            raise UsageError(f"{path} is a run: name what to make of it with --to")
        run = load_run(path)
        if output.resolve().is_relative_to(run.folder.resolve()):
            raise UsageError(f"a run is never written into ({run.folder}): name another folder with -o")
        reading.classes.extend(_names(run.info))
        records, name = run.iter_records(), "run"
    else:
        name = origin or recognise(path)
        _check_apart(path, output, () if to is None or to == "run" else FORMATS[to].entries)
        reader = FORMATS[name].reader
        assert reader is not None
        records = reader(path, reading)
    if threshold is not None:
        records = cut(records, threshold)
    if to is None or to == "run":
        outcome = _make_run(records, reading, path, name, output, overwrite)
    else:
        options = Options(scores, url)
        outcome = write_format(to, records, output, reading.classes.names, options=options, overwrite=overwrite)
    _tell(outcome, reading, output, is_quiet=quiet)


def _check_apart(path: Path, output: Path, entries: tuple[str, ...]) -> None:
    """UsageError where what is read would be written into, or replaced by what is made of it."""
    read, written = path.resolve(), output.resolve()
    is_inside = written.is_relative_to(read) if path.is_dir() else False
    if is_inside or any(read.is_relative_to(written / entry) for entry in entries):
        raise UsageError(f"{path} is read, so it is not written into as well: name another folder with -o")


def _make_run(
    records: "Iterator[Record]", reading: "Reading", path: Path, name: str, output: Path, overwrite: bool
) -> "Outcome":
    from itertools import chain

    from ovdet_cli.frame import SourceInfo
    from ovdet_cli.pipeline.folder import RunFolder
    from ovdet_cli.results.convert.converting import Outcome, run_info, write_run

    started = datetime.now(UTC).isoformat(timespec="seconds")
    origin = {"format": name, "path": str(path)}
    with RunFolder(output, overwrite=overwrite) as folder:
        folder.check_inputs([SourceInfo(path.name, path, "image")])
        first = next(records, None)  # what cannot be read at all costs nothing that is there
        folder.clear()
        outcome, status = Outcome(), "failed"
        folder.write_info(run_info(outcome, (), origin, "running"))
        try:
            outcome = write_run(chain([] if first is None else [first], records), output)
            status = "done"
        finally:
            info = run_info(outcome, reading.classes.names, origin, status)
            times = {"started": started, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
            folder.write_info(info | {"command": ["ovdet", *sys.argv[1:]], **times})
    return outcome


def _size_of(path: Path) -> tuple[int, int]:
    from ovdet_cli.media.images import read_image

    height, width = read_image(path).shape[:2]
    return height, width


def _names(info: dict[str, object]) -> list[str]:
    """The vocabulary's names, where run.json has them."""
    vocabulary = info.get("vocabulary")
    names = vocabulary.get("names") if isinstance(vocabulary, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _tell(outcome: "Outcome", reading: "Reading", output: Path, *, is_quiet: bool) -> None:
    problems = [*reading.problems, *outcome.problems]
    for text in problems[:_SHOWN_PROBLEMS]:
        console.warn(_plain(text))
    if len(problems) > _SHOWN_PROBLEMS:
        console.warn(f"and {len(problems) - _SHOWN_PROBLEMS} more of such")
    for text in reading.notes:
        console.warn(_plain(text))
    if not is_quiet:
        parts = [f"{count:,} {what}" for what, count in outcome.left_out.items() if count]
        if parts:
            console.say(f"no place for: {', '.join(parts)}")
        frames = outcome.frames - outcome.pictures
        console.say(
            f"{outcome.pictures:,} pictures and {frames:,} video frames with {outcome.detections:,} detections of "
            f"{len(outcome.labels):,} classes -> {output}"
        )
    if problems:
        raise typer.Exit(3)


def _plain(text: str) -> str:
    """The text without control characters, which another tool's file may hold."""
    with suppress(UnicodeError):
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
