import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ovdet_cli import Detector, Vocabulary
from ovdet_cli.detector.detector import choose_model
from ovdet_cli.errors import DeviceError, MissingAssetError, ModelError, UsageError, VocabularyError
from ovdet_cli.models import store
from ovdet_cli.models.zoo import EMBEDDINGS, MODELS, TEXT_ENCODERS
from tests.parity.reference import load_script, seeded_embeddings

SMALL = {"device": "cpu", "precision": "fp32", "short_side": 64, "max_size": 120}
WORDS = [f"thing {i}" for i in range(40)]


def picture(height, width, seed=0):
    return load_script("picture").picture(height, width, seed)


@pytest.fixture(scope="session")
def detector(r18_weights):
    detector = Detector(weights=r18_weights, threshold=0.3, max_detections=20, **SMALL)
    # The box heads take nearly all of a small picture's time: fewer proposals for them.
    config = detector._model.config
    detector._model.config = replace(config, proposals=replace(config.proposals, post_nms_top=32))
    return detector


@pytest.fixture(scope="session")
def embeddings(tmp_path_factory):
    file = tmp_path_factory.mktemp("embeddings") / "e.npy"
    np.save(file, seeded_embeddings())
    return file


@pytest.fixture(scope="session")
def words(detector, embeddings):
    return detector.prepare_words(Vocabulary(WORDS), embeddings)


@pytest.fixture
def changed(detector, monkeypatch):
    """Sets attributes of the shared detector for one test."""

    def change(**values):
        for name, value in values.items():
            monkeypatch.setattr(detector, name, value)
        return detector

    return change


def assert_same(found, wanted):
    """Equal within what another order of sums changes."""
    assert len(found) == len(wanted)
    np.testing.assert_array_equal(found.class_ids, wanted.class_ids)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, atol=0.1)
    for one, other in zip(found.masks or [], wanted.masks or [], strict=True):
        assert np.count_nonzero(one.bitmap() != other.bitmap()) <= 0.01 * one.area + 5


def test_three_lines(r18_weights, embeddings):
    detector = Detector(weights=str(r18_weights), **SMALL, threshold=0.3, max_detections=20)
    words = detector.prepare_words(Vocabulary(WORDS), str(embeddings))
    found = detector.detect(picture(120, 160), words)
    assert len(found) > 0
    assert (found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2]).all()
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= [160, 120, 160, 120]).all()
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() > 0.3
    assert set(found.class_ids) <= set(range(40))
    assert [mask.size_hw for mask in found.masks] == [(120, 160)] * len(found)


def test_a_vocabulary_is_embedded_once(detector, monkeypatch):
    folder = store.embeddings_path("coco")
    folder.parent.mkdir(parents=True)
    np.save(folder, np.random.default_rng(0).standard_normal((80, 512)).astype(np.float16))
    first = detector.detect(picture(60, 60), Vocabulary.built_in("coco"))
    folder.unlink()
    assert_same(detector.detect(picture(60, 60), Vocabulary.built_in("coco")), first)
    with pytest.raises(MissingAssetError, match="embeddings of coco are not on this machine"):
        detector.prepare_words(Vocabulary.built_in("coco"))


def test_a_batch_of_mixed_sizes_equals_singles_in_order(changed, words):
    detector = changed(batch=3)
    sizes = [(120, 160), (160, 120), (119, 158), (50, 300), (120, 161)]
    images = [picture(h, w, seed) for seed, (h, w) in enumerate(sizes)]
    padded = [detector._preprocessor.prepare(image).padded_hw for image in images]
    assert 1 < len(set(padded)) < len(images)
    together = detector.detect(images, words)
    for image, found in zip(images, together, strict=True):
        assert len(found) > 0
        assert_same(found, detector.detect(image, words))


def test_no_pictures(detector, words):
    assert detector.detect([], words) == []


class Memory:
    """Lets at most `limit` pictures through the backbone at once."""

    def __init__(self, extract, limit, error):
        self.extract, self.limit, self.error = extract, limit, error
        self.asked = []

    def __call__(self, pixels):
        self.asked.append(len(pixels))
        if len(pixels) > self.limit:
            raise self.error
        return self.extract(pixels)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    ),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:80] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."
    ),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    MemoryError("Unable to allocate 9 GiB"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:20])
def test_the_batch_is_halved_until_it_fits(error, changed, words, monkeypatch, caplog):
    detector = changed(batch=5, with_masks=False)
    memory = Memory(detector._model.extract, 2, error)
    monkeypatch.setattr(detector._model, "extract", memory)
    images = [picture(40, 40, seed) for seed in range(6)]
    found = detector.detect(images, words)
    assert memory.asked == [5, 2, 2, 2]
    assert detector.batch == 2
    assert "out of memory: going on with batches of 2" in caplog.text
    monkeypatch.setattr(memory, "limit", 9)
    for i in (0, 5):
        assert_same(found[i], detector.detect(images[i], words))


def test_a_picture_too_large_for_the_memory(changed, words, monkeypatch):
    detector = changed(batch=2)
    monkeypatch.setattr(detector._model, "extract", Memory(None, 0, OUT_OF_MEMORY[0]))
    with pytest.raises(
        DeviceError, match=r"the memory of cpu does not hold one picture of 85x64; try a smaller --imgsz"
    ):
        detector.detect([picture(30, 40), picture(30, 40)], words)


def test_other_errors_stay_what_they_are(detector, words, monkeypatch):
    monkeypatch.setattr(detector._model, "extract", Memory(None, 0, RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        detector.detect(picture(30, 40), words)


def test_without_masks_the_mask_head_does_not_run(changed, words, monkeypatch):
    detector = changed(with_masks=False)
    wanted = detector.detect(picture(60, 80), words)
    monkeypatch.setattr(detector._model, "predict_masks", None)
    found = detector.detect(picture(60, 80), words)
    assert found.masks is None
    assert_same(found, wanted)


def test_nothing_found(detector, words, monkeypatch):
    monkeypatch.setattr(detector, "rules", type(detector.rules)(threshold=1.0))
    monkeypatch.setattr(detector._model, "predict_masks", None)
    found = detector.detect(picture(60, 80), words)
    assert len(found) == 0
    assert found.masks == []


def test_masks_lie_in_their_boxes(detector, words):
    found = detector.detect(picture(120, 160), words)
    assert any(mask.area for mask in found.masks)
    for (x1, y1, x2, y2), mask in zip(found.boxes_xyxy, found.masks, strict=True):
        rows, columns = np.nonzero(mask.bitmap())
        if len(rows):
            assert x1 - 1.5 <= columns.min() <= columns.max() <= x2 + 0.5
            assert y1 - 1.5 <= rows.min() <= rows.max() <= y2 + 0.5


@pytest.fixture(scope="session")
def columns(r18_weights):
    """The stand-in file's own classifier (S, C, D), without the background."""
    tensors = load_file(r18_weights)
    return torch.stack([tensors[f"roi_heads.box_predictor.{k}.cls_score.zs_weight"].T[:-1] for k in range(3)])


def test_the_checkpoints_own_classes(detector, columns):
    own = detector.own_vocabulary()
    assert len(own) == columns.shape[1] == 22047
    assert own.names[:1203] == Vocabulary.built_in("lvis").names
    assert own.names[1203] == "class 1203"
    assert own.names[-1] == "class 22046"
    assert own.duplicates() == []


def test_own_columns_are_used_raw_and_a_stage_each(detector, columns):
    words = detector.prepare_words(detector.own_vocabulary())
    torch.testing.assert_close(words.texts, columns, rtol=0, atol=0)
    norms = columns.norm(dim=2)
    assert not torch.allclose(columns[0], columns[1]) or not torch.allclose(norms, torch.ones(()))
    prepared = detector._preprocessor.prepare(picture(60, 80))
    with torch.inference_mode():
        pyramid = detector._model.extract(detector._preprocessor.stack([prepared], detector.device))
        (regions,) = detector._model.propose(pyramid, [prepared.size_hw])
        logits = 50 * torch.einsum("rsd,scd->rsc", regions.features_RSD[:9], columns[:, :500])
        wanted = (logits.sigmoid().mean(dim=1) * regions.objectness_R[:9, None]).sqrt()
        found = detector._model.classify(regions, words.texts)[:9, :500]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_words_beside_own_columns_are_cosines(detector, columns):
    published = np.random.default_rng(0).standard_normal((80, 512)).astype(np.float16) * 9
    file = store.embeddings_path("coco")
    file.parent.mkdir(parents=True)
    np.save(file, published)
    coco, own = Vocabulary.built_in("coco"), detector.own_vocabulary()
    unit = F.normalize(torch.from_numpy(published.astype(np.float32)), dim=1).expand(3, -1, -1)
    both = detector.prepare_words(coco + own)
    torch.testing.assert_close(both.texts, torch.cat((unit, columns), dim=1))
    assert both.names == coco.names + own.names
    torch.testing.assert_close(detector.prepare_words(own + coco).texts, torch.cat((columns, unit), dim=1))


def test_embeddings_bring_the_whole_vocabulary(detector, embeddings, tmp_path):
    words = detector.prepare_words(Vocabulary(WORDS), embeddings)
    np.testing.assert_array_equal(words.texts.numpy(), seeded_embeddings())
    with pytest.raises(VocabularyError, match="the vocabulary has 2 names"):
        detector.prepare_words(Vocabulary(["cat", "dog"]), embeddings)
    np.save(tmp_path / "t.npy", seeded_embeddings().T)
    with pytest.raises(VocabularyError, match="it seems transposed"):
        detector.prepare_words(Vocabulary(WORDS), tmp_path / "t.npy")


def test_words_without_a_text_tower(detector):
    with pytest.raises(MissingAssetError, match="clip-vit-b-32"):
        detector.prepare_words(Vocabulary(["cat"]))


def test_a_built_in_list_falls_back_on_the_text_tower(detector, monkeypatch):
    """Published embeddings first; the tower where it is there and they are not."""
    asked = []

    class Tower:
        context = 77

        def num_tokens(self, sentence):
            return 4

        def encode(self, sentences):
            asked.extend(sentences)
            return torch.ones(len(sentences), 512)

    tower = store.path(TEXT_ENCODERS["clip-vit-b-32"])
    tower.parent.mkdir(parents=True)
    tower.write_bytes(b"tower")
    monkeypatch.setattr("ovdet_cli.models.text_encoders.clip.ClipTextEncoder.from_file", lambda path, name: Tower())
    assert detector.prepare_words(Vocabulary.built_in("coco") + Vocabulary(["unicorn"])).texts.shape == (81, 512)
    assert asked[:2] == ["a person", "a bicycle"]
    assert asked[-1] == "a unicorn"
    file = store.path(EMBEDDINGS["coco"])
    file.parent.mkdir(parents=True)
    np.save(file, np.full((80, 512), 2, np.float16))
    assert detector.prepare_words(Vocabulary.built_in("coco")).texts.eq(2).all()
    tower.write_bytes(b"another tower")
    count = len(asked)
    detector.prepare_words(Vocabulary(["unicorn"]))
    assert asked[count:] == ["a unicorn"]


def test_half_precision_runs_on_the_cpu(changed, words):
    """Backbone and pyramid alone: boxes and scores move by what eight bits of mantissa do."""
    exact = changed().detect(picture(120, 160), words)
    rough = changed(dtype=torch.bfloat16).detect(picture(120, 160), words)
    assert rough.scores.dtype == np.float32
    assert len(rough) == pytest.approx(len(exact), rel=0.3)
    matched = 0
    for box in exact.boxes_xyxy[:20]:
        matched += np.abs(rough.boxes_xyxy - box).max(axis=1).min() < 8
    assert matched >= 0.7 * min(20, len(exact))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 1), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9, 3), np.float32),
        np.zeros((9, 9, 3), np.uint16),
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((2, 9, 9, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{image.shape}",
)
def test_other_arrays_are_refused(image, detector, words):
    with pytest.raises(ValueError, match=r"a picture is RGB uint8 \(H, W, 3\), not "):
        detector.detect(image, words)
    with pytest.raises(ValueError, match="RGB uint8"):
        detector.detect([picture(9, 9), image], words)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 2), (4, 3000), (3000, 4), (1, 5000)])
def test_odd_sizes_do_not_crash(size_hw, detector, words):
    found = detector.detect(picture(*size_hw), words)
    height, width = size_hw
    assert (found.boxes_xyxy <= [width, height, width, height]).all()
    assert all(mask.size_hw == size_hw for mask in found.masks)


def test_settings_override_the_models_rules(r18_weights, detector):
    assert detector.spec is MODELS["detic-r18"]
    assert detector.rules.threshold == 0.3
    assert detector.rules.one_class
    assert detector.rules.nms_iou == 0.5
    assert detector.rules.max_detections == 20
    assert detector.preprocess.short_side == 64
    assert detector.batch == 1
    for wrong in (
        {"batch": 0},
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"nms_iou": -1},
        {"max_detections": 0},
        {"short_side": 0},
    ):
        with pytest.raises(UsageError):
            Detector(weights=r18_weights, **{**SMALL, **wrong})


def test_max_detections_and_threshold_act(changed, words):
    detector = changed()
    many = detector.detect(picture(120, 160), words)
    few = changed(rules=type(detector.rules)(threshold=0.3, max_detections=3)).detect(picture(120, 160), words)
    assert_same(few, many.select(np.arange(3)))
    limit = float(many.scores[4])
    above = changed(rules=type(detector.rules)(threshold=limit)).detect(picture(120, 160), words)
    assert_same(above, many.above(limit))


def test_the_model_is_chosen(tmp_path, r18_weights):
    spec = MODELS["boxsup-l-r50"]
    assert choose_model("detic-r18", tmp_path / "x.pth") is MODELS["detic-r18"]
    assert choose_model(None, tmp_path / f"{spec.stem}.pth") is spec
    assert choose_model(None, tmp_path / f"{spec.stem}-mine.safetensors") is spec
    assert choose_model(None, r18_weights, list(load_file(r18_weights))) is MODELS["detic-r18"]
    assert choose_model(None, None).name == "builtin"
    store.set_default_model("detic-r50")
    assert choose_model(None, None).name == "detic-r50"
    with pytest.raises(ModelError, match=r"x\.pth does not look like a model ovdet knows; say which with --model"):
        choose_model(None, tmp_path / "x.pth", ["a"])


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_the_official_file_name_tells_the_model(spec, tmp_path):
    """Some official names begin as others do."""
    assert choose_model(None, tmp_path / f"{spec.stem}.pth") is spec


def test_weights_of_another_model_are_refused(r18_weights):
    with pytest.raises(
        ModelError, match=r"r18\.safetensors does not fit this model\. \d+ missing: backbone\.bottom_up\..*misshapen"
    ):
        Detector("detic-r50", weights=r18_weights, **SMALL)


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(MissingAssetError, match="the weights of detic-r18 are not on this machine"):
        Detector("detic-r18", **SMALL)
    with pytest.raises(ModelError, match="no weight file at"):
        Detector(weights=tmp_path / "missing.pth", **SMALL)


def test_a_file_without_its_classifier_still_answers_words(r18_weights, tmp_path, words):
    file = tmp_path / "without.safetensors"
    save_file({name: tensor for name, tensor in load_file(r18_weights).items() if "zs_weight" not in name}, file)
    detector = Detector(weights=file, **SMALL)
    detector.detect(picture(40, 40), words)
    for ask in (detector.own_vocabulary, lambda: detector.prepare_words(Vocabulary.built_in("lvis"))):
        with pytest.raises((ModelError, MissingAssetError)):
            ask()
    with pytest.raises(ModelError, match=r"no classifier of their own .*zs_weight is missing"):
        detector.own_vocabulary()


def test_the_hash_of_the_weights(r18_weights, tmp_path):
    import hashlib

    copy = tmp_path / "copy.safetensors"
    shutil.copy(r18_weights, copy)
    wanted = hashlib.sha256(copy.read_bytes()).hexdigest()
    assert Detector(weights=copy, **SMALL).weights_sha256 == wanted


def test_an_overflow_in_half_precision_is_done_again_in_float32(detector, words, monkeypatch, caplog):
    exact = detector.detect(picture(48, 64), words)
    extract = detector._model.extract

    def overflow(pixels):
        levels = extract(pixels)
        return [level * torch.inf for level in levels] if torch.is_autocast_enabled("cpu") else levels

    monkeypatch.setattr(detector, "dtype", torch.bfloat16)
    monkeypatch.setattr(detector._model, "extract", overflow)
    again = detector.detect(picture(48, 64), words)
    assert "overflows" in caplog.text
    np.testing.assert_array_equal(again.boxes_xyxy, exact.boxes_xyxy)
