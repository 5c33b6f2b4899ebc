import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.tracking.summary import TrackSummaries


def frame(*rows):
    """Detections of (x, score, class, track id): squares of 10 pixels."""
    return Detections(
        np.array([(x - 5, 0, x + 5, 10) for x, *_ in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
        track_ids=np.array([row[3] for row in rows], np.int64),
    )


def test_each_object_is_summed_up():
    tracks = TrackSummaries()
    tracks.add(frame((10, 0.5, 0, 2), (90, 0.7, 1, -1)), 4, 0.25)
    tracks.add(frame((20, 0.9, 0, 2), (90, 0.7, 1, 1)), 6, 0.5)
    tracks.add(Detections.empty(), 7, 0.6)
    tracks.add(frame((30, 0.7, 1, 2)), 8, 1.0)
    one, two = tracks
    assert (one.track_id, one.num_detections, one.duration_s, one.path) == (1, 1, 0.0, [(0.5, 90.0, 5.0)])
    assert (two.track_id, two.class_id, two.num_detections) == (2, 1, 3)
    assert (two.first_index, two.first_s, two.last_index, two.last_s, two.duration_s) == (4, 0.25, 8, 1.0, 0.75)
    assert (two.best_score, two.best_index, two.best_s) == (np.float32(0.9), 6, 0.5)
    np.testing.assert_array_equal(two.best_box, [15, 0, 25, 10])
    np.testing.assert_allclose(two.mean_score, 0.7, atol=1e-6)
    assert two.path == [(0.25, 10.0, 5.0), (0.5, 20.0, 5.0), (1.0, 30.0, 5.0)]


def test_a_long_path_is_thinned_evenly_and_keeps_its_ends():
    tracks = TrackSummaries()
    for i in range(10_001):
        tracks.add(frame((i, 0.5, 0, 1)), i, i / 10)
    (track,) = tracks
    xs = [x for _, x, _ in track.path]
    assert 32 < len(xs) <= 66
    assert (xs[0], xs[-1]) == (0, 10_000)
    steps = np.diff(xs[:-1])
    assert (steps == steps[0]).all()


def test_the_first_of_equal_scores_is_the_best_frame():
    tracks = TrackSummaries()
    for i in range(3):
        tracks.add(frame((10 * i, 0.5, 0, 1)), i, i / 10)
    (track,) = tracks
    assert track.best_index == 0
