from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ovdet_cli.models.detic.centernet import Proposals
from ovdet_cli.models.detic.config import BackboneConfig, DeticConfig
from ovdet_cli.models.detic.model import Detic, build_detic
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.ops.boxes import clip_boxes, decode_deltas
from ovdet_cli.models.ops.pooling import pool_regions
from tests.models.detic.tiny import TINY, build_tiny


@pytest.fixture(scope="module")
def model() -> Detic:
    return build_tiny()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))


SIZE = (90, 120)


@torch.inference_mode()
def regions_of(model, pixels):
    return model.propose(model.extract(pixels), [SIZE] * len(pixels))


@torch.inference_mode()
def test_a_batch_equals_its_pictures_alone(model, pixels):
    together = regions_of(model, pixels)
    for i, found in enumerate(together):
        (alone,) = regions_of(model, pixels[i : i + 1])
        assert len(found.objectness_R) >= TINY.proposals.post_nms_top
        torch.testing.assert_close(found.objectness_R, alone.objectness_R, rtol=0, atol=1e-4)
        torch.testing.assert_close(found.boxes_R4, alone.boxes_R4, rtol=0, atol=1e-2)  # pixels
        torch.testing.assert_close(found.features_RSD, alone.features_RSD, rtol=0, atol=1e-4)
    assert not torch.allclose(together[0].features_RSD[:9], together[1].features_RSD[:9], atol=1e-2)


@torch.inference_mode()
def test_regions_do_not_depend_on_words(model, pixels):
    before = regions_of(model, pixels[:1])[0]
    model.classify(before, torch.randn(7, 16))
    after = regions_of(model, pixels[:1])[0]
    torch.testing.assert_close(vars(before), vars(after), rtol=0, atol=0)


@torch.inference_mode()
def test_a_words_score_does_not_depend_on_the_others(model, pixels):
    regions = regions_of(model, pixels[:1])[0]
    texts = torch.randn(7, 16)
    torch.testing.assert_close(model.classify(regions, texts)[:, 3:4], model.classify(regions, texts[3:4]))


@torch.inference_mode()
def test_scores_are_the_root_of_probability_times_objectness(model):
    """Quirk 1: with objectness itself the root of the heat, heat enters with power 1/4."""
    x = F.normalize(torch.randn(3, 3, 16), dim=-1)
    heat = torch.tensor([0.81, 0.04, 0.0])
    texts = F.normalize(torch.randn(5, 16), dim=-1)
    probability = torch.sigmoid(50 * torch.einsum("rsd,cd->rsc", x, texts)).mean(dim=1)
    regions = Regions(torch.zeros(3, 4), heat.sqrt(), x)
    torch.testing.assert_close(model.classify(regions, texts), (probability * heat.sqrt()[:, None]).sqrt())
    torch.testing.assert_close(regions.objectness_R, heat.sqrt(), rtol=0, atol=0)


@torch.inference_mode()
def test_the_first_stage_pools_beyond_the_picture_and_later_ones_within(model, pixels):
    """Quirk 2, with every step of the cascade written out."""
    pyramid = model.extract(pixels[:1])
    proposal = torch.tensor([[-30.0, -20.0, 100.0, 60.0], [60.0, 50.0, 300.0, 200.0]])
    (found,) = model.refine(pyramid, [Proposals(proposal, torch.tensor([0.5, 0.4]))], [SIZE])
    boxes, features = proposal, []
    for stage, weights in zip(model.stages, TINY.delta_weights, strict=True):
        embeddings, deltas = stage(pool_regions(pyramid[:3], [boxes], 7))
        boxes = clip_boxes(decode_deltas(deltas, boxes, weights), SIZE)
        features.append(embeddings)
    torch.testing.assert_close(found.boxes_R4, boxes)
    torch.testing.assert_close(found.features_RSD, torch.stack(features, dim=1))
    clipped, _ = model.stages[0](pool_regions(pyramid[:3], [clip_boxes(proposal, SIZE)], 7))
    assert not torch.allclose(clipped, features[0], atol=1e-3)


@torch.inference_mode()
def test_no_box_is_dropped_on_the_way(model, pixels):
    pyramid = model.extract(pixels[:1])
    outside = torch.tensor([[500.0, 500.0, 600.0, 600.0], [-90.0, -90.0, -50.0, -50.0], [5.0, 5.0, 5.01, 5.01]])
    (found,) = model.refine(pyramid, [Proposals(outside, torch.ones(3))], [SIZE])
    assert found.boxes_R4.shape == (3, 4)
    assert found.features_RSD.isfinite().all()


@torch.inference_mode()
def test_pictures_of_one_batch_may_have_none(model, pixels):
    pyramid = model.extract(pixels)
    box = Proposals(torch.tensor([[5.0, 5.0, 60.0, 70.0]]), torch.ones(1))
    nothing, one = model.refine(pyramid, [Proposals(torch.zeros(0, 4), torch.zeros(0)), box], [SIZE, SIZE])
    assert nothing.features_RSD.shape == (0, 3, 16)
    alone = model.refine([p[1:] for p in pyramid], [box], [SIZE])[0]
    torch.testing.assert_close(one.features_RSD, alone.features_RSD, rtol=0, atol=1e-5)
    masks = model.predict_masks(pyramid, [nothing.boxes_R4, one.boxes_R4])
    assert [tuple(mask.shape) for mask in masks] == [(0, 28, 28), (1, 28, 28)]


@pytest.mark.parametrize(
    "backbone",
    [
        BackboneConfig("timm-resnet", "resnet50", (512, 1024, 2048)),
        BackboneConfig("timm-convnext", "convnext_tiny", (192, 384, 768)),
    ],
    ids=lambda backbone: backbone.variant,
)
@torch.inference_mode()
def test_other_backbones_give_maps_at_strides_8_16_32(backbone):
    model = build_detic(replace(TINY, backbone=backbone))
    pyramid = model.extract(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape) for level in pyramid] == [(1, 64, *s) for s in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))]


def test_batch_norm_is_frozen_in_training_too():
    """Which is also why a picture's result does not depend on its batch mates."""
    model = build_tiny().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.extract(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())


def test_convnext_divides_by_the_sample_variance_before_downsampling_only():
    """timm 0.5.4's own channels-first norm, written out; the stem's is the ordinary one."""
    model = build_detic(replace(TINY, backbone=BackboneConfig("timm-convnext", "convnext_tiny", (192, 384, 768))))
    norm = model.backbone["stages_1"].downsample[0]
    x = torch.randn(2, 96, 3, 4)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    standard = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=1) + 1e-6).sqrt()
    torch.testing.assert_close(norm(x), standard * norm.weight[:, None, None] + norm.bias[:, None, None])
    stem = model.backbone["stem_1"]
    wanted = F.layer_norm(x.permute(0, 2, 3, 1), (96,), stem.weight, stem.bias, 1e-6).permute(0, 3, 1, 2)
    torch.testing.assert_close(stem(x), wanted)


def test_a_configuration_is_checked():
    with pytest.raises(ValueError, match="at least one stage"):
        DeticConfig(TINY.backbone, delta_weights=())
    with pytest.raises(ValueError, match="1 to 5 levels, not 6"):
        DeticConfig(TINY.backbone, roi_levels=6)
    assert TINY.num_stages == 3
