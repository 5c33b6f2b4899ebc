"""ovdet eval: results against ground truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ovdet_cli.cli import console
from ovdet_cli.errors import OutputError, UsageError

if TYPE_CHECKING:
    from ovdet_cli.evaluation.alignment import Aligned
    from ovdet_cli.evaluation.coco_ap import AP, Scores
    from ovdet_cli.evaluation.datasets import GroundTruth

_COLUMNS = ("", "AP", "AP50", "AP75", "small", "medium", "large", "recall", "categories", "objects")
_SHOWN_NAMES = 3
# COCO's tools are given scores down to 0.05 or less: what is not recorded cannot be recalled.
_WEAK_SCORE = 0.05
_DEFAULT_THRESHOLD = 0.5


def evaluate(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_RESULTS", help="A run folder, its detections.jsonl or .csv, or a file of COCO results."
        ),
    ],
    truth: Annotated[
        Path, typer.Option("--truth", metavar="FILE", help="Ground truth: annotations in COCO's format (JSON).")
    ],
    novel: Annotated[
        Path | None,
        typer.Option(
            "--novel", metavar="FILE", help="Names that were new to the model, one a line: base and novel apart."
        ),
    ] = None,
    masks: Annotated[bool, typer.Option("--masks/--boxes", help="Compare masks, or boxes.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", min=0, max=1, help="Score for precision and recall. Default: the run's own, else 0.5."
        ),
    ] = None,
    max_det: Annotated[int, typer.Option("--max-det", min=1, help="Detections a picture that count.")] = 300,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="Categories to print.")] = 30,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write all numbers as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the tables and errors.")] = False,
) -> None:
    """Average precision of a run, as COCO measures it.

    Pictures are matched by file name, classes by name. Needs faster-coco-eval, which ovdet's extra "eval" brings.
    """
    from ovdet_cli.evaluation.alignment import load_results
    from ovdet_cli.evaluation.coco_ap import evaluate as measure
    from ovdet_cli.evaluation.datasets import read_ground_truth

    given = read_ground_truth(truth)
    groups = _groups(given, novel)
    aligned = load_results(results, given, with_masks=masks)
    if not quiet:
        _warn(aligned, given)
    if threshold is None:
        threshold = float(aligned.settings.get("threshold", _DEFAULT_THRESHOLD))
    iou_type: Literal["bbox", "segm"] = "segm" if masks else "bbox"
    scores = measure(given, aligned.results, category_groups=groups, iou_type=iou_type, max_detections=max_det)
    at_threshold = _at_threshold(given, aligned, groups, threshold)
    if json != Path("-"):
        _print(scores, at_threshold, top)
    if json is not None:
        _write(json, scores.to_dict() | at_threshold)


def _groups(truth: "GroundTruth", novel: Path | None) -> dict[str, list[int]]:
    """Category ids of base and novel; nothing without a list of novel names."""
    if novel is None:
        return {}
    from ovdet_cli.evaluation.names import find_names
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

    ids, names = list(truth.categories), list(Vocabulary.from_file(novel).names)
    places = find_names(names, list(truth.categories.values()))
    if missing := [name for name, place in zip(names, places, strict=True) if place is None]:
        raise UsageError(f"{novel}: {_some(missing)}: no category of {truth.path}")
    is_novel = {ids[place] for place in places if place is not None}
    return {"base": [id_ for id_ in ids if id_ not in is_novel], "novel": sorted(is_novel)}


def _warn(aligned: "Aligned", truth: "GroundTruth") -> None:
    """What the numbers do not tell by themselves."""
    missing = aligned.missing_images or ()
    notes = [
        (missing, f"{len(missing)} of {len(truth.images)} pictures of the truth are not in the results: counted empty"),
        (aligned.failures, f"{len(aligned.failures)} pictures failed in the run: counted empty"),
        (aligned.resized, f"{len(aligned.resized)} pictures have another size in the truth, so boxes may not fit"),
        (aligned.unmatched_sources, f"{len(aligned.unmatched_sources)} pictures are not in the truth: left out"),
        (aligned.missing_names or (), f"{len(aligned.missing_names or ())} names of the truth were not looked for"),
    ]
    for names, text in notes:
        if names:
            console.warn(f"{text} ({_some(names)})")
    if aligned.foreign_labels:
        count, labels = sum(aligned.foreign_labels.values()), list(aligned.foreign_labels)
        console.say(f"{count} detections with names that the truth does not have are left out ({_some(labels)})")
    recorded = aligned.settings.get("record_threshold")
    if recorded is not None and recorded > _WEAK_SCORE:
        console.warn(
            f"the run recorded scores above {recorded:g} only, which lowers AP; detect with --record-threshold 0.01"
        )


def _at_threshold(
    truth: "GroundTruth", aligned: "Aligned", groups: Mapping[str, Sequence[int]], threshold: float
) -> dict[str, Any]:
    """Precision and recall at one score, and how often scores are right, of boxes at IoU 0.5."""
    from dataclasses import asdict

    from ovdet_cli.evaluation.matching import calibration_error, match_boxes, operating_point, reliability

    overall = match_boxes(truth, aligned.results)
    points = {"all": operating_point(overall, threshold)}
    for name, ids in groups.items():
        points[name] = operating_point(match_boxes(truth, aligned.results, category_ids=set(ids)), threshold)
    table = reliability(overall.scores, overall.is_correct)
    return {
        "at_threshold": {name: asdict(point) for name, point in points.items()},
        "reliability": [asdict(row) for row in table],
        "calibration_error": calibration_error(table),
    }


def _print(scores: "Scores", at_threshold: dict[str, Any], top: int) -> None:
    kind = "Masks" if scores.iou_type == "segm" else "Boxes"
    rows = [_row("all", scores.overall), *(_row(name, ap) for name, ap in scores.category_groups.items())]
    console.print_table(f"{kind}: {scores.num_results} results on {scores.num_images} pictures", _COLUMNS, rows)
    points = at_threshold["at_threshold"]
    console.print_table(
        f"\nBoxes with a score above {points['all']['threshold']:g}, right at IoU 0.5",
        ("", "precision", "recall", "detections", "objects"),
        [
            [name, _cell(p["precision"]), _cell(p["recall"]), p["num_detections"], p["num_objects"]]
            for name, p in points.items()
        ],
    )
    if top:
        names = sorted(scores.categories, key=lambda name: (-scores.categories[name].num_objects, name))
        count = f"{len(names)}" if len(names) <= top else f"the {top} with most objects of {len(names)}"
        shown = [_row(name, scores.categories[name]) for name in names[:top]]
        places = [i for i, name in enumerate(_COLUMNS) if name != "categories"]
        header = [_COLUMNS[i] for i in places]
        console.print_table(f"\nCategories ({count})", header, [[row[i] for i in places] for row in shown])


def _row(name: str, ap: "AP") -> list[Any]:
    numbers = (ap.ap, ap.at_50, ap.at_75, ap.small, ap.medium, ap.large, ap.recall)
    return [_safe(name), *map(_cell, numbers), ap.num_categories, ap.num_objects]


def _safe(text: str) -> str:
    """The text without control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cell(value: float | None) -> Any:
    return "-" if value is None else value


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_safe(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown}, ..."


def _write(path: Path, numbers: dict[str, Any]) -> None:
    if path == Path("-"):
        console.print_json(numbers)
        return
    import orjson

    try:
        path.write_bytes(orjson.dumps(numbers, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
