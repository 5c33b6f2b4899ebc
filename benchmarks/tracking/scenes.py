"""Scenes of plain shapes with known objects, and a stand-in for a detector that sees them badly."""

# O objects

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ovdet_cli.detections import Detections

SIZE_HW = (360, 640)
FPS = 30
LABELS = ("cup", "mug", "dog", "puppy", "person", "man", "kite", "car")
"""Each even class has the odd one after it as a second name, but for the last two."""
_LEAST_VISIBLE = 0.1  # of an object: less is no object to find


@dataclass(frozen=True)
class Thing:
    """A shape on its way: `at` gives its centre in pixels at a time in seconds. A wall hides and is no object."""

    at: Callable[[float], tuple[float, float]]
    size_wh: tuple[float, float]
    class_id: int = 0
    from_s: float = 0.0
    to_s: float = 1e9
    is_wall: bool = False


@dataclass(frozen=True, eq=False)
class Shown:
    """What is to be seen in a frame: ids int64 (O,), boxes of the visible parts (O, 4), shares visible, classes."""

    time_s: float
    index: int
    ids: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    class_ids: np.ndarray


@dataclass(frozen=True)
class Scene:
    """Things, the later in front of the earlier, before a camera that moves by `camera`."""

    name: str
    things: tuple[Thing, ...]
    duration_s: float = 6.0
    camera: Callable[[float], tuple[float, float]] = field(default=lambda time_s: (0.0, 0.0))

    def frames(self) -> Iterator[Shown]:
        """Every frame of the scene."""
        for index in range(round(self.duration_s * FPS)):
            yield self.show(index)

    def draw(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """A map of the front thing of each pixel, int64 (H, W), -1 for none; and the pixels of each thing alone."""
        height, width = SIZE_HW
        front = np.full(SIZE_HW, -1)
        whole = np.zeros(len(self.things))
        pan_x, pan_y = self.camera(time_s)
        for i, thing in enumerate(self.things):
            if not thing.from_s <= time_s < thing.to_s:
                continue
            x, y = thing.at(time_s)
            w, h = thing.size_wh
            left, top = x - pan_x - w / 2, y - pan_y - h / 2
            ys = np.arange(max(0, int(top)), min(height, int(np.ceil(top + h))))
            xs = np.arange(max(0, int(left)), min(width, int(np.ceil(left + w))))
            if not len(ys) or not len(xs):
                continue
            dy, dx = (ys + 0.5 - top - h / 2) / (h / 2), (xs + 0.5 - left - w / 2) / (w / 2)
            is_box = thing.is_wall or thing.class_id % 2
            inside = np.ones((len(ys), len(xs)), bool) if is_box else dy[:, None] ** 2 + dx[None] ** 2 <= 1
            whole[i] = w * h * (1 if is_box else np.pi / 4)
            front[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1][inside] = i
        return front, whole

    def show(self, index: int) -> Shown:
        """What is to be seen in one frame."""
        time_s = index / FPS
        front, whole = self.draw(time_s)
        ids, boxes, visible = [], [], []
        for i, thing in enumerate(self.things):
            if thing.is_wall or not whole[i]:
                continue
            is_seen = front == i
            share = is_seen.sum() / whole[i]
            if share < _LEAST_VISIBLE:
                continue
            ys, xs = np.flatnonzero(is_seen.any(axis=1)), np.flatnonzero(is_seen.any(axis=0))
            ids.append(i)
            boxes.append((xs[0], ys[0], xs[-1] + 1, ys[-1] + 1))
            visible.append(min(share, 1.0))
        class_ids = np.array([self.things[i].class_id for i in ids], np.int64)
        return Shown(
            *(time_s, index, np.array(ids, np.int64), np.array(boxes, np.float64).reshape(-1, 4)),
            *(np.array(visible), class_ids),
        )


def line(x: float, y: float, vx: float, vy: float) -> Callable[[float], tuple[float, float]]:
    """A way at a constant speed, in pixels a second."""
    return lambda t: (x + vx * t, y + vy * t)


def swing(
    x: float, y: float, rx: float, ry: float, period_s: float, phase: float = 0.0
) -> Callable[[float], tuple[float, float]]:
    """A way around an ellipse, or to and fro."""
    turn = 2 * np.pi / period_s
    return lambda t: (x + rx * np.sin(turn * t + phase), y + ry * np.cos(turn * t + phase))


def crossings() -> Scene:
    """Objects of one class that pass through each other, in pairs and in a bunch."""
    things = [Thing(line(60, 60 + 60 * k, 80 + 10 * k, 0), (50, 44), 0) for k in range(3)]
    things += [Thing(line(580, 66 + 60 * k, -75 - 12 * k, 0), (46, 50), 0) for k in range(3)]
    things += [Thing(line(100, 350, 70, -50), (40, 60), 4), Thing(line(540, 350, -70, -50), (40, 60), 4)]
    return Scene("crossings", tuple(things))


def occlusions() -> Scene:
    """Objects that pass behind pillars, wholly hidden for up to 0.3 seconds, one of them to and fro."""
    things = [Thing(line(40, 50 + 70 * k, 90 + 15 * k, 0), (44, 44), 2 * (k % 3)) for k in range(4)]
    things += [Thing(swing(470, 320, 90, 0, 5, 1.0), (40, 40), 0)]
    things += [
        Thing(lambda t: (230, 180), (70, 360), is_wall=True),
        Thing(lambda t: (460, 180), (64, 360), is_wall=True),
    ]
    return Scene("occlusions", tuple(things))


def exits() -> Scene:
    """Objects that come in and go out at every side, several on the same way after each other."""
    things = []
    for k in range(8):
        start = 0.6 * k
        things.append(Thing(line(-30 - 130 * start, 80 + 24 * (k % 3), 130, 0), (50, 50), 0, start, start + 6))
        things.append(Thing(line(300 + 40 * (k % 4), 400 + 110 * start, 0, -110), (40, 56), 4, start, start + 6))
    return Scene("exits", tuple(things))


def pan() -> Scene:
    """Things that stand, in rows, and some that walk, before a camera that swings to and fro."""
    things = [Thing(line(-100 + 90 * k, 90 + 100 * (k % 3), 0, 0), (54, 54), 2 * (k % 3)) for k in range(10)]
    things += [Thing(line(50, 150, 60, 10), (40, 70), 4), Thing(line(600, 240, -80, 0), (40, 70), 4)]
    return Scene(
        "pan", tuple(things), camera=lambda t: (120 * np.sin(2 * np.pi * t / 5), 20 * np.sin(2 * np.pi * t / 1.5))
    )


def crowd() -> Scene:
    """Twenty objects of four classes that walk in circles through each other."""
    rng = np.random.default_rng(7)
    things = []
    for _ in range(20):
        x, y = rng.uniform(90, 550), rng.uniform(70, 290)
        rx, ry = rng.uniform(30, 110), rng.uniform(20, 70)
        way = swing(x, y, rx, ry, rng.uniform(4, 9), rng.uniform(0, 6))
        things.append(Thing(way, (rng.uniform(26, 50), rng.uniform(26, 60)), 2 * int(rng.integers(4))))
    return Scene("crowd", tuple(things), 8.0)


SCENES = (crossings, occlusions, exits, pan, crowd)


def perceive(shown: Shown, rng: np.random.Generator) -> Detections:
    """What a middling detector finds: jitter, misses, false positives, wrong names, two names on one box.

    Scores fall with what is hidden. Of two boxes of one class that overlap by more than 0.6 the weaker one goes, as in
    non-maximum suppression.
    """
    found: list[tuple[np.ndarray, float, int]] = []
    for box, visible, class_id in zip(shown.boxes, shown.visible, shown.class_ids.tolist(), strict=True):
        if rng.random() < 0.05 + 0.3 * (visible < 0.3):
            continue
        side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        seen = box + rng.normal(0, 0.03 * side, 4)
        score = float(np.clip(0.25 + 0.55 * visible + rng.normal(0, 0.1), 0.02, 0.98))
        other = class_id + 1 if class_id < 6 else class_id
        if rng.random() < 0.1:
            class_id, other = other, class_id
        found.append((seen, score, class_id))
        if other != class_id and rng.random() < 0.2:  # exactly the same box, as all classes of a region have it
            found.append((seen, score * rng.uniform(0.5, 0.95), other))
    for _ in range(rng.poisson(0.5)):
        w, h = rng.uniform(20, 80, 2)
        x, y = rng.uniform(0, SIZE_HW[1] - w), rng.uniform(0, SIZE_HW[0] - h)
        found.append((np.array([x, y, x + w, y + h]), float(rng.beta(2, 4)), int(rng.integers(len(LABELS)))))
    found.sort(key=lambda one: -one[1])
    kept: list[tuple[np.ndarray, float, int]] = []
    for box, score, class_id in found:
        if all(class_id != other or _iou(box, seen) <= 0.6 for seen, _, other in kept):
            kept.append((box, score, class_id))
    return Detections(
        np.array([box for box, _, _ in kept], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in kept], np.float32),
        np.array([class_id for _, _, class_id in kept], np.int64),
    )


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    inside = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(inside / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inside))
