"""A run's results in the terms of a ground truth: pictures matched by file name, classes by name."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any

from ovdet_cli.errors import RecordError
from ovdet_cli.evaluation.datasets import GroundTruth
from ovdet_cli.evaluation.names import find_names
from ovdet_cli.results.coco import read_coco_images, read_coco_results
from ovdet_cli.results.record import shortest_floats
from ovdet_cli.results.rle import encode_rle
from ovdet_cli.results.runs import Run, load_run

_RESULTS, _IMAGES = "coco_results.json", "coco_images.json"


@dataclass(frozen=True)
class Aligned:
    """Results with the truth's ids, and what had no partner.

    results: COCO results, boxes in pixels. unmatched_sources: pictures of the run that the truth does not have.
    missing_images: pictures of the truth that the run does not have; None where the results cannot tell.
    failures: pictures of the truth that the run failed on. resized: those that had another size there.
    foreign_labels: detections left out, by label that the truth does not have.
    missing_names: names of the truth that were not looked for; None where that is not known.
    settings: the run's own, {} where not known.
    """

    results: list[dict[str, Any]]
    unmatched_sources: tuple[str, ...] = ()
    missing_images: tuple[str, ...] | None = None
    failures: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    foreign_labels: Mapping[str, int] = field(default_factory=dict)
    missing_names: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def load_results(path: Path, truth: GroundTruth, *, with_masks: bool = False) -> Aligned:
    """The results at `path`: a run folder, its detections.jsonl, .parquet or .csv, or a file of COCO results.

    A COCO file beside which a coco_images.json stands is matched by names; else its ids are the truth's own.

    Raises:
        RecordError: there are no readable results, none belongs to the truth, or masks are wanted and not there.
    """
    if path.is_dir() and not any((path / name).is_file() for name in ("detections.jsonl", "detections.csv")):
        path = path / _RESULTS if (path / _RESULTS).is_file() else path
    if path.suffix != ".json":
        return _align_run(load_run(path, with_masks=with_masks), truth, with_masks)
    results = read_coco_results(path)
    images = path.with_name(_IMAGES)
    return _align_coco(results, read_coco_images(images), truth) if images.is_file() else Aligned(results, (), None)


def match_sources(sources: Iterable[str], truth: GroundTruth) -> dict[str, int]:
    """The image id of each source that is one of the truth's pictures.

    Equal paths win; else one path must end in the other: "val/a.jpg" is "a.jpg" and "data/val/a.jpg".

    Raises:
        RecordError: a source fits several pictures, or several sources fit one.
    """
    by_name: defaultdict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    exact = {}
    for image in truth.images:
        parts = PurePosixPath(image.file_name.replace("\\", "/")).parts
        by_name[parts[-1] if parts else ""].append((parts, image.id))
        exact[image.file_name] = image.id
    matched: dict[str, int] = {}
    taken: dict[int, str] = {}
    for source in sources:
        if source in exact:
            ids = [exact[source]]
        else:
            own = PurePosixPath(source).parts
            ids = [id_ for parts, id_ in by_name[own[-1] if own else ""] if _is_tail(own, parts)]
        if len(ids) > 1:
            raise RecordError(f"{source} may be any of {len(ids)} pictures of {truth.path}; run on the folder above it")
        for id_ in ids:
            if id_ in taken:
                raise RecordError(f"{taken[id_]} and {source} are one picture in {truth.path}; evaluate them apart")
            matched[source], taken[id_] = id_, source
    return matched


def _is_tail(one: Sequence[str], other: Sequence[str]) -> bool:
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


def _align_run(run: Run, truth: GroundTruth, with_masks: bool) -> Aligned:
    frames = run.frames
    keys = [_frame_key(*row) for row in zip(frames["source"], frames["index"], frames["time_s"], strict=True)]
    ids = _matched_or_fail(keys, truth)
    names = {image.id: image for image in truth.images}
    failures, resized = [], []
    sizes = zip(keys, frames["status"], frames["height"], frames["width"], strict=True)
    for key, status, height, width in sizes:
        if (image := names.get(ids.get(key, -1))) is None:
            continue
        if status != "ok":
            failures.append(image.file_name)
        # A run that was converted may not know a size: NA, which compares with nothing.
        elif isinstance(height, Integral) and image.size_hw not in (None, (height, width)):
            resized.append(image.file_name)
    results, foreign = _run_results(run, ids, truth, with_masks)
    vocabulary = run.info.get("vocabulary", {}).get("names")
    return Aligned(
        results,
        tuple(key for key in keys if key not in ids),
        tuple(image.file_name for image in truth.images if image.id not in set(ids.values())),
        tuple(failures),
        tuple(resized),
        foreign,
        None if vocabulary is None else _missing_names(vocabulary, truth),
        run.info.get("settings", {}),
    )


def _run_results(
    run: Run, ids: Mapping[str, int], truth: GroundTruth, with_masks: bool
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The run's detections on the truth's pictures, and how many of each foreign label were left out."""
    table = run.detections
    if with_masks and len(table) and "mask" not in table:
        raise RecordError(f"{run.path} has no masks; run again without --no-masks, or evaluate boxes")
    categories = _categories(table["label"].unique(), truth)
    boxes = table[["x1", "y1", "x2", "y2"]].to_numpy(copy=True)
    boxes[:, 2:] -= boxes[:, :2]
    masks = table["mask"] if with_masks and "mask" in table else [None] * len(table)
    columns = (table["source"], table["index"], table["time_s"], table["label"])
    numbers = shortest_floats(boxes), shortest_floats(table["score"].to_numpy())
    results, foreign = [], Counter[str]()
    for source, index, time_s, label, box, score, mask in zip(*columns, *numbers, masks, strict=True):
        image_id = ids.get(_frame_key(source, index, time_s))
        if image_id is None:
            continue
        if label not in categories:
            foreign[label] += 1
            continue
        result = {"image_id": image_id, "category_id": categories[label], "bbox": box, "score": score}
        if with_masks:
            if mask is None:
                raise RecordError(f"{run.path}: a detection in {source} has no mask; evaluate boxes")
            result["segmentation"] = encode_rle(mask)
        results.append(result)
    return results, foreign


def _align_coco(results: Sequence[dict[str, Any]], images: Mapping[str, Any], truth: GroundTruth) -> Aligned:
    try:
        names = {entry["id"]: entry["file_name"] for entry in images["images"]}
        labels = {entry["id"]: entry["name"] for entry in images["categories"]}
        ids = _matched_or_fail(names.values(), truth)
        categories = _categories(labels.values(), truth)
        kept, foreign = [], Counter[str]()
        for result in results:
            name, label = names[result["image_id"]], labels[result["category_id"]]
            if label not in categories:
                foreign[label] += name in ids
            elif name in ids:
                kept.append({**result, "image_id": ids[name], "category_id": categories[label]})
    except (KeyError, TypeError) as error:
        raise RecordError(f"the COCO results and the {_IMAGES} beside them do not fit: {error!r}") from error
    return Aligned(
        kept,
        tuple(name for name in names.values() if name not in ids),
        tuple(image.file_name for image in truth.images if image.id not in set(ids.values())),
        foreign_labels=+foreign,
        missing_names=_missing_names(list(labels.values()), truth),
    )


def _frame_key(source: str, index: int, time_s: float) -> str:
    """A picture's source; a video frame's as in coco_images.json. time_s: NaN for a picture."""
    return source if time_s != time_s else f"{source}#frame={index}"


def _matched_or_fail(sources: Iterable[str], truth: GroundTruth) -> dict[str, int]:
    sources = list(sources)
    ids = match_sources(sources, truth)
    if not ids:
        example = f", such as {sources[0]}" if sources else ""
        raise RecordError(
            f"none of the {len(sources)} pictures of the results{example}, is one of the {len(truth.images)} in "
            f"{truth.path}; are these the right annotations?"
        )
    return ids


def _categories(labels: Iterable[str], truth: GroundTruth) -> dict[str, int]:
    """The category id of each label that the truth has."""
    labels = list(labels)
    used = {thing.category_id for thing in truth.objects}
    # Some tools export an unused category beside the real one of the same name.
    ids = sorted(truth.categories, key=lambda id_: id_ not in used)
    places = find_names(labels, [truth.categories[id_] for id_ in ids])
    return {label: ids[place] for label, place in zip(labels, places, strict=True) if place is not None}


def _missing_names(vocabulary: Sequence[str], truth: GroundTruth) -> tuple[str, ...]:
    """Names of objects in the truth that the vocabulary does not have."""
    names = list(dict.fromkeys(truth.categories[thing.category_id] for thing in truth.objects))
    return tuple(name for name, place in zip(names, find_names(names, vocabulary), strict=True) if place is None)
