"""Format name -> how it is written, read and recognised; what each cannot hold."""

from pathlib import Path

from ovdet_cli.errors import UsageError
from ovdet_cli.results.convert import coco, fiftyone, label_studio, labelme, mot, supervision_csv, tables, voc, yolo
from ovdet_cli.results.convert.contract import Format
from ovdet_cli.results.csv_table import DETECTION_COLUMNS, has_column
from ovdet_cli.results.parquet import find_parquet

FORMATS: dict[str, Format] = {
    "coco": Format(
        "annotations.json for pycocotools and all that reads COCO, and coco_results.json for loadRes",
        "pictures that failed",
        coco.ENTRIES,
        coco.CocoWriter,
        coco.read_coco,
        coco.is_coco,
    ),
    "yolo": Format(
        "data.yaml and labels/ as Ultralytics has them; images.csv names the sources",
        "scores (unless --scores), tracks, pictures that failed; boxes beside masks",
        yolo.ENTRIES,
        yolo.YoloWriter,
        yolo.read_yolo,
        yolo.is_yolo,
    ),
    "voc": Format(
        "Annotations/, a Pascal VOC file a picture",
        "masks, fractions of a pixel, pictures that failed",
        voc.ENTRIES,
        voc.VocWriter,
        voc.read_voc,
        voc.is_voc,
    ),
    "labelme": Format(
        "labelme/, a file a picture to lie beside it",
        "pictures that failed",
        labelme.ENTRIES,
        labelme.LabelmeWriter,
        labelme.read_labelme,
        labelme.is_labelme,
    ),
    "label-studio": Format(
        "tasks.json to import, with predictions, and config.xml",
        "tracks, boxes beside masks, pictures that failed",
        label_studio.ENTRIES,
        label_studio.LabelStudioWriter,
        label_studio.read_label_studio,
        label_studio.is_label_studio,
    ),
    "fiftyone": Format(
        "fiftyone-images/ and fiftyone-videos/, in FiftyOneDataset's own format",
        "pictures that failed, times of frames; it is not read back",
        fiftyone.ENTRIES,
        fiftyone.FiftyOneWriter,
    ),
    "mot": Format(
        "mot/, a MOTChallenge file a video",
        "pictures, masks, frames that failed",
        mot.ENTRIES,
        mot.MotWriter,
        mot.read_mot,
        mot.is_mot,
    ),
    "parquet": Format(
        "detections.parquet and frames.parquet, as of --format parquet",
        "nothing",
        tables.ENTRIES,
        tables.ParquetWriter,
        tables.read_parquet,
        tables.is_parquet,
    ),
    "supervision-csv": Format(
        "supervision.csv, the columns of Roboflow supervision's CSVSink",
        "masks, frames in which nothing was found, pictures that failed",
        supervision_csv.ENTRIES,
        supervision_csv.SupervisionCsvWriter,
        supervision_csv.read_supervision_csv,
        supervision_csv.is_supervision_csv,
    ),
}
# What a path may look like at once, the surer first: one JSON file of labelme is also one JSON file.
_ORDER = ("label-studio", "labelme", "coco", "yolo", "voc", "mot", "supervision-csv", "parquet")


def is_run(path: Path) -> bool:
    """Whether a path is a run: its folder, or one of its files of records."""
    if path.is_dir():
        is_records = any((path / name).is_file() for name in ("detections.jsonl", "detections.csv"))
        return is_records or find_parquet(path) is not None
    if path.suffix == ".csv":
        return all(has_column(path, name) for name in DETECTION_COLUMNS)
    return path.suffix == ".jsonl" and path.is_file()


def recognise(path: Path) -> str:
    """The name of the format that a path looks like.

    Raises:
        UsageError: it is not there, or looks like none.
    """
    if not path.exists():
        raise UsageError(f"there is no {path}")
    for name in _ORDER:
        if FORMATS[name].is_here(path):
            return name
    raise UsageError(f"{path} is neither a run nor of a format that is recognised: name it with --from")
