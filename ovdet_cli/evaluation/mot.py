"""How well objects keep their name through a video: CLEAR MOT, IDF1 and HOTA of boxes with ids.

CLEAR MOT (Bernardin and Stiefelhagen, EURASIP JIVP 2008), IDF1 (Ristani et al., arXiv:1609.01775) and HOTA (Luiten et
al., arXiv:2009.07736), with the rules of matching that the official tools have: motmetrics for the first two, TrackEval
for HOTA.
"""

# F frames, G objects of a frame, D tracked boxes of a frame, O objects, T tracks of the video, A values of alpha

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ovdet_cli.tracking.affinity import overlaps
from ovdet_cli.tracking.assignment import assign

_ALPHAS = np.arange(1, 20) * 0.05
_EDGE = 1e-9  # an IoU of exactly alpha counts, whatever its rounding


@dataclass(frozen=True, eq=False)
class MotFrame:
    """Ground truth and result of one frame: ids int64 (G,) and (D,), each once; boxes x1 y1 x2 y2 (G, 4) and (D, 4)."""

    truth_ids: np.ndarray
    truth_boxes: np.ndarray
    track_ids: np.ndarray
    track_boxes: np.ndarray

    def __post_init__(self) -> None:
        for ids, boxes in ((self.truth_ids, self.truth_boxes), (self.track_ids, self.track_boxes)):
            if boxes.shape != (len(ids), 4):
                raise ValueError(f"{len(ids)} ids need boxes of shape ({len(ids)}, 4), not {boxes.shape}")
            if len(np.unique(ids)) < len(ids):
                raise ValueError("an id stands twice in one frame")


@dataclass(frozen=True)
class MotScores:
    """What tracking gives over a video. Shares are None where there is nothing to tell by.

    mota: 1 - (misses + false_positives + id_switches) / num_boxes, at most 1, below 0 where mistakes prevail.
    motp: mean IoU of the matches. idf1, id_precision, id_recall: boxes under the one track that is each object's, in
    [0, 1]. hota: geometric mean of det_a (detection) and ass_a (association), each in [0, 1], mean over IoUs 0.05 ..
    0.95. id_switches: an object is matched to another track than at its last match. fragmentations: an object loses
    its match and gets one again. num_boxes: of the ground truth.
    """

    mota: float | None
    motp: float | None
    idf1: float | None
    id_precision: float | None
    id_recall: float | None
    hota: float | None
    det_a: float | None
    ass_a: float | None
    id_switches: int
    fragmentations: int
    misses: int
    false_positives: int
    num_boxes: int
    num_objects: int
    num_tracks: int


def score_tracks(frames: Sequence[MotFrame], iou: float = 0.5) -> MotScores:
    """The scores of a video, frame by frame in order. iou: from which on a box counts as found (not for HOTA)."""
    shared = [overlaps(frame.truth_boxes, frame.track_boxes) for frame in frames]
    clear = _clear(frames, shared, iou)
    num_boxes = sum(len(frame.truth_ids) for frame in frames)
    num_found = sum(len(frame.track_ids) for frame in frames)
    errors = clear.misses + clear.false_positives + clear.id_switches
    id_matches = _id_matches(frames, shared, iou)
    hota, det_a, ass_a = _hota(frames, shared)
    return MotScores(
        mota=1 - errors / num_boxes if num_boxes else None,
        motp=clear.overlap / clear.matches if clear.matches else None,
        idf1=_share(2 * id_matches, num_boxes + num_found),
        id_precision=_share(id_matches, num_found),
        id_recall=_share(id_matches, num_boxes),
        hota=hota,
        det_a=det_a,
        ass_a=ass_a,
        id_switches=clear.id_switches,
        fragmentations=clear.fragmentations,
        misses=clear.misses,
        false_positives=clear.false_positives,
        num_boxes=num_boxes,
        num_objects=len({id_ for frame in frames for id_ in frame.truth_ids.tolist()}),
        num_tracks=len({id_ for frame in frames for id_ in frame.track_ids.tolist()}),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@dataclass
class _Clear:
    matches: int = 0
    misses: int = 0
    false_positives: int = 0
    id_switches: int = 0
    fragmentations: int = 0
    overlap: float = 0.0


def _clear(frames: Sequence[MotFrame], shared: Sequence[np.ndarray], iou: float) -> _Clear:
    """Counts of CLEAR MOT: a pair of the frame before stays one while it overlaps enough; the rest overlaps most."""
    counts = _Clear()
    last: dict[int, int] = {}  # the track of each object at its last match
    history: defaultdict[int, list[bool]] = defaultdict(list)  # of each object: matched or not, where it was there
    for frame, ious in zip(frames, shared, strict=True):
        truth, tracks = frame.truth_ids.tolist(), frame.track_ids.tolist()
        column_of = {id_: column for column, id_ in enumerate(tracks)}
        pairs: dict[int, int] = {}
        used: set[int] = set()
        for row, id_ in enumerate(truth):
            column = column_of.get(last.get(id_, -1), -1) if id_ in last else -1
            if column >= 0 and column not in used and ious[row, column] >= iou - _EDGE:
                pairs[row] = column
                used.add(column)
        rows = [row for row in range(len(truth)) if row not in pairs]
        columns = [column for column in range(len(tracks)) if column not in used]
        if rows and columns:
            part = ious[np.ix_(rows, columns)]
            # As many pairs as can be, and of these the ones that overlap most.
            taken, given = assign(np.where(part >= iou - _EDGE, len(rows) + part, 0.0))
            pairs |= {rows[i]: columns[j] for i, j in zip(taken.tolist(), given.tolist(), strict=True)}
        for row, column in pairs.items():
            id_, track = truth[row], tracks[column]
            counts.id_switches += id_ in last and last[id_] != track
            last[id_] = track
            counts.overlap += float(ious[row, column])
        for row, id_ in enumerate(truth):
            history[id_].append(row in pairs)
        counts.matches += len(pairs)
        counts.misses += len(truth) - len(pairs)
        counts.false_positives += len(tracks) - len(pairs)
    for matched in history.values():
        began = np.flatnonzero(np.diff(np.array(matched, np.int8), prepend=0) == 1)
        counts.fragmentations += max(len(began) - 1, 0)
    return counts


def _places(frames: Sequence[MotFrame]) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """For each frame the rows of its objects and tracks among all of the video, and how many boxes each has."""
    empty = np.zeros(0, np.int64)
    objects, object_places = np.unique(np.concatenate([empty, *(f.truth_ids for f in frames)]), return_inverse=True)
    tracks, track_places = np.unique(np.concatenate([empty, *(f.track_ids for f in frames)]), return_inverse=True)
    truth_ends = np.cumsum([len(f.truth_ids) for f in frames])[:-1]
    track_ends = np.cumsum([len(f.track_ids) for f in frames])[:-1]
    rows, columns = np.split(object_places, truth_ends), np.split(track_places, track_ends)
    counts_O, counts_T = np.bincount(object_places, minlength=len(objects)), np.bincount(track_places)
    return rows, columns, counts_O, np.pad(counts_T, (0, len(tracks) - len(counts_T)))


def _id_matches(frames: Sequence[MotFrame], shared: Sequence[np.ndarray], iou: float) -> int:
    """IDTP: boxes that overlap enough under the one-to-one mapping of objects and tracks that has most of them."""
    if not frames:
        return 0
    rows, columns, counts_O, counts_T = _places(frames)
    together = np.zeros((len(counts_O), len(counts_T)))
    for row, column, ious in zip(rows, columns, shared, strict=True):
        together[np.ix_(row, column)] += ious >= iou - _EDGE
    return int(together[assign(together)].sum())


def _hota(frames: Sequence[MotFrame], shared: Sequence[np.ndarray]) -> tuple[float | None, float | None, float | None]:
    """HOTA, DetA and AssA, mean over alpha.

    HOTA_a = sqrt(DetA_a AssA_a); DetA = TP / (TP + FN + FP); AssA = mean over TP of TPA / (TPA + FNA + FPA). As in
    TrackEval a frame's pairs are those with the largest sum of overlap times the overlap of object and track over the
    whole video, for every alpha the same.
    """
    if not frames:
        return None, None, None
    rows, columns, counts_O, counts_T = _places(frames)
    if not len(counts_O) and not len(counts_T):
        return None, None, None
    potential = np.zeros((len(counts_O), len(counts_T)))
    for row, column, ious in zip(rows, columns, shared, strict=True):
        if ious.size:
            whole = ious.sum(axis=1, keepdims=True) + ious.sum(axis=0, keepdims=True) - ious
            potential[np.ix_(row, column)] += np.divide(ious, whole, out=np.zeros_like(ious), where=whole > 0)
    either = counts_O[:, None] + counts_T[None]
    alignment = potential / np.maximum(either - potential, 1e-12)
    together_A = np.zeros((len(_ALPHAS), len(counts_O), len(counts_T)))
    for row, column, ious in zip(rows, columns, shared, strict=True):
        taken, given = assign(alignment[np.ix_(row, column)] * ious)
        is_match = ious[taken, given][None] >= _ALPHAS[:, None] - _EDGE
        together_A[:, row[taken], column[given]] += is_match
    matches_A = together_A.sum(axis=(1, 2))
    det_A = matches_A / (counts_O.sum() + counts_T.sum() - matches_A)
    jaccard = together_A / np.maximum(either - together_A, 1)
    ass_A = (together_A * jaccard).sum(axis=(1, 2)) / np.maximum(matches_A, 1)
    return float(np.sqrt(det_A * ass_A).mean()), float(det_A.mean()), float(ass_A.mean())
