import io
import pickle
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.cache import EmbeddingCache
from ovdet_cli.vocabulary.embed import TextEmbedder, check_embeddings, published_embeddings, read_embeddings
from ovdet_cli.vocabulary.prompts import fill_prompts
from ovdet_cli.vocabulary.vocabulary import Vocabulary

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4) - 5


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int64", "uint8", ">f8"])
def test_a_numpy_file(kind, tmp_path):
    matrix = MATRIX.astype(kind)
    np.save(tmp_path / "e.npy", np.asfortranarray(matrix))
    np.testing.assert_array_equal(read_embeddings(tmp_path / "e.npy"), matrix.astype(np.float32), strict=True)


def test_a_safetensors_file(tmp_path):
    file = tmp_path / "e.safetensors"
    for tensors in (
        {"anything": MATRIX},
        {"embeddings": MATRIX},
        {"a": MATRIX[:1], "embeddings": MATRIX.astype(np.float64)},
    ):
        save_file(tensors, file)
        np.testing.assert_array_equal(read_embeddings(file), MATRIX, strict=True)
    save_file({"a": MATRIX, "b": MATRIX}, file)
    with pytest.raises(VocabularyError, match=r'e\.safetensors holds 2 tensors \(a, b\); name one "embeddings"'):
        read_embeddings(file)


@pytest.mark.parametrize(
    "matrix", [MATRIX[0], MATRIX[None], MATRIX > 0, MATRIX * 1j, np.float32(3), np.array([["a", "b"]])]
)
def test_what_is_no_matrix_of_numbers(matrix, tmp_path):
    np.save(tmp_path / "e.npy", matrix)
    with pytest.raises(VocabularyError, match=r"e\.npy must hold one matrix of numbers \[classes, width\], not "):
        read_embeddings(tmp_path / "e.npy")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(bad, tmp_path):
    matrix = MATRIX.copy()
    matrix[1, 2] = bad
    np.save(tmp_path / "e.npy", matrix)
    with pytest.raises(VocabularyError, match=r"e\.npy: row 1 holds a number that is not finite"):
        read_embeddings(tmp_path / "e.npy")


def test_numbers_too_large_for_float32(tmp_path):
    np.save(tmp_path / "e.npy", np.full((2, 2), 1e300))
    with pytest.raises(VocabularyError, match="row 0 holds a number that is not finite"):
        read_embeddings(tmp_path / "e.npy")


class Witness:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_objects_are_refused_without_unpickling(tmp_path):
    witness = tmp_path / "witness"
    np.save(tmp_path / "e.npy", np.array([[Witness(witness)]], dtype=object), allow_pickle=True)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Witness(witness)))
    for name in ("e.npy", "bare.npy"):
        with pytest.raises(VocabularyError, match=rf"{name} holds no matrix of embeddings"):
            read_embeddings(tmp_path / name)
    assert not witness.exists()
    with (tmp_path / "bare.npy").open("rb") as file:
        pickle.load(file).close()
    assert witness.exists()  # the attack is real


def archive():
    file = io.BytesIO()
    np.savez(file, a=MATRIX)
    return file.getvalue()


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".npz", ".txt", ""])
@pytest.mark.parametrize("content", [b"", b"0.1 0.2\n", b"\x93NUMPY\x01\x00", archive(), archive()[:40], b"PK\x03\x04"])
def test_other_files(ending, content, tmp_path):
    (tmp_path / f"e{ending}").write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"e{ending} holds no matrix of embeddings \(\.npy or \.safetensors\)"):
        read_embeddings(tmp_path / f"e{ending}")


@pytest.mark.parametrize("ending", [".npy", ".safetensors"])
def test_damaged_files_never_fail_otherwise(ending, tmp_path):
    file = tmp_path / f"e{ending}"
    if ending == ".npy":
        np.save(file, MATRIX)
    else:
        save_file({"a": MATRIX}, file)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(VocabularyError):
            read_embeddings(file)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 2):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        try:
            read_embeddings(file)
        except VocabularyError:
            continue


@pytest.mark.parametrize("ending", [".npy", ".safetensors"])
def test_what_is_no_file(ending, tmp_path):
    with pytest.raises(VocabularyError, match=r"cannot read the embeddings .*missing"):
        read_embeddings(tmp_path / f"missing{ending}")
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(VocabularyError, match=r"cannot read the embeddings .*folder"):
        read_embeddings(tmp_path / f"folder{ending}")


def test_the_shape_is_checked():
    check_embeddings(MATRIX, 3, 4, "e.npy")
    with pytest.raises(
        VocabularyError, match=r"e\.npy is 3 x 4, but the vocabulary has 5 names and .* 4 wide: 5 x 4 is needed$"
    ):
        check_embeddings(MATRIX, 5, 4, "e.npy")
    with pytest.raises(VocabularyError, match=r"3 x 512 is needed$"):
        check_embeddings(MATRIX, 3, 512, "e.npy")
    with pytest.raises(VocabularyError, match=r"4 x 3 is needed; it seems transposed$"):
        check_embeddings(MATRIX, 4, 3, "e.npy")


def test_published_embeddings_have_a_row_a_name(tmp_path):
    (part,) = Vocabulary.built_in("coco").parts
    np.save(tmp_path / "coco.npy", np.ones((80, 4), np.float16))
    assert published_embeddings(part, tmp_path / "coco.npy", "coco").dtype == np.float32
    np.save(tmp_path / "coco.npy", np.ones((79, 4), np.float16))
    with pytest.raises(
        VocabularyError, match=r"has 79 rows for the 80 names of coco; .*`ovdet models pull coco --force`"
    ):
        published_embeddings(part, tmp_path / "coco.npy", "coco")


class Tower:
    """Counts what it is asked for; a word is a token, and a sentence has two more."""

    context = 8

    def __init__(self):
        self.asked = []

    def num_tokens(self, sentence):
        return len(sentence.split()) + 2

    def encode(self, sentences):
        self.asked.append(list(sentences))
        return torch.tensor([[float(len(sentence)), 1.0] for sentence in sentences])


def embedder(folder, tower, *, tower_hash="hash", prompt="a {}"):
    return TextEmbedder(lambda: tower, tower_hash, prompt, EmbeddingCache(folder))


def test_names_are_embedded_once(tmp_path):
    tower = Tower()
    first = embedder(tmp_path / "cache", tower).embed(["cat", "hot dog"])
    assert tower.asked == [["a cat", "a hot dog"]]
    assert first.tolist() == [[5, 1], [9, 1]]

    def never():
        raise AssertionError("the tower was loaded")

    again = TextEmbedder(never, "hash", "a {}", EmbeddingCache(tmp_path / "cache")).embed(["cat", "hot dog"])
    np.testing.assert_array_equal(again, first, strict=True)


def test_only_what_is_new_goes_through_the_tower(tmp_path):
    tower = Tower()
    embedder(tmp_path, tower).embed(["cat", "dog"])
    embedder(tmp_path, tower, tower_hash="other").embed(["cat", "dog"])
    embedder(tmp_path, tower, prompt="one {}").embed(["cat", "dog"])
    for names in (["dog", "cat"], ["cat"], ["cat", "cat"]):
        embedder(tmp_path, tower).embed(names)
    assert tower.asked == [["a cat", "a dog"], ["a cat", "a dog"], ["one cat", "one dog"]]
    vectors = embedder(tmp_path, tower).embed(["cow", "cat", "cow", "parrot"])
    assert vectors.tolist() == [[5, 1], [5, 1], [5, 1], [8, 1]]
    assert tower.asked[3:] == [["a cow", "a parrot"]]


def test_groups_become_their_normalised_means(tmp_path):
    tower = Tower()
    groups = [["a cat"], ["a cat", "a parrot", "parrots"], ["a parrot"]]
    for _ in range(2):  # the second time out of the cache
        vectors = embedder(tmp_path, tower).embed_sentences(groups)
        assert vectors.dtype == np.float32
        mean = np.mean([[5, 1], [8, 1], [7, 1]], axis=0)
        np.testing.assert_allclose(vectors, [[5, 1], mean / np.linalg.norm(mean), [8, 1]], rtol=1e-6)
        assert vectors[[0, 2]].tolist() == [[5, 1], [8, 1]]  # one sentence's vector is unchanged
    assert tower.asked == [["a cat", "a parrot", "parrots"]]


def test_a_set_of_templates_is_embedded_as_its_groups(tmp_path):
    names = ["cat", "hot dog"]
    prompt = "vild"
    tower = Tower()
    tower.context = 100
    found = embedder(tmp_path / "1", tower, prompt=prompt).embed(names)
    groups = [fill_prompts(prompt, name) for name in names]
    assert len(groups[0]) > 10
    np.testing.assert_array_equal(embedder(tmp_path / "2", tower, prompt=prompt).embed_sentences(groups), found)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("groups", [[], [["a cat"], []]])
def test_there_must_be_sentences(tmp_path, groups):
    with pytest.raises(ValueError, match="a sentence or more"):
        embedder(tmp_path, Tower()).embed_sentences(groups)


def test_a_long_list_is_kept_as_far_as_it_came(tmp_path, caplog):
    class Stopped(Tower):
        def encode(self, sentences):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().encode(sentences)

    names = [f"thing{i}" for i in range(5000)]
    with pytest.raises(KeyboardInterrupt):
        embedder(tmp_path, Stopped()).embed(names)
    tower = Tower()
    assert embedder(tmp_path, tower).embed(names).shape == (5000, 2)
    assert [len(part) for part in tower.asked] == [5000 - 2 * 2048]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["embedding 5000 sentences"]


@settings(max_examples=60)
@given(st.lists(st.lists(st.lists(st.text(max_size=3), min_size=1, max_size=4), min_size=1, max_size=4), max_size=4))
def test_a_cache_never_changes_a_result(tmp_path_factory, lists_of_groups):
    class Hashing(Tower):
        context = 10_000

        def encode(self, sentences):
            seeds = [zlib.crc32(sentence.encode()) for sentence in sentences]
            return torch.from_numpy(np.array([np.random.default_rng(s).random(5) for s in seeds], np.float32))

    folder = tmp_path_factory.mktemp("cache")
    for i, groups in enumerate(lists_of_groups):
        cached = embedder(folder, Hashing()).embed_sentences(groups)
        fresh = embedder(folder / str(i) / "of its own", Hashing()).embed_sentences(groups)
        np.testing.assert_array_equal(cached, fresh, strict=True)


def test_names_too_long_are_listed_with_their_tokens(tmp_path):
    tower = Tower()
    longest = "one two three four five"  # with "a" and the two marks just fits
    assert embedder(tmp_path, tower).embed([longest]).shape == (1, 2)
    long = [f"{longest} {i}" for i in range(7)]
    with pytest.raises(VocabularyError) as caught:
        embedder(tmp_path, tower).embed(["cat", *long])
    message = str(caught.value)
    assert message.startswith("7 names are longer than the 8 tokens of the text tower: ")
    assert all(f"'{name}' (9 tokens)" in message for name in long[:5])
    assert long[5] not in message
    assert message.endswith("Shorten them")
    assert tower.asked == [[f"a {longest}"]]


def test_sentences_too_long_are_listed_by_names_where_given(tmp_path):
    groups = [["a cat"], ["a cat", "one two three four five six seven"]]
    with pytest.raises(VocabularyError, match=r"^1 names are longer .*: 'big cat' \(9 tokens\)\. Shorten"):
        embedder(tmp_path, Tower()).embed_sentences(groups, ["cat", "big cat"])
    with pytest.raises(VocabularyError, match=r"^1 sentences are .*: 'one two three four five six seven' \(9 tokens\)"):
        embedder(tmp_path, Tower()).embed_sentences(groups)


def test_bfloat16_is_read(tmp_path):
    matrix = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    save_torch_file({"embeddings": matrix}, tmp_path / "e.safetensors")
    np.testing.assert_array_equal(read_embeddings(tmp_path / "e.safetensors"), matrix.float().numpy())
