"""ViLD's own arithmetic; equality with the official code is in tests/parity/test_vild.py."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ovdet_cli.models.checkpoint import load_weights, read_checkpoint
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.vild import demo
from ovdet_cli.models.vild.keys import key_map, own_columns
from ovdet_cli.models.vild.model import build_vild
from tests.models.vild.tiny import TINY, as_published, build_tiny


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def regions(count: int = 5) -> Regions:
    boxes = torch.rand(count, 4, generator=torch.Generator().manual_seed(1)) * 20
    boxes[:, 2:] += 30
    return Regions(boxes, torch.linspace(1, 0.5, count), unit(count, 2, TINY.embedding))


def test_a_published_layout_comes_back_as_it_was(tmp_path):
    model = build_tiny()
    save_file(as_published(model), tmp_path / "w.safetensors")
    again = build_vild(TINY)
    tensors = read_checkpoint(tmp_path / "w.safetensors")
    load_weights(again, tensors, key_map(TINY), "w")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert own_columns(tensors).shape == (1, 7, TINY.embedding)


def test_novel_classes_trust_the_image_tower_more():
    """Section 3.4: p_text^(2/3) p_image^(1/3) for base classes, and the other way round for novel ones."""
    model, found, texts = build_tiny(), regions(), unit(4, TINY.embedding, seed=2)
    is_novel = torch.tensor([False, True, False, True])
    scores = model.classify(found, texts, is_novel)
    with_background = torch.cat((F.normalize(model.background, dim=0)[None], texts))
    text = (100 * found.features_RSD[:, 0] @ with_background.T).softmax(dim=1)[:, 1:]
    image = (100 * found.features_RSD[:, 1] @ texts.T).softmax(dim=1)
    torch.testing.assert_close(scores[:, ~is_novel], (text ** (2 / 3) * image ** (1 / 3))[:, ~is_novel])
    torch.testing.assert_close(scores[:, is_novel], (text ** (1 / 3) * image ** (2 / 3))[:, is_novel])
    torch.testing.assert_close(model.classify(found, texts), text ** (2 / 3) * image ** (1 / 3))


def test_the_length_of_a_text_does_not_matter():
    model, found, texts = build_tiny(), regions(), unit(4, TINY.embedding)
    torch.testing.assert_close(model.classify(found, 7 * texts), model.classify(found, texts))


@torch.inference_mode()
def test_missing_proposals_are_filled_up():
    model = build_tiny()
    pyramid = model.extract(torch.zeros(1, 3, 64, 64))
    ((boxes, scores),) = model.find_proposals(pyramid)
    assert boxes.shape == (TINY.num_proposals, 4)
    assert (scores.diff() <= 0).all()
    missing = scores == -1
    assert missing.any()
    assert not boxes[missing].any()
    assert ((boxes >= 0) & (boxes <= 63)).all(), "clipped to the canvas's last pixel"


def test_the_demo_keeps_sure_large_apart_boxes():
    boxes = torch.tensor([[0.0, 0, 20, 20], [1, 0, 21, 20], [40, 40, 54, 55], [60, 60, 90, 90], [0, 60, 30, 90]])
    objectness = torch.tensor([0.99, 0.98, 0.97, 0.95, 0.5])
    found = Regions(boxes, objectness, unit(5, 2, TINY.embedding))
    # the second overlaps the first, the third is too small, the last not sure
    assert demo.keep_regions(found, boxes).tolist() == [0, 3]
    assert demo.keep_regions(found, boxes, least_objectness=0.5).tolist() == [0, 3, 4]
    assert demo.keep_regions(found, 2 * boxes).tolist() == [0, 2, 3], "the area is the picture's"


@pytest.mark.parametrize("has_background", [False, True])
def test_the_demo_names_a_box_by_its_nearest_text(has_background):
    features = unit(3, 2, TINY.embedding)
    boxes = torch.tensor([[0.0, 0, 20, 20], [30, 30, 60, 60], [0, 60, 30, 90]])
    found = Regions(boxes, torch.tensor([0.99, 0.98, 0.97]), features)
    texts = torch.stack((3 * features[1, 0], features[0, 0] + 0.2 * features[2, 0]))
    background = features[2, 0] if has_background else None
    rows, class_ids, scores = demo.select_as_demo(found, boxes, texts, background, 25)
    assert rows.tolist()[0] == 1
    assert class_ids.tolist()[0] == 0
    assert scores[0] == pytest.approx(1)
    assert (2 in rows.tolist()) == (not has_background)
    assert (scores.diff() <= 0).all()
    assert len(demo.select_as_demo(found, boxes, texts, background, 1)[0]) == 1
