"""What every architecture promises, as models/interface.py has it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from ovdet_cli.models.interface import OpenVocabularyDetector, Regions
from ovdet_cli.models.spec import Canvas
from ovdet_cli.models.zoo import MODELS
from tests.models.detic.tiny import TINY, TINY_C4, TINY_DETR, build_tiny, build_tiny_c4, build_tiny_detr
from tests.models.dito import tiny as dito
from tests.models.fvlm import tiny as fvlm
from tests.models.vild import tiny as vild


@dataclass(frozen=True)
class Tiny:
    """A small model of an architecture: width of its embeddings, sets of features a region, maps behind the levels."""

    build: Callable[[], OpenVocabularyDetector]
    width: int
    sets: int = 1
    maps_behind: int = 0


TINY_MODELS = {
    "detic": Tiny(build_tiny, TINY.embedding, 3),
    "detic-c4": Tiny(build_tiny_c4, TINY_C4.embedding),
    "detic-detr": Tiny(build_tiny_detr, TINY_DETR.embedding),
    "dito": Tiny(dito.build_tiny, dito.TINY.embedding, 2, 1),
    "fvlm": Tiny(fvlm.build_tiny, fvlm.TINY.embedding, 2, 1),
    "vild": Tiny(vild.build_tiny, vild.TINY.embedding, 2),
}
SIZES = [(90, 120), (60, 128)]

pytestmark = pytest.mark.parametrize("architecture", TINY_MODELS)


@pytest.fixture(scope="module")
def built():
    return {name: (tiny.build(), tiny.width) for name, tiny in TINY_MODELS.items()}


@pytest.fixture(scope="module")
def pixels():
    """Two pictures in a batch, padded with zeros."""
    batch = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(3))
    for picture, (h, w) in zip(batch, SIZES, strict=True):
        picture[:, h:], picture[:, :, w:] = 0, 0
    return batch


def specs(architecture):
    return [spec for spec in MODELS.values() if spec.architecture == architecture]


@torch.inference_mode()
def first_half(model, pixels):
    pyramid = model.extract(pixels)
    return pyramid, model.propose(pyramid, SIZES[: len(pixels)])


def test_every_architecture_of_the_zoo_is_tested(architecture):
    assert {spec.architecture for spec in MODELS.values()} == set(TINY_MODELS)
    assert len({(spec.has_masks, spec.free_words) for spec in specs(architecture)}) == 1


def test_the_pyramid_is_finest_first(architecture, built, pixels):
    pyramid, _ = first_half(built[architecture][0], pixels)
    assert all(level.dim() == 4 and len(level) == 2 for level in pyramid)
    levels = pyramid[: len(pyramid) - TINY_MODELS[architecture].maps_behind]
    areas = [level.shape[2] * level.shape[3] for level in levels]
    assert areas == sorted(areas, reverse=True)


def test_regions(architecture, built, pixels):
    model, width = built[architecture]
    _, found = first_half(model, pixels)
    assert len(found) == 2
    for regions, (h, w) in zip(found, SIZES, strict=True):
        r = len(regions.objectness_R)
        assert r > 0
        assert regions.boxes_R4.shape == (r, 4)
        assert regions.features_RSD.shape == (r, TINY_MODELS[architecture].sets, width)
        assert {tensor.dtype for tensor in vars(regions).values()} == {torch.float32}
        x1, y1, x2, y2 = regions.boxes_R4.unbind(1)
        if isinstance(specs(architecture)[0].preprocess, Canvas):
            h, w = 128, 128  # beyond the picture too, as the official code
        assert ((x1 >= 0) & (x2 <= w) & (y1 >= 0) & (y2 <= h)).all()
        if not isinstance(specs(architecture)[0].preprocess, Canvas):
            assert ((x1 <= x2) & (y1 <= y2)).all()
        assert ((regions.objectness_R >= 0) & (regions.objectness_R <= 1)).all()
        if specs(architecture)[0].free_words:
            norms = regions.features_RSD.norm(dim=2)
            torch.testing.assert_close(norms, torch.ones_like(norms))


def test_a_picture_is_seen_alike_beside_others(architecture, built, pixels):
    """Of one size; those of another are never in its batch."""
    model, _ = built[architecture]
    with torch.inference_mode():
        together = model.propose(model.extract(pixels), [(128, 128)] * 2)[1]
        alone = model.propose(model.extract(pixels[1:]), [(128, 128)])[0]
    for one, other in zip(vars(together).values(), vars(alone).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_scores(architecture, built, pixels):
    model, width = built[architecture]
    _, (regions, _) = first_half(model, pixels)
    r, s, _ = regions.features_RSD.shape
    texts = torch.randn(5, width)
    with torch.inference_mode():
        scores = model.classify(regions, texts)
        own = model.classify(regions, torch.nn.functional.normalize(texts, dim=1).expand(s, -1, -1))
    assert scores.shape == (r, 5)
    assert scores.dtype == torch.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    if specs(architecture)[0].free_words:
        torch.testing.assert_close(own, scores)
    else:
        assert own.shape == scores.shape


def test_masks(architecture, built, pixels):
    model, _ = built[architecture]
    if not specs(architecture)[0].has_masks:
        with pytest.raises(NotImplementedError):
            model.predict_masks([], [])
        return
    pyramid, found = first_half(model, pixels)
    with torch.inference_mode():
        masks = model.predict_masks(pyramid, [found[0].boxes_R4[:3], found[1].boxes_R4[:0]])
    assert [len(m) for m in masks] == [3, 0]
    assert all(m.dim() == 3 and m.shape[1] == m.shape[2] and m.dtype == torch.float32 for m in masks)
    assert ((masks[0] >= 0) & (masks[0] <= 1)).all()


def test_nothing_proposed(architecture, built, pixels, monkeypatch):
    model, width = built[architecture]
    if architecture == "detic":
        monkeypatch.setattr(model.proposal_head.heat, "bias", torch.nn.Parameter(torch.full((1,), -1e4)))
    elif architecture == "detic-c4":  # boxes that are no numbers are none
        monkeypatch.setattr(model, "anchor_shapes", torch.full_like(model.anchor_shapes, float("nan")))
    else:
        pytest.skip("its regions are always there")
    pyramid, found = first_half(model, pixels)
    for regions in found:
        assert regions.boxes_R4.shape == (0, 4)
        assert model.classify(regions, torch.randn(5, width)).shape == (0, 5)
    if specs(architecture)[0].has_masks:
        with torch.inference_mode():
            assert [len(m) for m in model.predict_masks(pyramid, [regions.boxes_R4 for regions in found])] == [0, 0]


def test_zero_regions_can_be_classified(architecture, built):
    model, width = built[architecture]
    regions = Regions(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, TINY_MODELS[architecture].sets, width))
    assert model.classify(regions, torch.randn(2, width)).shape == (0, 2)
