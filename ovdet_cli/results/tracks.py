"""tracks.csv: one row an object of a video, for runs that track.

A track_id is an object's within its source. Only detections in the records count, so that the rows of a track_id in
detections.csv are those that its row here sums up. The label is the one voted at the end, scores are smoothed. `path`
is text: `time:x,y` for points of the centre, between spaces, at most some 65 of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.results.csv_table import rows_text
from ovdet_cli.results.record import readable, shortest_floats
from ovdet_cli.results.sink import OutputFile, Sink
from ovdet_cli.tracking.summary import TrackSummaries, TrackSummary

TRACK_COLUMNS = (
    *("track_id", "source", "label", "class_id", "first_time_s", "last_time_s", "duration_s"),
    *("first_index", "last_index", "detections", "best_score", "best_index", "best_time_s"),
    *("best_x1", "best_y1", "best_x2", "best_y2", "mean_score", "path"),
)


class TracksSink(Sink):
    """Writes the rows of a video when it ends, also when the run is interrupted inside it."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self._labels = labels
        self._file = OutputFile(folder / "tracks.csv")
        self._file.write(rows_text([TRACK_COLUMNS]))
        self._source = ""
        self._tracks = TrackSummaries()

    def begin(self, source: SourceInfo) -> None:
        """What came before is whole."""
        self._finish()

    def write(self, frame: Frame, detections: Detections) -> None:
        """Takes note of one frame's objects."""
        if frame.time_s is not None:
            self._source = frame.source
            self._tracks.add(detections, frame.index, float(frame.time_s))

    def skip(self, failure: Failure) -> None:
        """What could not be seen changes nothing."""

    def end(self, source: SourceInfo) -> None:
        """Writes the video's rows."""
        self._finish()

    def close(self) -> None:
        """Writes those of a video that was interrupted, and closes the file."""
        try:
            self._finish()
        finally:
            self._file.close()

    def _finish(self) -> None:
        tracks, self._tracks = self._tracks, TrackSummaries()
        rows = [self._row(track) for track in tracks]
        if rows:
            self._file.write(rows_text(rows))

    def _row(self, track: TrackSummary) -> list[Any]:
        scores = shortest_floats(np.array([track.best_score, track.mean_score], np.float32))
        path = " ".join(f"{_short(t, 3)}:{_short(x, 1)},{_short(y, 1)}" for t, x, y in track.path)
        return [
            *(track.track_id, readable(self._source), readable(self._labels[track.class_id]), track.class_id),
            *(track.first_s, track.last_s, round(track.duration_s, 6), track.first_index, track.last_index),
            *(track.num_detections, scores[0], track.best_index, track.best_s),
            *(*shortest_floats(track.best_box), scores[1], path),
        ]


def _short(value: float, digits: int) -> str:
    """The number with so many decimals at most: 12 and 12.5, not 12.0 and 12.500."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
