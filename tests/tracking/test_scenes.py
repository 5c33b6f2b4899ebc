"""Whole scenes that are drawn and seen badly: the tracker beside a greedy IoU baseline, by MOT scores."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.tracking.run import METHODS, evaluate, ours
from benchmarks.tracking.scenes import SCENES, Scene, crossings, exits, occlusions, pan
from ovdet_cli.detections import Detections
from ovdet_cli.evaluation.mot import MotFrame, MotScores, score_tracks

GREEDY = [name for name in METHODS if name.startswith("greedy")]


def scores(scene: Scene, method: str, every: int) -> MotScores:
    return score_tracks(evaluate(scene, METHODS[method](), every, seed=11))


def test_scenes_hide_and_show_what_they_say() -> None:
    shown = [{int(i) for i in frame.ids} for frame in occlusions().frames()]
    assert any(0 in now and 0 not in after for now, after in pairwise(shown))
    assert 0 in shown[-1], "it comes out again"
    assert len({i for ids in (f.ids.tolist() for f in exits().frames()) for i in ids}) == 16
    first = next(iter(crossings().frames()))
    assert (first.visible[:6] > 0.99).all()
    assert (first.visible[6:] < 0.8).all(), "half below the picture's edge"


@pytest.mark.parametrize("every", [1, 3, 10])
@pytest.mark.parametrize("make", SCENES)
def test_better_than_greedy_at_every_step(make, every) -> None:
    mine = scores(make(), "ours", every)
    for method in GREEDY:
        other = scores(make(), method, every)
        assert mine.hota > other.hota
        assert mine.idf1 > other.idf1
        assert mine.mota > other.mota
        assert mine.id_switches < other.id_switches


@pytest.mark.parametrize(("make", "least"), [(crossings, 0.9), (exits, 0.9), (occlusions, 0.65), (pan, 0.75)])
def test_objects_keep_their_names(make, least) -> None:
    assert scores(make(), "ours", 1).idf1 > least
    assert scores(make(), "ours", 3).idf1 > least


def test_what_is_seen_perfectly_is_tracked_perfectly() -> None:
    update, frames = ours(), []
    for shown in crossings().frames():
        found = Detections(shown.boxes.astype(np.float32), np.full(len(shown.ids), 0.9, np.float32), shown.class_ids)
        ids, boxes = update(found, shown.time_s)
        frames.append(MotFrame(shown.ids, shown.boxes, ids, boxes))
    result = score_tracks(frames)
    assert result.idf1 > 0.99
    assert result.id_switches == 0
