"""Batches by iteration: pure, mixed in their shares, whole though a picture is broken."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from ovdet_cli.errors import TrainingError
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.augment import EfficientDetResizeCrop
from ovdet_cli.training.batches import Batch
from ovdet_cli.training.datasets import LabelledFolders
from ovdet_cli.training.sampling import MixedStream
from ovdet_cli.training.scenes import SceneConfig
from ovdet_cli.training.sources import DiskSource, MixedSource, ScenePhase, SceneSource
from tests.training.tiny import PREPROCESS, write_artwork, write_labelled

SCENES = SceneConfig(size_hw=(64, 64), layouts=(("scatter", 1.0),), objects=(1, 2), size_px=(16, 40), pool_size=0)


def scene_source(tmp_path: Path, seed: int = 0, labels_only: bool = False) -> SceneSource:
    folder = tmp_path / "art"
    artwork = Artwork.open(folder if folder.exists() else write_artwork(folder))
    phases = [ScenePhase(2, 2, SCENES), ScenePhase(4, 3, SCENES)]
    return SceneSource(artwork, phases, seed, PREPROCESS, labels_only)


def test_a_batch_of_scenes_depends_on_seed_and_iteration_alone(tmp_path: Path) -> None:
    first, again = scene_source(tmp_path), scene_source(tmp_path)
    expected = first.batch(1).pixels
    assert torch.equal(again.batch(1).pixels, expected)
    again.batch(3)
    assert torch.equal(again.batch(1).pixels, expected)
    assert not torch.equal(first.batch(0).pixels, expected)
    assert not torch.equal(scene_source(tmp_path, seed=1).batch(1).pixels, expected)


def test_phases_follow_one_another_and_the_last_one_stays(tmp_path: Path) -> None:
    source = scene_source(tmp_path)
    assert [len(source.batch(i).pixels) for i in (0, 1, 2, 3, 9)] == [2, 2, 3, 3, 3]


def test_no_scene_is_drawn_twice_across_iterations(tmp_path: Path) -> None:
    source = scene_source(tmp_path)
    pictures = [p.numpy().tobytes() for i in range(4) for p in source.batch(i).pixels]
    assert len(set(pictures)) == len(pictures)


def test_scenes_with_labels_only_tell_no_boxes(tmp_path: Path) -> None:
    batch = scene_source(tmp_path, labels_only=True).batch(0)
    assert batch.labels is not None
    assert all(not len(b) for b in batch.boxes)


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def batch(self, iteration: int) -> Batch:
        return Batch(torch.zeros(0), [], [], [], [self.name])  # type: ignore[list-item]


def test_shares_are_of_pictures_not_of_batches() -> None:
    source = MixedSource([Named("boxes"), Named("labels")], [1, 4], [2, 8], seed=0)
    drawn = [source.batch(i).masks[0] for i in range(2000)]
    # Four times the pictures in batches four times as large: as many batches of both.
    assert np.mean([name == "boxes" for name in drawn]) == pytest.approx(0.5, abs=0.04)
    assert drawn == [source.batch(i).masks[0] for i in range(2000)]


def disk_source(folder: Path, batch: int = 4) -> DiskSource:
    pictures = LabelledFolders(folder)
    stream = MixedStream([np.ones(len(pictures))], [batch], seed=0)
    return DiskSource([pictures], stream, [EfficientDetResizeCrop(64, (0.5, 1.5))], PREPROCESS)


def test_a_batch_from_disk_depends_on_the_iteration_alone(tmp_path: Path) -> None:
    source = disk_source(write_labelled(tmp_path / "labelled"))
    first = [source.batch(i).pixels for i in range(3)]
    assert all(torch.equal(source.batch(i).pixels, first[i]) for i in (2, 0, 1))
    assert all(p.shape[-1] <= 64 and p.shape[-2] <= 64 for p in first)


def test_a_broken_picture_is_noted_once_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_labelled(tmp_path / "labelled")
    (folder / "dog" / "0.png").write_bytes(b"no picture")
    source = disk_source(folder)
    with caplog.at_level(logging.WARNING, "ovdet_cli"):
        batches = [source.batch(i) for i in range(10)]
    assert all(len(batch.pixels) == 4 for batch in batches)
    assert [record.getMessage().count("0.png") for record in caplog.records] == [1]
    assert torch.equal(disk_source(folder).batch(7).pixels, batches[7].pixels)


def test_many_broken_pictures_end_the_run(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "labelled")
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match="20 pictures in a row"):
        disk_source(folder).batch(0)
