import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import OutputError
from ovdet_cli.vocabulary import cache as module
from ovdet_cli.vocabulary.cache import CacheFacts, EmbeddingCache

VECTORS = np.arange(6, dtype=np.float32).reshape(2, 3)
SENTENCES = ["a cat", "a dog"]
DAY_S = 86400


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "cache [of mine]?#%20")


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""

    class Clock:
        now_s = 1e9

        def time(self):
            return self.now_s

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def assert_found(cache, sentences=SENTENCES, vectors=VECTORS, tower="tower"):
    found = cache.find(tower, sentences)
    assert found.keys() == set(sentences)
    np.testing.assert_array_equal(np.stack([found[sentence] for sentence in sentences]), vectors, strict=True)


def test_what_was_put_is_found(cache):
    assert cache.find("tower", SENTENCES) == {}
    assert not cache.folder.exists()
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache)
    assert names_in(cache.folder) == ["vectors-1.sqlite"]
    cache.put("tower", SENTENCES, VECTORS + 1)
    assert_found(cache, vectors=VECTORS + 1)
    assert cache.facts().num_vectors == 2


def test_each_sentence_is_found_by_itself(cache):
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache, ["a dog"], VECTORS[1:])
    assert list(cache.find("tower", ["a cow", "a dog", "a catA", "a", "a dog"])) == ["a dog"]
    assert cache.find("other", SENTENCES) == {}
    assert cache.find("tower", []) == {}


def test_no_two_sentences_share_a_place(cache):
    cache.put("tower", ["a\0b", 'a", "b'], VECTORS)
    assert cache.find("tower", ["a", "b", "a\0"]) == {}
    cache.put("tower", ["cat"], VECTORS[:1])
    assert cache.find("towerc", ["at"]) == {}
    assert cache.find("tower\0a", ["b"]) == cache.find('tower", "a', ["b"]) == {}


def test_any_text_can_be_a_key(cache):
    names = ["漢字🐈", "caf\udce9", "", "../../x", "a" * 10_000, "a\0b"]
    vectors = np.random.default_rng(0).random((len(names), 4), dtype=np.float32)
    cache.put("tower", names, vectors)
    assert_found(cache, names, vectors)


def test_a_long_list_is_quick(cache):
    sentences = [f"a thing of kind {i}" for i in range(21_000)]
    vectors = np.random.default_rng(0).random((21_000, 512), dtype=np.float32)
    start_s = time.perf_counter()
    cache.put("tower", sentences, vectors)
    put_s, start_s = time.perf_counter() - start_s, time.perf_counter()
    found = cache.find("tower", sentences)
    find_s = time.perf_counter() - start_s
    np.testing.assert_array_equal(np.stack([found[sentence] for sentence in sentences]), vectors)
    # 0.3 s and 0.2 s on two quiet cores; a tower takes minutes.
    assert put_s < 8
    assert find_s < 4
    assert cache.facts().num_bytes < 1.15 * vectors.nbytes


@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS[:1],
        VECTORS[0],
        VECTORS.astype(np.float64),
        VECTORS * np.nan,
        np.array([["x"], ["y"]]),
        VECTORS[:, :0],
    ],
    ids=str,
)
def test_vectors_of_another_kind_are_not_stored(cache, vectors):
    cache.put("tower", SENTENCES, vectors)
    assert cache.find("tower", SENTENCES) == {}


def test_several_widths_of_one_tower_are_as_none(cache):
    cache.put("tower", ["a cow"], VECTORS[:1, :2])
    cache.put("tower", SENTENCES, VECTORS)
    assert cache.find("tower", ["a cow", *SENTENCES]) == {}
    assert_found(cache)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vectors SET vector = zeroblob(12)",
        "UPDATE vectors SET vector = substr(vector, 1, 8)",
        "UPDATE vectors SET vector = 'text'",
        "UPDATE vectors SET vector = CAST(x'fffefdff' AS TEXT)",
        "UPDATE vectors SET vector = NULL",
        "UPDATE vectors SET checksum = NULL",
        "UPDATE vectors SET checksum = checksum + 1",
        "UPDATE vectors SET key = substr(key, 1, 31) || 'x'",
    ],
)
def test_a_row_that_was_changed_is_as_none_and_is_mended(cache, statement):
    cache.put("tower", SENTENCES, VECTORS)
    with closing(sqlite3.connect(cache.folder / "vectors-1.sqlite")) as database, database:
        assert database.execute(statement).rowcount == 2
    assert cache.find("tower", SENTENCES) == {}
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache)


def test_vectors_that_are_exchanged_are_as_none(cache):
    cache.put("tower", SENTENCES, VECTORS)
    with closing(sqlite3.connect(cache.folder / "vectors-1.sqlite")) as database, database:
        (first, *one), (second, *other) = database.execute("SELECT key, vector, checksum FROM vectors").fetchall()
        for key, row in ((first, other), (second, one)):
            database.execute("UPDATE vectors SET vector = ?, checksum = ? WHERE key = ?", (*row, key))
    assert cache.find("tower", SENTENCES) == {}


@pytest.mark.parametrize("used", ["NULL", "'yesterday'", "x'ff'", "1e300", "-1", "CAST(x'fffe' AS TEXT)"])
def test_a_last_use_that_was_changed_is_noted_anew(cache, used):
    cache.put("tower", SENTENCES, VECTORS)
    with closing(sqlite3.connect(cache.folder / "vectors-1.sqlite")) as database, database:
        database.execute(f"UPDATE uses SET used_s = {used}")
    assert_found(cache)
    assert cache.prune(1) == 0
    assert_found(cache)


def foreign_database(statement):
    """Content of a SQLite file of something else."""
    with closing(sqlite3.connect(":memory:")) as database, database:
        database.execute(statement)
        return database.serialize()


@pytest.mark.parametrize(
    "content",
    [
        b"no database",
        bytes(100_000),
        b"SQLite format 3\0" + bytes(4080),
        foreign_database("CREATE TABLE vectors (x)"),
        foreign_database("CREATE TABLE uses (x)"),
        foreign_database("CREATE VIEW vectors AS SELECT 1 AS key"),
    ],
    ids=range(6),
)
def test_a_foreign_file_is_as_none_and_is_given_up(cache, content):
    cache.folder.mkdir()
    (cache.folder / "vectors-7.sqlite").write_bytes(content)
    assert cache.find("tower", SENTENCES) == {}
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache)
    assert names_in(cache.folder) == ["vectors-8.sqlite"]


@pytest.mark.parametrize("content", [b"", foreign_database("CREATE TABLE other (x)")], ids=["empty", "other"])
def test_a_file_without_our_tables_gets_them(cache, content):
    cache.folder.mkdir()
    (cache.folder / "vectors-1.sqlite").write_bytes(content)
    assert cache.find("tower", SENTENCES) == {}
    assert cache.prune(1) == 0
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache)
    assert names_in(cache.folder) == ["vectors-1.sqlite"]


def test_damage_never_fails_and_never_gives_another_vector(cache):
    sentences = [f"a thing {i}" for i in range(60)]
    vectors = np.random.default_rng(0).random((60, 512), dtype=np.float32)
    cache.put("tower", sentences, vectors)
    whole = (cache.folder / "vectors-1.sqlite").read_bytes()
    random = np.random.default_rng(1)
    lost = 0
    for trial in range(150):
        for file in cache.folder.iterdir():
            file.unlink()
        damaged = bytearray(whole[: random.integers(len(whole))] if trial % 3 == 0 else whole)
        for _ in range(trial % 5):
            place = random.integers(len(damaged)) if trial % 2 else random.integers(min(400, len(damaged)))
            damaged[place : place + 8] = random.bytes(8)[: len(damaged) - place]
        (cache.folder / "vectors-1.sqlite").write_bytes(damaged)
        found = cache.find("tower", sentences)
        for sentence, vector in found.items():
            np.testing.assert_array_equal(vector, vectors[sentences.index(sentence)], strict=True)
        lost += len(found) < 60
        cache.facts()
        missing = [i for i, sentence in enumerate(sentences) if sentence not in found]
        if missing:
            cache.put("tower", [sentences[i] for i in missing], vectors[missing])
            again = cache.find("tower", [sentences[i] for i in missing])
            assert len(again) == len(missing), "what was put after the damage is there"
        cache.prune(1)
    assert lost > 50, "the damage is real"


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path):
    (tmp_path / "file").touch()
    cache = EmbeddingCache(tmp_path / "file" / "cache")
    cache.put("tower", SENTENCES, VECTORS)
    assert cache.find("tower", SENTENCES) == {}
    assert cache.facts() == CacheFacts(0, 0, 0)
    assert cache.prune(None) == 0


def test_a_folder_in_the_files_place_costs_nothing(cache):
    (cache.folder / "vectors-1.sqlite").mkdir(parents=True)
    cache.put("tower", SENTENCES, VECTORS)
    assert cache.find("tower", SENTENCES) == {}
    with pytest.raises(OutputError, match="cannot be pruned"):
        cache.prune(None)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
def test_a_full_disk_costs_nothing(cache):
    cache.put("tower", SENTENCES, VECTORS)
    code = (
        "import resource, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from ovdet_cli.vocabulary.cache import EmbeddingCache\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "cache = EmbeddingCache(Path(sys.argv[1]))\n"
        "cache.put('tower', [str(i) for i in range(1000)], np.ones((1000, 512), np.float32))\n"
        "assert not cache.find('tower', ['1'])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(cache.folder)], check=True)
    assert_found(cache)
    assert names_in(cache.folder) == ["vectors-1.sqlite"]
    assert cache.facts().num_vectors == 2


def _as_nobody(folder, results):
    os.setuid(65534)
    _without_right_to_write(folder, results)


def _without_right_to_write(folder, results):
    cache = EmbeddingCache(folder)
    found = cache.find("tower", SENTENCES)
    cache.put("tower", ["new"], VECTORS[:1])
    try:
        cache.prune(None)
    except OutputError as error:
        results.put((len(found), len(cache.find("tower", ["new"])), str(error)))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_folder_that_cannot_be_written_is_read(clock):
    # Under a folder that others may pass, as the reader is another user where the test runs as root.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cache"
        cache = EmbeddingCache(folder)
        cache.put("tower", SENTENCES, VECTORS)
        clock.now_s += 2 * DAY_S  # so that the reader would note its use
        Path(name).chmod(0o755)
        (folder / "vectors-1.sqlite").chmod(0o444)
        folder.chmod(0o555)
        try:
            context = multiprocessing.get_context("fork")
            results = context.Queue()
            target = _as_nobody if os.geteuid() == 0 else _without_right_to_write
            reader = context.Process(target=target, args=(folder, results))
            reader.start()
            num_found, num_new, error = results.get(timeout=60)
            reader.join()
        finally:
            folder.chmod(0o755)
        assert (num_found, num_new) == (2, 0)
        assert "cannot be pruned" in error
        assert names_in(folder) == ["vectors-1.sqlite"]
        assert_found(cache)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_other_users_may_read_it(cache):
    cache.put("tower", SENTENCES, VECTORS)
    (file,) = cache.folder.iterdir()
    assert file.stat().st_mode & 0o444 == 0o444


def _vector_of(i):
    return np.full((1, 300), i, np.float32)


def _work(folder, seed):
    """Puts numbers in disorder, and looks for all; gives up at a vector that belongs to another."""
    cache = EmbeddingCache(folder)
    random = np.random.default_rng(seed)
    for _ in range(25):
        chosen = random.choice(200, 16, replace=False)
        cache.put("tower", [str(i) for i in chosen], np.concatenate([_vector_of(i) for i in chosen]))
        found = cache.find("tower", [str(i) for i in range(200)])
        assert all(np.array_equal(vector, _vector_of(int(name))[0]) for name, vector in found.items())
        assert all(str(i) in found for i in chosen)


def test_several_processes_at_once(cache):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(cache.folder, seed)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(cache.find("tower", [str(i) for i in range(200)])) > 190
    assert names_in(cache.folder) == ["vectors-1.sqlite"]


def test_several_threads_at_once(cache):
    wrong = []

    def work(seed):
        try:
            _work(cache.folder, seed)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _use_what_others_clear(folder, seed):
    cache = EmbeddingCache(folder)
    for i in range(40):
        if seed == 0:
            cache.prune(None)
        elif seed == 1 and i % 4 == 0:
            for file in folder.glob("*.sqlite"):  # as a disk might
                with file.open("r+b") as content:
                    content.write(b"damage!!" * 4)
        cache.put("tower", [str(i)], _vector_of(i))
        found = cache.find("tower", [str(j) for j in range(40)])
        assert all(np.array_equal(vector, _vector_of(int(name))[0]) for name, vector in found.items())


def test_users_of_a_file_that_is_cleared_and_damaged_meanwhile(cache):
    cache.folder.mkdir()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_use_what_others_clear, args=(cache.folder, seed)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache)


def test_a_writer_that_is_killed_leaves_what_was_there(cache):
    """Killed with pages of its transaction in the file already, so that its journal must undo them."""
    sentences = [f"a thing {i}" for i in range(200)]
    vectors = np.random.default_rng(0).random((200, 512), dtype=np.float32)
    cache.put("tower", sentences, vectors)
    code = (
        "import os, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from ovdet_cli.vocabulary import cache as module\n"
        "real = module._connect\n"
        "def connect(*arguments):\n"
        "    database = real(*arguments)\n"
        "    database.execute('PRAGMA cache_size = 5')\n"
        "    database.set_trace_callback(lambda text: text == 'COMMIT' and os._exit(9))\n"
        "    return database\n"
        "module._connect = connect\n"
        "sentences = [f'a thing {i}' for i in range(200)]\n"
        "module.EmbeddingCache(Path(sys.argv[1])).put('tower', sentences, np.ones((200, 512), np.float32))\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(cache.folder)], check=False).returncode == 9
    assert names_in(cache.folder) == ["vectors-1.sqlite", "vectors-1.sqlite-journal"]
    assert_found(cache, sentences, vectors)
    cache.put("tower", SENTENCES, vectors[:2])
    assert_found(cache, SENTENCES, vectors[:2])


def test_a_lock_that_is_never_given_back_costs_only_patience(cache, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    cache.put("tower", SENTENCES, VECTORS)
    with closing(sqlite3.connect(cache.folder / "vectors-1.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.find("tower", SENTENCES) == {}
        cache.put("tower", ["a cow"], VECTORS[:1])
        with pytest.raises(OutputError, match="locked"):
            cache.prune(1)
    assert_found(cache)
    assert cache.find("tower", ["a cow"]) == {}


def test_the_last_use_counts(cache, clock):
    cache.put("tower", SENTENCES, VECTORS)
    cache.put("other", ["a cow"], VECTORS[:1])
    assert cache.facts().num_towers == 2
    clock.now_s += 5 * DAY_S
    assert len(cache.find("tower", ["a cat"])) == 1
    clock.now_s += 5 * DAY_S
    assert cache.prune(11) == 0
    assert cache.prune(7) == 2
    assert list(cache.find("tower", SENTENCES)) == ["a cat"]
    assert cache.find("other", ["a cow"]) == {}
    assert cache.facts().num_towers == 1


def test_a_use_is_noted_once_a_day(cache, clock):
    cache.put("tower", SENTENCES, VECTORS)
    (file,) = cache.folder.iterdir()
    before = file.read_bytes()
    for _ in range(3):
        clock.now_s += DAY_S / 4
        assert_found(cache)
    assert file.read_bytes() == before
    clock.now_s += DAY_S / 4
    assert_found(cache)
    assert file.read_bytes() != before
    clock.now_s -= 30 * DAY_S  # a clock that was set right
    before = file.read_bytes()
    assert_found(cache)
    assert file.read_bytes() != before
    clock.now_s += 2 * DAY_S
    assert cache.prune(1) == 2


def test_noting_a_use_waits_for_nobody(cache, clock):
    cache.put("tower", SENTENCES, VECTORS)
    clock.now_s += 2 * DAY_S
    with closing(sqlite3.connect(cache.folder / "vectors-1.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # others may read still
        start_s = time.perf_counter()
        assert_found(cache)
        assert time.perf_counter() - start_s < module._PATIENCE_S / 2


def test_pruning_makes_the_file_smaller(cache, clock):
    sentences = [str(i) for i in range(1000)]
    cache.put("tower", sentences, np.ones((1000, 512), np.float32))
    clock.now_s += 2 * DAY_S
    cache.put("tower", SENTENCES, np.ones((2, 512), np.float32))
    whole = cache.facts()
    assert whole.num_bytes > 1000 * 2048
    assert cache.prune(1) == 1000
    assert cache.facts().num_bytes < whole.num_bytes / 10
    assert len(cache.find("tower", [*sentences, *SENTENCES])) == 2


def test_clearing_removes_all(cache):
    cache.put("tower", SENTENCES, VECTORS)
    cache.put("other", SENTENCES, VECTORS)
    assert cache.facts().num_vectors == 4
    assert cache.prune(None) == 4
    assert (cache.facts().num_vectors, cache.facts().num_towers) == (0, 0)
    assert cache.find("tower", SENTENCES) == {}
    assert cache.prune(None) == 0
    cache.put("tower", SENTENCES, VECTORS)
    assert_found(cache)


def test_what_is_not_there_is_pruned_without_a_folder(cache):
    assert cache.prune(None) == cache.prune(3) == 0
    assert not cache.folder.exists()


@pytest.mark.parametrize("days", [None, 30])
def test_what_earlier_versions_left_goes_and_nothing_else(cache, days):
    cache.folder.mkdir()
    for name in ("a" * 64 + ".npy", "tmp1x_y2.part", "mine.npy", "vectors-1.sqlite.bak", "notes.txt"):
        (cache.folder / name).write_bytes(bytes(500))
    assert cache.facts().num_bytes == 1000
    assert cache.prune(days) == 0
    assert cache.facts().num_bytes == 0
    assert names_in(cache.folder) == ["mine.npy", "notes.txt", "vectors-1.sqlite.bak"]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "find", "prune", "damage"]),
            st.sampled_from(["tower", "other"]),
            st.lists(st.text(st.characters(codec=None), max_size=3), min_size=1, max_size=5),
        ),
        max_size=12,
    )
)
def test_a_vector_is_always_the_one_that_was_put(tmp_path_factory, steps):
    cache = EmbeddingCache(tmp_path_factory.mktemp("cache"))
    kept = {}
    for step, tower, sentences in steps:
        if step == "put":
            vectors = np.array([[len(tower), *json.dumps(s).encode()[:4].ljust(4)] for s in sentences], np.float32)
            cache.put(tower, sentences, vectors)
            kept.update({(tower, s): v for s, v in zip(sentences, vectors, strict=True)})
        elif step == "prune":
            cache.prune(None)
            kept.clear()
        elif step == "damage":
            for file in cache.folder.iterdir():
                file.write_bytes(b"x" + file.read_bytes()[1:])
            kept.clear()
        found = cache.find(tower, sentences)
        assert found.keys() == {s for s in sentences if (tower, s) in kept}
        for sentence, vector in found.items():
            np.testing.assert_array_equal(vector, kept[tower, sentence], strict=True)
