"""What is known of each object when its video has ended."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ovdet_cli.detections import Detections

_MOST_POINTS = 64
"""Points of a path: then every second one goes, so that a long track takes no more room than a short one."""


@dataclass(eq=False)
class TrackSummary:
    """One object of a video, from the detections that carry its id.

    class_id: as voted when it was last seen. best_box: float32 (4,), of the best score's first frame. path: time, x and
    y of the centre, thinned evenly; the first and the last are always there.
    """

    track_id: int
    class_id: int
    first_index: int
    first_s: float
    last_index: int
    last_s: float
    num_detections: int
    best_score: float
    best_index: int
    best_s: float
    best_box: np.ndarray
    sum_of_scores: float
    _points: list[tuple[float, float, float]] = field(default_factory=list)
    _stride: int = 1
    _last: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last detection."""
        return self.last_s - self.first_s

    @property
    def mean_score(self) -> float:
        """Of all its detections."""
        return self.sum_of_scores / self.num_detections

    @property
    def path(self) -> list[tuple[float, float, float]]:
        """(time in seconds, x, y) along the way."""
        return self._points if self._points[-1] == self._last else [*self._points, self._last]

    def add(self, box: np.ndarray, score: float, class_id: int, index: int, time_s: float) -> None:
        """One detection more."""
        if score > self.best_score:
            self.best_score, self.best_index, self.best_s, self.best_box = score, index, time_s, box
        x1, y1, x2, y2 = (float(v) for v in box)
        self._last = (time_s, (x1 + x2) / 2, (y1 + y2) / 2)
        if self.num_detections % self._stride == 0:
            self._points.append(self._last)
            if len(self._points) > _MOST_POINTS:
                self._points = self._points[::2]
                self._stride *= 2
        self.num_detections += 1
        self.sum_of_scores += score
        self.class_id, self.last_index, self.last_s = class_id, index, time_s


class TrackSummaries:
    """Gathers the objects of one video."""

    def __init__(self) -> None:
        self._tracks: dict[int, TrackSummary] = {}

    def add(self, detections: Detections, index: int, time_s: float) -> None:
        """The detections of one frame; those without an id are no object's."""
        if detections.track_ids is None:
            return
        for track_id, (box, score, class_id, _) in zip(detections.track_ids.tolist(), detections, strict=True):
            if track_id < 0:
                continue
            if track_id not in self._tracks:
                start = (index, time_s)
                self._tracks[track_id] = TrackSummary(track_id, class_id, *start, *start, 0, score, *start, box, 0.0)
            self._tracks[track_id].add(box, score, class_id, index, time_s)

    def __iter__(self) -> Iterator[TrackSummary]:
        yield from (self._tracks[track_id] for track_id in sorted(self._tracks))
