"""Entries of a vocabulary file -> phrases: aliases, means, templates, examples, children."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from ovdet_cli.detector import phrases
from ovdet_cli.detector.phrases import columns_of_classes, embed_entries, unit
from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import WordMaker, class_rules, embed_vocabulary, prepare_words
from ovdet_cli.errors import UsageError, VocabularyError
from ovdet_cli.models.ops.selection import ClassRules
from ovdet_cli.models.zoo import BUILTIN, MODELS
from ovdet_cli.vocabulary.embedded import PhraseVectors, read_embedded, write_embedded
from ovdet_cli.vocabulary.entry import Entry, Example
from ovdet_cli.vocabulary.vocabulary import Part, Vocabulary


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("OVDET_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return TextTower(BUILTIN)


def vocabulary(*entries: Entry) -> Vocabulary:
    return Vocabulary(parts=[Part(tuple(entry.name for entry in entries), entries=entries)])


def test_an_alias_is_a_phrase_of_its_own(tower):
    cat, dog = embed_entries([Entry("cat", aliases=("kitten",)), Entry("dog")], tower)
    assert cat.shape == (2, 192)
    np.testing.assert_array_equal(cat, tower.embed(["cat", "kitten"]))
    np.testing.assert_array_equal(dog, tower.embed(["dog"]))


def test_a_mean_is_one_phrase(tower):
    (car,) = embed_entries([Entry("car", aliases=("truck", "bus"), combine="mean")], tower)
    vectors = tower.embed(["car", "truck", "bus"])
    np.testing.assert_allclose(car, unit(vectors.mean(axis=0, keepdims=True)), atol=1e-6)
    assert abs(float(np.linalg.norm(car)) - 1) < 1e-6


def test_templates_are_averaged(tower):
    (cat,) = embed_entries([Entry("cat", templates=("a red {}", "{}"))], tower)
    wanted = tower.encoder.encode(["a red cat", "cat"]).numpy()
    np.testing.assert_allclose(cat, unit(wanted.mean(axis=0, keepdims=True)), atol=1e-5)


def test_examples_are_averaged_with_the_words(tower, tmp_path, monkeypatch):
    shades = np.zeros((10, 20, 3), np.uint8)
    shades[:, 10:] = 255
    Image.fromarray(shades).save(tmp_path / "a.png")
    seen = []

    class Pictures:
        def __init__(self, spec):
            assert spec is BUILTIN

        def embed(self, crops):
            seen.extend((*crop.shape, float(crop.mean())) for crop in crops)
            return np.eye(192, dtype=np.float32)[: len(crops)]

    monkeypatch.setattr(phrases, "ExampleTower", Pictures)
    path = tmp_path / "a.png"
    boxes = (None, (10.0, 0.0, 20.0, 10.0), (18.5, 8.5, 90.0, 90.0), (30.0, 30.0, 31.0, 31.0))
    entry = Entry("cat", aliases=("kitten",), examples=tuple(Example(path, box) for box in boxes))
    (cat, dog) = embed_entries([entry, Entry("dog")], tower)
    assert [shape[:3] for shape in seen] == [(10, 20, 3), (10, 10, 3), (2, 2, 3), (1, 1, 3)]
    assert [shape[3] for shape in seen] == [127.5, 255, 255, 255]
    example = unit(np.eye(192, dtype=np.float32)[:4].mean(axis=0))
    np.testing.assert_allclose(cat, unit((tower.embed(["cat", "kitten"]) + example) / 2), atol=1e-6)
    np.testing.assert_array_equal(dog, tower.embed(["dog"]))


def test_the_builtin_model_has_no_picture_tower(tower, tmp_path):
    with pytest.raises(UsageError, match="picture tower"):
        embed_entries([Entry("cat", examples=(Example(tmp_path / "a.png"),))], tower)


def test_a_parent_finds_its_descendants_but_no_look_alikes():
    entries = [
        Entry("food", finds_children=True),
        Entry("fruit", parents=("food",)),
        Entry("apple", parents=("fruit",), aliases=("cox",)),
        Entry("wax apple", parents=("fruit",), is_negative=True),
        Entry("car"),
    ]
    assert columns_of_classes(entries, [1, 1, 2, 1, 1]) == [[0, 1, 2, 3], [1], [2, 3], [4], [5]]
    assert columns_of_classes([Entry("a"), Entry("b")], [1, 1]) is None
    assert columns_of_classes([Entry("a"), Entry("b")], [1, 2]) == [[0], [1, 2]]
    circle = [Entry("a", parents=("b",), finds_children=True), Entry("b", parents=("a",), finds_children=True)]
    assert columns_of_classes(circle, [1, 1]) == [[0, 1], [1, 0]]


def test_words_of_a_file_with_everything(tower):
    words = prepare_words(
        vocabulary(
            Entry("plant", finds_children=True),
            Entry("tree", parents=("plant",), aliases=("oak",), threshold=0.25),
            Entry("cat", is_negative=True, max_per_image=2, min_area=9.0),
        )
        + Vocabulary(["dog"]),
        tower,
    )
    assert words.texts.shape == (7, 192)
    assert words.class_of_P is not None
    assert words.class_of_P.tolist() == [0, 0, 0, 1, 1, 2, 3]
    torch.testing.assert_close(words.texts[1:3], words.texts[3:5])
    rules = words.classes
    assert rules is not None
    assert rules.threshold_C.isnan().tolist() == [True, False, True, True]
    assert rules.max_count_C.tolist() == [ClassRules.NO_LIMIT, ClassRules.NO_LIMIT, 2, ClassRules.NO_LIMIT]
    assert rules.min_area_C.tolist() == [0, 0, 9, 0]
    assert rules.is_negative_C.tolist() == [False, False, True, False]
    assert rules.lowest(0.5) == 0.25
    lowered = words.recorded_above(0.1).classes
    assert lowered is not None
    assert lowered.threshold_C[1] == pytest.approx(0.1)


def test_plain_names_have_no_rules(tower):
    words = prepare_words(Vocabulary(["cat", "cat", "dog"]), tower)
    assert words.class_of_P is None
    assert words.classes is None
    assert words.recorded_above(0.1) is words
    assert class_rules([Entry("a", colour=(1, 2, 3), is_novel=True)]) is None


def test_embeddings_of_a_file_are_by_class_or_by_phrase(tower, tmp_path):
    both = vocabulary(Entry("a", aliases=("b",)), Entry("c", aliases=("d", "e"), combine="mean"))
    vectors = np.random.default_rng(0).standard_normal((3, 192), dtype=np.float32)
    np.save(tmp_path / "phrases.npy", vectors)
    np.save(tmp_path / "classes.npy", vectors[:2])
    np.save(tmp_path / "wrong.npy", vectors[:1])
    words = prepare_words(both, tower, tmp_path / "phrases.npy")
    assert words.class_of_P is not None
    assert words.class_of_P.tolist() == [0, 0, 1]
    assert prepare_words(both, tower, tmp_path / "classes.npy").class_of_P is None
    with pytest.raises(VocabularyError, match="1 x 192, but the vocabulary has 2 names"):
        prepare_words(both, tower, tmp_path / "wrong.npy")


def test_a_file_says_which_classes_are_novel():
    spec = MODELS["vild-ensemble-r50"]
    tower = TextTower(spec)
    maker = WordMaker(tower, lambda: torch.zeros(1, 1, 1))
    vectors = PhraseVectors(np.eye(3, 512, dtype=np.float32), np.arange(3), spec.text_encoder, "w")
    entries = (Entry("a", is_novel=True), Entry("b", is_novel=False), Entry("c"))
    words = Vocabulary(parts=[Part(("a", "b", "c"), entries=entries, vectors=vectors)])
    found = maker.prepare(words).is_novel_C
    assert found is not None
    assert found.tolist() == [True, False, False]
    chosen = maker.prepare(words, novel=["b"]).is_novel_C
    assert chosen is not None
    assert chosen.tolist() == [False, True, False]


def test_vectors_in_a_file_come_back(tower, tmp_path):
    entries = (
        Entry("plant", finds_children=True),
        Entry("tree", parents=("plant",), aliases=("oak",), colour=(255, 0, 255), threshold=0.5),
        Entry("car", templates=("a toy {}",), combine="mean", aliases=("bus",)),
    )
    words = vocabulary(*entries) + Vocabulary(["dog", "dog"])
    path = tmp_path / "w.safetensors"
    write_embedded(path, words.entries, embed_vocabulary(words, tower))
    again = Vocabulary.load(path)
    assert again.entries == words.entries
    ready, wanted = prepare_words(again, tower), prepare_words(words, tower)
    torch.testing.assert_close(ready.texts, wanted.texts, rtol=0, atol=0)
    assert ready.class_of_P is not None
    assert wanted.class_of_P is not None
    assert ready.class_of_P.tolist() == wanted.class_of_P.tolist()
    assert ready.origins == ("file",)
    with pytest.raises(VocabularyError, match="of the text tower builtin-text, but detic-r50 wants those of clip"):
        prepare_words(again, TextTower(MODELS["detic-r50"]))


@pytest.mark.parametrize("what", ["class_of", "embeddings", "cut", "text", "foreign"])
def test_a_damaged_file_of_vectors_is_told(tower, tmp_path, what):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "w.safetensors"
    words = vocabulary(Entry("a"), Entry("b"))
    write_embedded(path, words.entries, PhraseVectors(np.eye(2, 192, dtype=np.float32), np.arange(2), "t", "w"))
    metadata = {"format": "ovdet-vocabulary/1", "classes": '[{"name": "a"}, {"name": "b"}]', "text_encoder": "t"}
    tensors = load_file(path)
    assert read_embedded(path)[0] == words.entries
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif what == "text":
        save_file(tensors, path, metadata | {"classes": "[{"})
    elif what == "foreign":
        save_file(tensors, path)
    else:
        tensors[what] = tensors[what][:1]
        save_file(tensors, path, metadata)
    with pytest.raises(VocabularyError, match=r"damaged|no vocabulary"):
        Vocabulary.load(path)


def test_a_vocabularys_hash_knows_its_settings():
    plain, same = Vocabulary(["a", "b"]), vocabulary(Entry("a"), Entry("b"))
    other = vocabulary(Entry("a"), dataclasses.replace(Entry("b"), threshold=0.5))
    assert len({plain.sha256, same.sha256, other.sha256}) == 3
