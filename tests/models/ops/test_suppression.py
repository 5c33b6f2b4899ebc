import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.models.ops import suppression
from ovdet_cli.models.ops.boxes import suppress
from ovdet_cli.models.ops.suppression import suppress_each


def one_by_one(boxes, scores, class_ids, pictures, iou):
    kept = []
    for picture in pictures.unique().tolist():
        own = torch.nonzero(pictures == picture).squeeze(1)
        kept += own[suppress(boxes[own], scores[own], class_ids[own], iou)].tolist()
    return kept


def make(counts, num_classes, seed, *, ties=False, side=60):
    generator = torch.Generator().manual_seed(seed)
    n = sum(counts)
    boxes = torch.rand(n, 4, generator=generator) * side
    boxes[:, 2:] = boxes[:, :2] + torch.rand(n, 2, generator=generator) * 40
    scores = torch.rand(n, generator=generator)
    if ties:
        scores, boxes = (scores * 4).round() / 4, boxes.round()
    class_ids = torch.randint(num_classes, (n,), generator=generator)
    pictures = torch.repeat_interleave(torch.arange(len(counts)) * 2, torch.tensor(counts))
    return boxes, scores, class_ids, pictures


@settings(max_examples=150)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    num_classes=st.sampled_from([1, 3, 20_000]),
    iou=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    ties=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_each_picture_as_alone(counts, num_classes, iou, ties, seed):
    found = make(counts, num_classes, seed, ties=ties)
    kept = suppress_each(*found, iou)
    assert kept is not None
    assert kept.tolist() == one_by_one(*found, iou)


def test_a_chain_of_boxes():
    """Each suppresses the next if it stays: every other one does."""
    n = 60
    left = torch.arange(n) * 4.0
    boxes = torch.stack((left, torch.zeros(n), left + 10, torch.full((n,), 10.0)), dim=1)
    found = boxes, torch.linspace(1, 0.1, n), torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.long)
    assert suppress_each(*found, 0.4).tolist() == one_by_one(*found, 0.4) == list(range(0, n, 2))


def test_empty_boxes_overlap_nothing():
    boxes = torch.tensor([[5.0, 5, 5, 5]] * 3)
    found = boxes, torch.tensor([0.3, 0.9, 0.5]), torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long)
    assert suppress_each(*found, 0.5).tolist() == one_by_one(*found, 0.5) == [1, 2, 0]


def test_too_many_are_asked_one_by_one(monkeypatch):
    assert suppress_each(*make([1001, 2], 5, 0), 0.5) is None
    assert suppress_each(*make([1000, 2], 5, 0), 0.5) is not None
    monkeypatch.setattr(suppression, "_MOST_PAIRS", 20)
    assert suppress_each(*make([50], 2, 0), 0.5) is None


@pytest.mark.parametrize("count", [0, 1])
def test_few(count):
    assert suppress_each(*make([count], 3, 0), 0.5).tolist() == list(range(count))
