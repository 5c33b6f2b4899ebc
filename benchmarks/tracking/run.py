"""MOT scores on drawn scenes and updates a second.

    python -m benchmarks.tracking.run

Prints Markdown tables; README.md holds those of one run.
"""

import platform
import time
from collections.abc import Callable

import numpy as np

from benchmarks.tracking.greedy import GreedyTracker
from benchmarks.tracking.scenes import SCENES, Scene, perceive
from ovdet_cli.detections import Detections
from ovdet_cli.evaluation.mot import MotFrame, MotScores, score_tracks
from ovdet_cli.tracking.settings import TrackSettings
from ovdet_cli.tracking.tracker import Tracker

THRESHOLD = 0.5
SEEDS = range(3)
Update = Callable[[Detections, float], tuple[np.ndarray, np.ndarray]]


def ours(settings: TrackSettings | None = None) -> Update:
    """Our tracker; what it shows is what a run draws: boxes with an id whose smoothed score is above the threshold."""
    tracker = Tracker(settings or TrackSettings(high=THRESHOLD, low=THRESHOLD / 2))

    def update(detections: Detections, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        tracked = tracker.update(detections, time_s)
        is_shown = (tracked.track_ids >= 0) & (tracked.scores > THRESHOLD)
        return tracked.track_ids[is_shown], detections.boxes_xyxy[is_shown]

    return update


METHODS: dict[str, Callable[[], Update]] = {
    "greedy IoU, within a class": lambda: GreedyTracker(THRESHOLD).update,
    "greedy IoU, any class": lambda: GreedyTracker(THRESHOLD, is_by_class=False).update,
    "ours": ours,
}


def evaluate(scene: Scene, update: Update, every: int, seed: int) -> list[MotFrame]:
    """The frames analysed of one scene."""
    frames = []
    for shown in scene.frames():
        rng = np.random.default_rng([seed, shown.index])
        if shown.index % every == 0:
            ids, boxes = update(perceive(shown, rng), shown.time_s)
            frames.append(MotFrame(shown.ids, shown.boxes, ids, boxes))
    return frames


def mean(scores: list[MotScores], name: str) -> float:
    """Mean of one number over scenes and seeds."""
    return float(np.mean([getattr(score, name) for score in scores]))


def updates_per_second(num_objects: int) -> float:
    """How many frames of so many objects in motion a second takes."""
    rng = np.random.default_rng(0)
    columns = int(np.ceil(np.sqrt(num_objects * 16 / 9)))
    centres = np.array([(i % columns, i // columns) for i in range(num_objects)]) * 60.0 + 40
    speeds = rng.normal(0, 40, (num_objects, 2))
    frames = []
    for index in range(100):
        middle = centres + speeds * np.sin(index / 30) + rng.normal(0, 1, (num_objects, 2))
        boxes = np.concatenate([middle - 22, middle + 22], axis=1).astype(np.float32)
        scores = rng.uniform(0.3, 1, num_objects).astype(np.float32)
        frames.append(Detections(boxes, scores, rng.integers(0, 5, num_objects)))
    tracker = Tracker()
    begun = time.perf_counter()
    for index, detections in enumerate(frames):
        tracker.update(detections, index / 30)
    return len(frames) / (time.perf_counter() - begun)


def main() -> None:
    """Prints the tables."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| every | scenes | method | MOTA | IDF1 | HOTA | ID switches | fragmentations |")
    print("|--:|---|---|--:|--:|--:|--:|--:|")
    for every in (1, 3, 10):
        rows: dict[str, dict[str, list[MotScores]]] = {}
        total: dict[str, list[MotScores]] = {}
        for make in SCENES:
            for method, start in METHODS.items():
                scores = [score_tracks(evaluate(make(), start(), every, seed)) for seed in SEEDS]
                rows.setdefault(make().name, {})[method] = scores
                total.setdefault(method, []).extend(scores)
        for name, methods in (*rows.items(), ("all", total)):
            for method, scores in methods.items():
                shares = " | ".join(f"{mean(scores, part):.3f}" for part in ("mota", "idf1", "hota"))
                counts = " | ".join(f"{mean(scores, part):.1f}" for part in ("id_switches", "fragmentations"))
                print(f"| {every} | {name} | {method} | {shares} | {counts} |")
    print("\n| objects | updates a second |\n|--:|--:|")
    for count in (20, 200):
        print(f"| {count} | {updates_per_second(count):.0f} |")


if __name__ == "__main__":
    main()
