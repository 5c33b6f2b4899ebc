"""Samples -> tensors: normalised, padded to what the network wants, kinds kept apart."""

import numpy as np
import pytest
import torch

from ovdet_cli.models.spec import Preprocess
from ovdet_cli.training.batches import make_batch
from ovdet_cli.training.samples import Sample
from tests.training.tiny import labelled, picture, sample

PLAIN = Preprocess(mean_rgb=(1.0, 2.0, 3.0), std_rgb=(2.0, 4.0, 8.0))


def test_pictures_are_normalised_then_padded_with_zeros() -> None:
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    small, large = (Sample(picture([], size)[:, :40], *nothing) for size in (50, 64))
    batch = make_batch([small, large], PLAIN)
    assert batch.pixels.shape == (2, 3, 64, 64)
    assert batch.sizes_hw == [(50, 40), (64, 40)]
    expected = (small.image.transpose(2, 0, 1) - np.array([1, 2, 3])[:, None, None]) / np.array([2, 4, 8])[
        :, None, None
    ]
    torch.testing.assert_close(batch.pixels[0, :, :50, :40], torch.from_numpy(expected).float())
    assert not batch.pixels[0, :, 50:].any()
    assert not batch.pixels[:, :, :, 40:].any()
    assert batch.labels is None
    assert batch.has_masks  # there is nothing to have a mask


def test_boxes_classes_and_masks_are_kept() -> None:
    full, empty = sample([(1, (4, 6, 30, 40))]), sample([])
    batch = make_batch([full, empty], PLAIN)
    assert batch.boxes[0].tolist() == [[4, 6, 30, 40]]
    assert batch.class_ids[0].tolist() == [1]
    assert batch.boxes[1].shape == (0, 4)
    assert batch.has_masks
    target = batch.mask_targets(0, torch.tensor([0]), torch.tensor([[4.0, 6.0, 56.0, 40.0]]), 28)
    assert target.dtype == torch.float32
    assert target.mean() == pytest.approx(0.5, abs=0.05)  # the box is twice as wide as the object
    assert batch.mask_targets(1, torch.zeros(0, dtype=torch.long), torch.zeros(0, 4), 28).shape == (0, 28, 28)


def test_outlines_become_targets_too() -> None:
    full = sample([(1, (4, 6, 30, 40))])
    outline = [[np.array([4, 6, 30, 6, 30, 40, 4, 40], np.float64)]]
    batch = make_batch([Sample(full.image, full.boxes_xyxy, full.class_ids, outline)], PLAIN).to(torch.device("cpu"))
    assert batch.has_masks
    assert batch.mask_targets(0, torch.tensor([0]), batch.boxes[0], 28).mean() > 0.9


def test_a_picture_without_masks_takes_them_from_the_batch() -> None:
    full = sample([(1, (4, 6, 30, 40))])
    bare = Sample(full.image, full.boxes_xyxy, full.class_ids)
    assert not make_batch([full, bare], PLAIN).has_masks


def test_labels_and_boxes_do_not_mix() -> None:
    batch = make_batch([labelled(0), labelled(2)], PLAIN)
    assert batch.labels is not None
    assert [labels.tolist() for labels in batch.labels] == [[0], [2]]
    with pytest.raises(ValueError, match="not both"):
        make_batch([labelled(0), sample([])], PLAIN)
