"""Tracker: which detections of a video are the same object.

ByteTrack (arXiv:2110.06864): strong detections are matched to all tracks, then weak ones to those that were still seen
a moment ago, and only strong ones begin tracks. Knowing differences: the motion model is exact in seconds (motion.py),
its uncertainty widens the overlap, and classes take part (affinity.py), as open vocabularies call one object by
several names:

- A track has one label, that with the most votes, where a vote is a detection's score; its detections get that label.
- Two detections of different classes on nearly the same box (`same_box`) are one object. Each may continue a track of
  its own that exists; but a new track never begins on a box that has one. The other labels stay detections without an
  id, and vote.
- Two tracks of different classes that stay on the same box, and take turns or share it to the pixel, are one object:
  the older one takes over.
"""

# T tracks, N detections

from dataclasses import dataclass, replace

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.tracking.affinity import affinities, overlaps
from ovdet_cli.tracking.assignment import assign
from ovdet_cli.tracking.motion import Motion, tamed
from ovdet_cli.tracking.settings import TrackSettings

NO_TRACK = -1


@dataclass(frozen=True, eq=False)
class Tracked:
    """Detections of a frame, in the order they came in, and what tracking says of them.

    track_ids: int64 (N,), -1 where there is none (yet). scores: float32 (N,), smoothed over the track. class_ids:
    int64 (N,), the track's. Without a track score and class are the detection's own.
    """

    detections: Detections
    track_ids: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray

    @property
    def result(self) -> Detections:
        """The detections with ids, scores and classes of their tracks, surest first."""
        found = replace(self.detections, track_ids=self.track_ids, scores=self.scores, class_ids=self.class_ids)
        return found.select(np.argsort(-self.scores, kind="stable"))


_TURNS = 3
"""Times that a younger track is seen on an older one's box, while that is seen too, before they are taken for one."""
_VERY_SAME = 0.95
"""Overlap of boxes of one region; those of two objects differ more, if only by jitter."""


@dataclass(eq=False)
class _Track:
    """What is known of one object beside its motion.

    id: -1 until it is confirmed. missed: updates since the last. double_of: the older track on whose box it is, and
    how often either was seen since.
    """

    id: int
    seen_s: float
    score: float
    class_id: int
    votes: dict[int, float]
    hits: int = 1
    missed: int = 0
    double_of: "_Track | None" = None
    turns: int = 0
    turns_of_older: int = 0


class Tracker:
    """Follows the objects of one video; the same detections give the same ids."""

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self._settings = settings or TrackSettings()
        self._tracks: list[_Track] = []
        self._motion = Motion.of(np.zeros((0, 4)))
        self._time_s: float | None = None
        self._is_beginning = True
        self._next_id = 1

    def cut(self) -> None:
        """A new shot begins with the next frame: nothing that was followed goes on, and no id comes twice."""
        self._forget(set(range(len(self._tracks))), np.zeros(0, np.int64))
        self._is_beginning = True

    def update(self, detections: Detections, time_s: float, is_high: np.ndarray | None = None) -> Tracked:
        """Takes the detections of the next frame.

        time_s: of the frame; one that goes back counts as no time. is_high: bool (N,), which detections begin tracks
        (default: scores above the settings' `high`).
        """
        if not np.isfinite(time_s):
            raise ValueError(f"a frame's time is a number of seconds, not {time_s}")
        is_first, self._is_beginning = self._is_beginning, False
        before = time_s if self._time_s is None else self._time_s
        now = self._time_s = max(time_s, before)
        self._motion = self._motion.after(now - before)
        self._end_lost(now)

        # In an order of their own, so that no frame depends on the order in which its detections came.
        scores = detections.scores.astype(np.float64)
        boxes = tamed(detections.boxes_xyxy)
        order = np.lexsort((*boxes.T[::-1], detections.class_ids, -scores))
        high = scores > self._settings.high if is_high is None else is_high
        frame = _Frame(boxes[order], scores[order], detections.class_ids[order], high[order])
        track_of = self._match(frame)
        sibling_of = _siblings(frame, track_of >= 0, self._settings.same_box)
        self._learn(frame, track_of, sibling_of, now)
        self._merge_doubles(frame, track_of)
        self._begin(frame, track_of, now, is_first)

        ids = np.full(len(order), NO_TRACK)
        smoothed, class_ids = detections.scores.copy(), detections.class_ids.copy()
        holder_of = self._holders(frame, track_of, sibling_of)
        for row, track in holder_of.items():
            if track.id != NO_TRACK:
                ids[order[row]], smoothed[order[row]], class_ids[order[row]] = track.id, track.score, track.class_id
        return Tracked(detections, ids, np.clip(smoothed, 0, 1), class_ids)

    def moved(self, detections: Detections, time_s: float) -> np.ndarray:
        """Where the boxes of the last update's result are at a later time: float64 (N, 4), those without an id stay."""
        boxes = detections.boxes_xyxy.astype(np.float64)
        if detections.track_ids is None or self._time_s is None or not len(self._motion):
            return boxes
        shift = self._motion.after(time_s - self._time_s).means - self._motion.means
        shift_of = {track.id: row for row, track in enumerate(self._tracks) if track.id != NO_TRACK}
        rows = np.array([shift_of.get(id_, -1) for id_ in detections.track_ids.tolist()], np.int64)
        steps = np.where(rows[:, None] >= 0, shift[rows], 0.0)
        half = steps[:, 2:] / 2
        boxes += np.concatenate([steps[:, :2] - half, steps[:, :2] + half], axis=1)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.concatenate([np.minimum(boxes[:, :2], middle), np.maximum(boxes[:, 2:], middle)], axis=1)

    def _end_lost(self, now: float) -> None:
        """Forgets what was out of sight for too long; one miss alone ends nothing, however long the steps are."""
        lost = {
            row
            for row, track in enumerate(self._tracks)
            # A track without an id was seen too little to be waited for.
            if (track.missed >= 2 and now - track.seen_s > self._settings.lost_s)
            or (track.missed and track.id == NO_TRACK)
        }
        self._forget(lost, np.zeros(0, np.int64))

    def _match(self, frame: "_Frame") -> np.ndarray:
        """The track of each detection, int64 (N,), -1 for none."""
        settings = self._settings
        track_of = np.full(len(frame.scores), -1)
        is_confirmed = np.array([track.id != NO_TRACK for track in self._tracks], bool)
        is_seen = np.array([track.missed == 0 for track in self._tracks], bool)
        low = ~frame.is_high & (frame.scores > settings.low)
        stages = (
            (is_confirmed, frame.is_high, settings.min_overlap),
            (is_confirmed & is_seen, low, settings.min_overlap_low),
            (~is_confirmed, frame.is_high, settings.min_overlap_new),
        )
        is_free = np.ones(len(self._tracks), bool)
        for is_meant, is_asked, least in stages:
            rows, columns = np.flatnonzero(is_meant & is_free), np.flatnonzero(is_asked & (track_of < 0))
            if not len(rows) or not len(columns):
                continue
            votes = [self._tracks[row].votes for row in rows.tolist()]
            motion = self._motion.select(rows)
            fits = affinities(motion, votes, frame.boxes[columns], frame.class_ids[columns], settings)
            taken, given = assign(fits - least)
            track_of[columns[given]] = rows[taken]
            is_free[rows[taken]] = False
        return track_of

    def _learn(self, frame: "_Frame", track_of: np.ndarray, sibling_of: np.ndarray, now: float) -> None:
        """What the matched detections, and those on the same boxes, say of their tracks."""
        settings = self._settings
        found = np.flatnonzero(track_of >= 0)
        rows = track_of[found]
        for track in self._tracks:
            track.missed += 1
        for place, row in zip(found.tolist(), rows.tolist(), strict=True):
            track, score = self._tracks[row], float(frame.scores[place])
            elapsed = now - track.seen_s
            track.seen_s, track.missed, track.hits = now, 0, track.hits + 1
            # A plain mean at first, then one that forgets with time.
            share = 1.0 if settings.smooth_s == 0 else max(-np.expm1(-elapsed / settings.smooth_s), 1 / track.hits)
            track.score += float(share) * (score - track.score)
            _vote(track, int(frame.class_ids[place]), score)
        for place in np.flatnonzero(sibling_of >= 0).tolist():
            if frame.scores[place] > settings.low:
                track = self._tracks[track_of[sibling_of[place]]]
                _vote(track, int(frame.class_ids[place]), float(frame.scores[place]))
        for row in rows.tolist():
            track = self._tracks[row]
            best = max(track.votes, key=lambda class_id: (track.votes[class_id], -class_id))
            if track.votes[best] > settings.vote_lead * track.votes[track.class_id]:
                track.class_id = best
        if len(rows):
            self._motion = self._motion.replaced(rows, self._motion.select(rows).corrected(frame.boxes[found]))
        # Ids in the order of the tracks' first detections.
        for row in sorted(rows.tolist()):
            if self._tracks[row].id == NO_TRACK and self._tracks[row].hits >= settings.confirm_hits:
                self._tracks[row].id = self._take_id()

    def _merge_doubles(self, frame: "_Frame", track_of: np.ndarray) -> None:
        """Makes one of two tracks that follow one object by two names."""
        same = np.triu(overlaps(self._motion.boxes_xyxy, self._motion.boxes_xyxy) >= self._settings.same_box, 1)
        place_of = {row: place for place, row in enumerate(track_of.tolist()) if row >= 0}
        gone: set[int] = set()
        doubles: set[int] = set()
        for old, young in np.argwhere(same).tolist():  # tracks stand in the order of their birth
            older, younger = self._tracks[old], self._tracks[young]
            is_one = NO_TRACK not in (older.id, younger.id) and older.class_id != younger.class_id
            if not is_one or gone & {old, young} or young in doubles:
                continue
            if old in place_of and young in place_of:
                first, second = frame.boxes[[place_of[old], place_of[young]]][:, None]
                if overlaps(first, second)[0, 0] < _VERY_SAME:
                    continue
            doubles.add(young)
            if younger.double_of is not older:
                younger.double_of, younger.turns, younger.turns_of_older = older, 0, 0
            younger.turns_of_older += old in place_of
            younger.turns += young in place_of
            if younger.turns >= _TURNS and younger.turns_of_older:
                gone.add(young)
                self._take_over(old, young, track_of, place_of)
        for row, track in enumerate(self._tracks):
            if row not in doubles:
                track.double_of = None
        self._forget(gone, track_of)

    def _take_over(self, old: int, young: int, track_of: np.ndarray, place_of: dict[int, int]) -> None:
        """Gives an older track what a younger one knows."""
        older, younger = self._tracks[old], self._tracks[young]
        for class_id, votes in younger.votes.items():
            _vote(older, class_id, votes)
        place = place_of.get(young)
        if place is None:
            return
        track_of[place] = NO_TRACK
        if old not in place_of:
            track_of[place] = old
            older.seen_s, older.missed, older.score = younger.seen_s, 0, younger.score
            self._motion = self._motion.replaced(np.array([old]), self._motion.select(np.array([young])))

    def _forget(self, gone: set[int], track_of: np.ndarray) -> None:
        """Drops tracks; the rows of the others move up."""
        if gone:
            kept = np.array([row for row in range(len(self._tracks)) if row not in gone], np.int64)
            places = np.full(len(self._tracks) + 1, -1)  # the last is that of -1
            places[kept] = np.arange(len(kept))
            track_of[:] = places[track_of]
            self._tracks = [self._tracks[row] for row in kept.tolist()]
            self._motion = self._motion.select(kept)

    def _begin(self, frame: "_Frame", track_of: np.ndarray, now: float, is_first: bool) -> None:
        """New tracks of strong detections that no box with another class covers; their places go into `track_of`."""
        chosen: list[int] = []
        free = np.flatnonzero(frame.is_high & (track_of < 0))
        taken = np.flatnonzero(track_of >= 0)
        is_same = overlaps(frame.boxes[free], frame.boxes) >= self._settings.same_box
        is_same &= frame.class_ids[free][:, None] != frame.class_ids[None]
        is_taken = np.zeros(len(frame.scores), bool)
        is_taken[taken] = True
        for i, place in enumerate(free.tolist()):  # the surest first
            if not (is_same[i] & is_taken).any():
                is_taken[place] = True
                chosen.append(place)
        is_track = is_first or self._settings.confirm_hits == 1
        for place in chosen:
            class_id, score = int(frame.class_ids[place]), float(frame.scores[place])
            track_of[place] = len(self._tracks)
            id_ = self._take_id() if is_track else NO_TRACK
            self._tracks.append(_Track(id_, now, score, class_id, {class_id: score}))
        self._motion = self._motion.with_more(Motion.of(frame.boxes[chosen]))

    def _holders(self, frame: "_Frame", track_of: np.ndarray, sibling_of: np.ndarray) -> dict[int, _Track]:
        """The detection that shows each track seen: the matched one, or one on the same box that has its class."""
        holders: dict[int, _Track] = {}
        siblings = np.flatnonzero(sibling_of >= 0)
        class_ids = frame.class_ids.tolist()
        for place, row in enumerate(track_of.tolist()):
            if row < 0:
                continue
            track, holder = self._tracks[row], place
            if class_ids[place] != track.class_id:
                own = siblings[sibling_of[siblings] == place].tolist()
                holder = next((other for other in own if class_ids[other] == track.class_id), place)
            holders[holder] = track
        return holders

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame's detections in the tracker's own order, surest first."""

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    is_high: np.ndarray


def _vote(track: _Track, class_id: int, score: float) -> None:
    track.votes[class_id] = track.votes.get(class_id, 0.0) + score


def _siblings(frame: _Frame, is_matched: np.ndarray, same_box: float) -> np.ndarray:
    """For each detection without a track the matched one of another class on its box, int64 (N,), -1 for none."""
    sibling_of = np.full(len(is_matched), -1)
    alone, matched = np.flatnonzero(~is_matched), np.flatnonzero(is_matched)
    if len(alone) and len(matched):
        shared = overlaps(frame.boxes[alone], frame.boxes[matched])
        shared[frame.class_ids[alone][:, None] == frame.class_ids[matched][None]] = 0
        best = shared.argmax(axis=1)
        is_same = shared[np.arange(len(alone)), best] >= same_box
        sibling_of[alone[is_same]] = matched[best[is_same]]
    return sibling_of
