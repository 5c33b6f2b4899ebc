"""The baseline: each detection takes the last box of its class that it overlaps most, the surest first."""

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.tracking.affinity import overlaps


class GreedyTracker:
    """IoU alone, without motion or weak detections.

    threshold: scores above this count. lost_s: as long a track waits. is_by_class: only the same class continues it.
    """

    def __init__(
        self, threshold: float = 0.5, iou: float = 0.3, lost_s: float = 1.0, *, is_by_class: bool = True
    ) -> None:
        self._threshold, self._iou, self._lost_s, self._is_by_class = threshold, iou, lost_s, is_by_class
        self._tracks: dict[int, tuple[np.ndarray, int, float]] = {}
        self._next_id = 1

    def update(self, detections: Detections, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """(ids, boxes) of the detections above the threshold."""
        found = detections.above(self._threshold)
        found = found.select(np.argsort(-found.scores, kind="stable"))
        self._tracks = {id_: track for id_, track in self._tracks.items() if time_s - track[2] <= self._lost_s}
        free = dict(self._tracks)
        ids = []
        for box, class_id in zip(found.boxes_xyxy, found.class_ids.tolist(), strict=True):
            known = [id_ for id_, track in free.items() if track[1] == class_id or not self._is_by_class]
            shared = overlaps(box[None], np.array([free[id_][0] for id_ in known]).reshape(-1, 4))[0]
            if len(known) and shared.max() >= self._iou:
                id_ = known[int(shared.argmax())]
                del free[id_]
            else:
                id_, self._next_id = self._next_id, self._next_id + 1
            self._tracks[id_] = (box, class_id, time_s)
            ids.append(id_)
        return np.array(ids, np.int64), found.boxes_xyxy
