"""What people have judged, held against a run: corrected shares, and thresholds by labelled pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ovdet_cli.analysis.correcting import CorrectedShare, corrected_share
from ovdet_cli.analysis.labels import LabelTable
from ovdet_cli.analysis.reviewed import Review, read_reviewed, tally
from ovdet_cli.analysis.store import Store
from ovdet_cli.analysis.suggesting import Suggestion, label_pictures, suggest_from_scores, suggest_from_truth
from ovdet_cli.evaluation.alignment import load_results
from ovdet_cli.evaluation.datasets import read_ground_truth

_SCORE_BINS = 200


def correct_shares(store: Store, table: LabelTable, path: Path) -> tuple[CorrectedShare, Review]:
    """The label table's shares, corrected by a checked sample of units in that file.

    Raises:
        InputError: the file cannot be read, contradicts itself, or is about other units.
    """
    names = [row[0] for row in store.rows("SELECT name FROM label ORDER BY label_id")]
    # Units of which no file could be looked at are in no denominator, so a review of them says nothing.
    known: dict[str, str] = {}
    files: dict[str, int] = {}
    for name, unit_id, num_files in store.rows(
        """SELECT s.name, unit_id, num_files FROM member JOIN unit USING (unit_id)
        JOIN source s USING (source_id)"""
    ):
        known[name] = str(unit_id)
        if num_files > 1:
            files[name] = num_files
    for key, unit_id in store.rows("SELECT key, unit_id FROM unit"):
        known.setdefault(key, str(unit_id))
    review = read_reviewed(path, known, names, files)
    units = pa.array([int(unit) for unit in review.units], pa.int32())
    store.put("reviewed", pa.table({"unit_id": units, "place": pa.array(range(len(units)), pa.int32())}))
    held = store.columns("SELECT place, label_id FROM presence JOIN reviewed USING (unit_id)")
    counts = tally(review, len(names), held["place"], held["label_id"])
    num_units = store.number("SELECT count(*) FROM unit")
    detected = table.columns["units"]
    ids = table.label_ids
    corrected = corrected_share(
        counts.detected_true[ids],
        counts.detected_checked[ids],
        counts.undetected_true[ids],
        counts.undetected_checked[ids],
        detected,
        num_units - detected,
    )
    return corrected, review


def from_histograms(store: Store, table: LabelTable, lowest: float) -> list[Suggestion]:
    """A threshold for each label of the table from how its scores are spread, above the lowest that was recorded."""
    lowest = min(lowest, 1 - 1e-6)
    edges = np.linspace(lowest, 1, _SCORE_BINS + 1)
    counts = np.zeros((len(table), _SCORE_BINS), np.int64)
    place_of = {label_id: place for place, label_id in enumerate(table.label_ids.tolist())}
    width = (1 - lowest) / _SCORE_BINS
    for label_id, place, count in store.rows(
        """SELECT label_id, greatest(least(floor((score - ?) / ?), ?), 0)::INTEGER AS place, count(*)
        FROM det JOIN shown USING (frame_id) WHERE score >= ? GROUP BY ALL""",
        lowest,
        width,
        _SCORE_BINS - 1,
        lowest,
    ):
        if label_id in place_of:
            counts[place_of[label_id], place] = count
    return suggest_from_scores(counts, edges)


def from_truth(runs: Sequence[Path], table: LabelTable, truth: Path, lowest: float) -> list[Suggestion]:
    """A threshold for each label of the table by labelled pictures (a COCO file) that a run has analysed.

    Raises:
        InputError or RecordError: the file cannot be read, or no run has analysed one of its pictures.
    """
    given = read_ground_truth(truth)
    results: list[Any] = []
    missing: set[str] | None = None
    for run in runs:
        aligned = load_results(run, given)
        results += aligned.results
        absent = {*(aligned.missing_images or ()), *aligned.failures}
        missing = absent if missing is None else missing & absent
    seen = [image.id for image in given.images if image.file_name not in (missing or ())]
    labelled = label_pictures(given, results, seen)
    by_name = {given.categories[category]: of_label for category, of_label in labelled.items()}
    return [
        suggest_from_truth(by_name[name], lowest)
        if name in by_name
        else Suggestion(None, "the labelled pictures do not speak of it")
        for name in table.columns["label"]
    ]
