"""Crops: every thing that was found as a picture of its own, one folder a label."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.errors import UndrawableError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.images import write_image
from ovdet_cli.render.annotate import DrawnSink
from ovdet_cli.render.draw import DrawStyle, pixel_boxes
from ovdet_cli.render.tables import Table, file_name
from ovdet_cli.results.record import shortest_floats

COLUMNS = ("file", "source", "index", "time_s", "label", "score", "x1", "y1", "x2", "y2", "track_id")
_UNSEEN_S = 3  # after that a track's best crop goes to disk; should the track come back with a better one, that stands


@dataclass(eq=False)
class _Best:
    """The surest crop of a track. image: None once it is written."""

    image: np.ndarray | None
    name: str
    label: str
    row: tuple[Any, ...]
    score: float
    seen_s: Fraction
    is_written: bool = False


class CropsSink(DrawnSink):
    """Writes `crops/LABEL/SOURCE-INDEX-N.jpg` for the Nth thing of a frame, and crops.csv.

    margin: what is kept around a box, in shares of its longer side. best_of_track: of an object with a track id only
    its surest crop is kept (and nothing of what has no id yet); its row comes when its video has ended.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str], style: DrawStyle, margin: float, *, best_of_track: bool
    ) -> None:
        super().__init__(folder, labels, style, only_hits=True)
        self._margin = margin
        self._best_of_track = best_of_track
        self._folders = [file_name(label) for label in labels]
        self._table = Table(folder / "crops.csv", COLUMNS)
        self._is_video = False
        self._best: dict[int, _Best] = {}

    def begin(self, source: SourceInfo) -> None:
        """Takes note of what is coming."""
        self._flush()
        self._is_video = source.kind == "video"

    def write(self, frame: Frame, detections: Detections) -> None:
        """Cuts out what was found in one frame."""
        if frame.is_reused:
            return  # the same picture once more
        source = file_name(frame.source)
        index = f"{frame.index:06d}" if self._is_video else str(frame.index)
        boxes = pixel_boxes(detections.boxes_xyxy, frame.size_hw).tolist()
        ids = [None] * len(detections) if detections.track_ids is None else detections.track_ids.tolist()
        exact, scores = shortest_floats(detections.boxes_xyxy), shortest_floats(detections.scores)
        for number, (box, id_, class_id) in enumerate(zip(boxes, ids, detections.class_ids.tolist(), strict=True)):
            label = self._labels[class_id]
            name = f"{source}-{index}-{number}.jpg"
            head = (frame.source, frame.index, frame.time_s, label, scores[number], *exact[number])
            row = (*head, None if id_ is None or id_ < 0 else id_)
            if id_ is None or not self._best_of_track:
                self._put(self._cropped(frame.image, box), f"{self._folders[class_id]}/{name}", row)
            elif id_ >= 0:
                self._keep(frame, box, id_, f"{self._folders[class_id]}/{name}", label, row)
        self._retire(frame.time_s)

    def _keep(self, frame: Frame, box: Sequence[int], id_: int, name: str, label: str, row: tuple[Any, ...]) -> None:
        score, now_s = float(row[4]), frame.time_s or Fraction(0)
        best = self._best.get(id_)
        if best is not None and best.score >= score:
            best.seen_s = now_s
            return
        if best is not None and best.is_written:
            (self._folder / "crops" / best.name).unlink(missing_ok=True)
        self._best[id_] = _Best(self._cropped(frame.image, box).copy(), name, label, row, score, now_s)

    def _retire(self, now_s: Fraction | None) -> None:
        """Writes the crops of tracks that are out of sight, so that none waits in memory for a long video to end."""
        for best in self._best.values():
            if now_s is not None and best.image is not None and now_s - best.seen_s > _UNSEEN_S:
                best.is_written = self._write(best.image, best.name)
                best.image = None

    def _cropped(self, image: np.ndarray, box: Sequence[int]) -> np.ndarray:
        left, top, right, bottom = box
        margin = round(self._margin * max(right - left, bottom - top))
        return image[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]

    def _put(self, crop: np.ndarray, name: str, row: tuple[Any, ...]) -> None:
        if self._write(crop, name):
            self._table.add((f"crops/{name}", *row))

    def _write(self, crop: np.ndarray, name: str) -> bool:
        try:
            write_image(self._folder / "crops" / name, crop)
        except UndrawableError as error:
            self._give_up(name, error)
            return False
        return True

    def _flush(self) -> None:
        held, self._best = self._best, {}
        for _, best in sorted(held.items()):
            if best.image is not None:
                best.is_written = self._write(best.image, best.name)
            if best.is_written:
                self._table.add((f"crops/{best.name}", *best.row))

    def skip(self, failure: Failure) -> None:
        """A frame that could not be read has nothing in it."""

    def end(self, source: SourceInfo) -> None:
        """Writes what is left of the video's tracks."""
        self._flush()

    def close(self) -> None:
        """Writes what is left of a video that was interrupted, and closes the table."""
        self._flush()
        self._table.close()
