"""Stills: frames of videos in which something new was found, as annotated pictures.

An episode begins when a label comes into view that was not there just before, and ends with the next such moment, or
when nothing is in view any longer. A label is in view until it is missing for more than a second and in more than one
analysed frame. Of each episode the surest frame is kept: that with the highest sum, over its labels, of the best score.
So a thing that stays gives one still however long it stays, and a flickering detection gives one, not a hundred.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from ovdet_cli.detections import Detections
from ovdet_cli.errors import UndrawableError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.images import write_image
from ovdet_cli.render.annotate import DrawnSink, place_in
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.render.tables import Table

COLUMNS = ("file", "source", "index", "time_s", "labels", "score", "detections", "from_s", "until_s")
_GAP_S = 1
_GAP_FRAMES = 1


class StillsSink(DrawnSink):
    """Writes `stills/SOURCE-INDEX.jpg` for each episode, and stills.csv; pictures are left alone."""

    def __init__(self, folder: Path, labels: Sequence[str], style: DrawStyle) -> None:
        super().__init__(folder, labels, style, only_hits=True)
        self._table = Table(folder / "stills.csv", COLUMNS)
        self._is_video = False
        self._place = 0
        self._seen: dict[int, tuple[Fraction, int]] = {}
        """Class in view -> when it was seen last, and in which analysed frame."""
        self._best: tuple[float, Frame, Detections] | None = None
        self._from_s = self._until_s = Fraction(0)

    def begin(self, source: SourceInfo) -> None:
        """Takes note of what is coming."""
        self._finish()
        self._is_video, self._place = source.kind == "video", 0

    def write(self, frame: Frame, detections: Detections) -> None:
        """Looks whether an episode begins, goes on or ends with a frame."""
        if not self._is_video or frame.time_s is None:
            return
        self._place += 1
        now_s = frame.time_s
        self._seen = {
            class_id: (last_s, place)
            for class_id, (last_s, place) in self._seen.items()
            if now_s - last_s <= _GAP_S or self._place - place <= _GAP_FRAMES + 1
        }
        here: dict[int, float] = {}
        for class_id, score in zip(detections.class_ids.tolist(), detections.scores.tolist(), strict=True):
            here[class_id] = max(score, here.get(class_id, 0.0))
        if not self._seen or not here.keys() <= self._seen.keys():
            self._save()
            self._from_s = now_s
        if not here:
            return
        self._until_s = now_s
        self._seen |= dict.fromkeys(here, (now_s, self._place))
        score = sum(here.values())
        if self._best is None or score > self._best[0]:
            self._best = (score, frame, detections)

    def _save(self) -> None:
        best, self._best = self._best, None
        if best is None:
            return
        _, frame, detections = best
        name = f"{frame.source}-{frame.index:06d}.jpg"
        try:
            write_image(place_in(self._folder / "stills", name), self._drawn(frame, detections))
        except UndrawableError as error:
            self._give_up(name, error)
            return
        labels = dict.fromkeys(self._labels[class_id] for class_id in detections.class_ids.tolist())
        head = (f"stills/{name}", frame.source, frame.index, frame.time_s, "; ".join(labels))
        score = round(float(detections.scores.max()), 6)
        self._table.add((*head, score, len(detections), self._from_s, self._until_s))

    def _finish(self) -> None:
        self._save()
        self._seen = {}

    def skip(self, failure: Failure) -> None:
        """A frame that could not be read neither ends an episode nor belongs to one."""

    def end(self, source: SourceInfo) -> None:
        """Writes the last episode's still."""
        self._finish()
        self._is_video = False

    def close(self) -> None:
        """Writes the still of a video that was interrupted, and closes the table."""
        self._finish()
        self._table.close()
