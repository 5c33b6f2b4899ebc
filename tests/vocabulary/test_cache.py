import os
import threading

import numpy as np
import pytest

from ovdet_cli.vocabulary.cache import EmbeddingCache

VECTORS = np.arange(6, dtype=np.float32).reshape(2, 3)
SENTENCES = ["a cat", "a dog"]


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "cache")


def test_what_was_put_is_got(cache):
    assert cache.get("tower", SENTENCES) is None
    assert not cache.folder.exists()
    cache.put("tower", SENTENCES, VECTORS)
    np.testing.assert_array_equal(cache.get("tower", SENTENCES), VECTORS, strict=True)
    assert [file.suffix for file in cache.folder.iterdir()] == [".npy"]
    cache.put("tower", SENTENCES, VECTORS + 1)
    np.testing.assert_array_equal(cache.get("tower", SENTENCES), VECTORS + 1, strict=True)


@pytest.mark.parametrize(
    ("tower", "sentences"),
    [
        ("other", SENTENCES),
        ("tower", SENTENCES[::-1]),
        ("tower", ["a cat", "a dog", "a cow"]),
        ("tower", ["a catA", " dog"]),
    ],
)
def test_anything_else_is_not_there(cache, tower, sentences):
    cache.put("tower", SENTENCES, VECTORS)
    assert cache.get(tower, sentences) is None


def test_no_two_lists_share_a_place(cache):
    cache.put("tower", ["a\0b", "c"], VECTORS)
    assert cache.get("tower", ["a", "b\0c"]) is None
    assert cache.get("tower\0a", ["b", "c"]) is None


def test_any_text_can_be_a_key(cache):
    for name in ("漢字🐈", "caf\udce9", "", "../../x", "a" * 10_000):
        cache.put("tower", [name], VECTORS[:1])
        assert cache.get("tower", [name]) is not None


def test_a_damaged_file_is_as_none(cache):
    cache.put("tower", SENTENCES, VECTORS)
    (file,) = cache.folder.iterdir()
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert cache.get("tower", SENTENCES) is None
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, 128, 2):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        found = cache.get("tower", SENTENCES)
        assert found is None or found.dtype == np.float32


@pytest.mark.parametrize(
    "vectors",
    [VECTORS[:1], VECTORS[0], VECTORS.astype(np.float64), VECTORS * np.nan, np.array([["x"], ["y"]])],
    ids=str,
)
def test_vectors_of_another_kind_are_as_none(cache, vectors):
    cache.put("tower", SENTENCES, vectors)
    assert cache.get("tower", SENTENCES) is None


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path):
    (tmp_path / "file").touch()
    cache = EmbeddingCache(tmp_path / "file" / "cache")
    cache.put("tower", SENTENCES, VECTORS)
    assert cache.get("tower", SENTENCES) is None


def test_a_full_disk_costs_nothing_and_leaves_nothing(cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    cache.put("tower", SENTENCES, VECTORS)
    assert list(cache.folder.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_other_users_may_read_it(cache):
    cache.put("tower", SENTENCES, VECTORS)
    (file,) = cache.folder.iterdir()
    assert file.stat().st_mode & 0o444 == 0o444


def test_several_writers_and_readers_at_once(cache):
    vectors = np.random.default_rng(0).random((2, 5000), dtype=np.float32)
    wrong = []

    def work():
        for _ in range(30):
            cache.put("tower", SENTENCES, vectors)
            found = cache.get("tower", SENTENCES)
            if found is None or not np.array_equal(found, vectors):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(list(cache.folder.iterdir())) == 1
