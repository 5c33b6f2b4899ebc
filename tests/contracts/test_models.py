"""What every architecture promises, as models/interface.py has it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ovdet_cli.detector.asking import OWN_COLUMNS, Asker
from ovdet_cli.detector.choosing import RegionPolicy
from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.preprocess import make_preprocessor
from ovdet_cli.detector.words import Words
from ovdet_cli.errors import ModelError
from ovdet_cli.models.checkpoint import write_safetensors
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.boxes import box_iou
from ovdet_cli.models.spec import Canvas, Rules
from ovdet_cli.models.zoo import MODELS
from ovdet_cli.vocabulary.vocabulary import Vocabulary
from tests.models.detic.tiny import TINY, TINY_C4, TINY_DETR, build_tiny, build_tiny_c4, build_tiny_detr
from tests.models.dito import tiny as dito
from tests.models.fvlm import tiny as fvlm
from tests.models.vild import tiny as vild
from tests.parity.reference import load_script


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
    model, width = TINY_MODELS[architecture].build(), built[architecture][1]  # the shared one is not put together again
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


# Asked again from an index


def tiny_detector(architecture, built, **rules):
    """A detector around the small model, as `Detector(...)` makes one of a weight file."""
    model, width = built[architecture]
    spec = specs(architecture)[0]
    preprocess = spec.preprocess
    if isinstance(preprocess, Canvas):
        preprocess = replace(preprocess, side=128, multiple=64)
    else:
        preprocess = replace(preprocess, short_side=96, max_size=128)
    detector = object.__new__(Detector)
    detector.spec = replace(spec, config=model.config)
    detector.rules = Rules(**{"threshold": 0.0, "nms_iou": 0.5, "max_detections": 1000, "one_class": False} | rules)
    detector._model, detector._preprocessor = model, make_preprocessor(preprocess)
    detector.device, detector.dtype = torch.device("cpu"), torch.float32
    detector.post, detector.batch, detector.with_masks = "official", 1, spec.has_masks
    if spec.words == "closed":
        detector._own_columns = random_columns(5, width)[None]
    return detector


def random_columns(num, width):
    return F.normalize(torch.randn(num, width, generator=torch.Generator().manual_seed(7)), dim=1)


def tiny_words(architecture, detector):
    spec, width = detector.spec, TINY_MODELS[architecture].width
    if spec.words == "closed":
        return Words(Vocabulary([f"thing {i}" for i in range(5)]), detector._own_columns)
    around = random_columns(2, width).flip(1)
    rows = TextRows(around[0], around[1], 9) if spec.text_rows else None
    is_novel = torch.tensor([False, True, False, True]) if spec.novel else None
    texts, class_of = random_columns(6, width), torch.tensor([0, 1, 1, 2, 3, 3])
    return Words(Vocabulary(list("abcd")), texts, rows=rows, is_novel_C=is_novel, class_of_P=class_of)


def asker_of(detector, tensors=None):
    tensors = detector.classifier_tensors() if tensors is None else tensors
    return Asker(detector.spec, tensors, detector.rules, detector.post)


PICTURES = [(90, 120), (60, 128), (130, 75)]


def assert_answers(architecture, built, precision, limit, **rules):
    detector = tiny_detector(architecture, built, **rules)
    words = tiny_words(architecture, detector)
    # On a canvas boxes reach beyond smaller pictures, where their overlaps are not seen afterwards.
    sizes = [(128, 128), (90, 90)] if isinstance(detector.spec.preprocess, Canvas) else PICTURES
    images = [load_script("picture").picture(h, w, 3 + h) for h, w in sizes]
    found = detector.analyse(images, words, RegionPolicy(None, -1.0))
    stored = [(regions.stored_as(precision), size_hw) for (_, regions), size_hw in zip(found, sizes, strict=True)]
    answers = asker_of(detector).answer(stored, words)
    for (wanted, _), answer in zip(found, answers, strict=True):
        assert len(wanted) > 0
        assert answer.masks is None
        differ = [gap for one, other in ((wanted, answer), (answer, wanted)) for gap in gaps(one, other)]
        assert max(differ) < limit


def gaps(found, others):
    """How far each score is from that of the same box and class on the other side, or, where it is not there, above
    the score of the one that suppressed it there: random weights score neighbours alike."""
    for box, score, class_id, _ in found:
        place = np.flatnonzero((others.class_ids == class_id) & (np.abs(others.boxes_xyxy - box).max(axis=1) < 0.1))
        if len(place):
            yield float(np.abs(others.scores[place] - score).min())
            continue
        overlaps = box_iou(torch.from_numpy(box)[None], torch.from_numpy(others.boxes_xyxy))[0].numpy()
        is_near = (others.class_ids == class_id) & (overlaps > 0.49)
        yield max(score - float(others.scores[is_near].max(initial=0)), 0)


@pytest.mark.parametrize("rules", [{}, {"one_class": True, "nms_iou": 1.0}])
def test_an_index_of_half_precision_answers_as_the_detector(architecture, built, rules):
    # Rounding averages out over an embedding: 16 numbers are to 512 as the root of 32.
    assert_answers(architecture, built, "fp16", 5e-3 if specs(architecture)[0].text_rows else 2e-3, **rules)


def test_an_index_of_bytes_answers_nearly_as_the_detector(architecture, built):
    assert_answers(architecture, built, "int8", 0.1 if specs(architecture)[0].text_rows else 0.03, nms_iou=1.0)


def test_few_weights_are_all_that_an_answer_needs(architecture, built, tmp_path):
    detector = tiny_detector(architecture, built)
    write_safetensors(detector.classifier_tensors(), tmp_path / "c.safetensors")
    assert (tmp_path / "c.safetensors").stat().st_size < 2000
    tensors = load_file(tmp_path / "c.safetensors")
    asker = asker_of(detector, tensors)
    assert asker.width == TINY_MODELS[architecture].width
    _, regions = detector.analyse([np.zeros((90, 120, 3), np.uint8)], tiny_words(architecture, detector), ALL_KEPT)[0]
    assert len(regions) > 0
    assert regions.features.shape[2] == asker.width
    assert asker.answer([], tiny_words(architecture, detector)) == []
    empty = replace_rows(regions, 0)
    (none,) = asker.answer([(empty, (90, 120))], tiny_words(architecture, detector))
    assert len(none) == 0
    largest = int((regions.boxes_xyxy[:, 2:] - regions.boxes_xyxy[:, :2]).prod(axis=1).argmax())
    (similar,) = asker.find_similar([(regions, (90, 120))], regions.features[largest])
    assert similar.scores[0] == pytest.approx(1, abs=1e-5)
    assert len(asker.find_similar([(empty, (90, 120))], regions.features[largest])[0]) == 0


ALL_KEPT = RegionPolicy(None, -1.0)


def replace_rows(regions, count):
    return type(regions)(regions.boxes_xyxy[:count], regions.objectness[:count], regions.features[:count])


def test_weights_of_another_model_are_refused(architecture, built):
    detector = tiny_detector(architecture, built)
    tensors = detector.classifier_tensors()
    with pytest.raises(ModelError, match="not those of"):
        asker_of(detector, tensors | {"stages.7.logit_scale": torch.zeros(())})
    weights = [name for name in tensors if name != OWN_COLUMNS]
    for name in weights[:1]:
        with pytest.raises(ModelError, match="not those of"):
            asker_of(detector, {other: t for other, t in tensors.items() if other != name})
        with pytest.raises(ModelError, match="not those of"):
            asker_of(detector, tensors | {name: torch.zeros(3, 3, 3)})


def test_masks_come_out_of_an_index_as_they_went_in(architecture, built):
    detector = tiny_detector(architecture, built)
    words = tiny_words(architecture, detector)
    image = load_script("picture").picture(90, 120, 3)
    for batch in ([image], [image, np.zeros_like(image)]):
        found = detector.analyse(batch, words, RegionPolicy(3, -1.0, with_masks=True))
        if not detector.spec.has_masks:
            assert found[0][1].masks is None
            return
        for _, regions in found:
            side = regions.masks.shape[1]
            assert regions.masks.shape == (len(regions), side, side)
            assert regions.masks.dtype == np.uint8
    (answer,) = asker_of(detector).answer([(found[0][1].stored_as("int8"), (90, 120))], words)
    by_place = {(c, *np.round(box, 1)): mask for box, _, c, mask in found[0][0]}
    shared = [
        (by_place[(c, *np.round(box, 1))], mask) for box, _, c, mask in answer if (c, *np.round(box, 1)) in by_place
    ]
    assert shared
    for wanted, mask in shared:
        assert abs(wanted.area - mask.area) <= 0.1 * wanted.area + 3  # random masks are near one half everywhere
    (bare,) = asker_of(detector).answer([(found[0][1].stored_as("int8"), (90, 120))], words, with_masks=False)
    assert bare.masks is None
