import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ovdet_cli.analysis import duplicates, prints
from ovdet_cli.analysis.duplicates import examples, fold, fold_posts
from ovdet_cli.analysis.findings import Findings
from ovdet_cli.analysis.prints import read_prints
from ovdet_cli.media.phash import NEAR, PRINT, are_alike


def random_prints(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = np.zeros(count, PRINT)
    made["coarse"] = rng.integers(0, 2**64, count, dtype=np.uint64)
    made["fine"] = rng.integers(0, 2**64, (count, 4), dtype=np.uint64)
    return made


def flipped(own: np.ndarray, bits: list[int]) -> np.ndarray:
    changed = own.copy()
    for bit in bits:
        changed["coarse"] ^= np.uint64(1 << bit)
    return changed


def slow_fold(own: np.ndarray, order: np.ndarray) -> list[int]:
    """What `fold` promises, word for word: all pairs are looked at."""
    representative = [-1] * len(own)
    ranks = np.argsort(order, kind="stable").tolist()
    for place, item in enumerate(ranks):
        if representative[item] < 0:
            representative[item] = item
            for other in ranks[place + 1 :]:
                if representative[other] < 0 and are_alike(own[item], own[other]):
                    representative[other] = item
    return representative


def test_the_first_stands_for_the_others() -> None:
    own = np.repeat(random_prints(3), 3)
    own[4:6]["coarse"] ^= np.uint64(0b111)
    assert fold(own).tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 6]
    assert fold(own, np.arange(9)[::-1]).tolist() == [2, 2, 2, 5, 5, 5, 8, 8, 8]
    assert fold(own[:0]).tolist() == []


@pytest.mark.parametrize("distance", range(NEAR + 2))
def test_seven_bits_are_near_wherever_they_lie(distance: int) -> None:
    rng = np.random.default_rng(distance)
    own = random_prints(300)
    pairs = np.concatenate([own, [flipped(one, rng.choice(64, distance, False).tolist()) for one in own]])
    is_folded = fold(pairs)[300:] == np.arange(300)
    assert is_folded.all() if distance <= NEAR else not is_folded.any()


def test_groups_do_not_grow_from_likeness_to_likeness() -> None:
    chain = [random_prints(1)[0]]
    for step in range(12):
        chain.append(flipped(chain[-1], list(range(4 * step, 4 * step + 4))))
    found = fold(np.array(chain))
    assert found.tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12]


def test_the_finer_hash_has_the_last_word() -> None:
    own = np.repeat(random_prints(1), 4)
    own["fine"][1:3, 0] = ~own["fine"][1:3, 0]
    assert fold(own).tolist() == [0, 1, 1, 0]
    own["is_strict"] = True
    own["fine"][3, 1] ^= np.uint64(0x1FFF)
    assert fold(own).tolist() == [0, 1, 1, 3]


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_everyone_is_near_its_representative_and_none_is_missed(seed: int, count: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    own = random_prints(4, seed)[rng.integers(0, 4, count)]
    for one in range(count):
        own[one] = flipped(own[one], rng.choice(12, rng.integers(0, min(bits, 12) + 1), False).tolist())
    order = rng.integers(0, 10, count)
    found = fold(own, order)
    ranks = np.lexsort((np.arange(count), order)).argsort()
    assert are_alike(own, own[found]).all()
    assert (found[found] == found).all()
    assert (ranks[found] <= ranks).all()
    if len(np.unique(own["coarse"])) == count:
        assert found.tolist() == slow_fold(own, order)
    heads = np.flatnonzero(found == np.arange(count))
    first, second = np.triu_indices(len(heads), 1)
    assert not are_alike(own[heads[first]], own[heads[second]]).any()


def test_small_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    own = np.concatenate([random_prints(500), random_prints(500)])
    own["coarse"] &= np.uint64(0xFFFF_FFFF_0000_FFFF)
    whole = fold(own)
    monkeypatch.setattr(duplicates, "_MOST_PAIRS", 16)
    assert fold(own).tolist() == whole.tolist() == [*range(500), *range(500)]


def test_posts_with_the_same_pictures_are_one() -> None:
    #         post 0: a b, 1: b a, 2: a, 3: a b, 4: without a file
    posts = np.array([0, 0, 1, 1, 2, 3, 3])
    files = np.array([0, 1, 1, 0, 0, 0, 1])
    folded = fold_posts(posts, files, np.array([5, 1, 9, 7, 0]))
    assert folded.representative.tolist() == [1, 1, 2, 1, 4]
    assert folded.num_folded == 2
    assert examples(folded, list("abcde")) == [["b", "a", "d"]]
    assert [group.tolist() for group in folded.groups()] == [[1, 0, 3]]


def picture(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((200, 200)).save(path)
    return path


def test_prints_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [picture(tmp_path / f"{i}.png", i // 2) for i in range(6)]
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    places = [*paths, None, tmp_path / "broken.jpg", tmp_path / "gone.jpg"]
    cache, findings = tmp_path / "cache" / "prints.sqlite", Findings()
    first, is_known = read_prints(places, findings, cache, workers=2)
    assert is_known.tolist() == [True] * 6 + [False] * 3
    assert fold(first[is_known]).tolist() == [0, 0, 2, 2, 4, 4]
    assert findings.counts == {"unreadable picture": 2}

    asked = []
    make = prints._made
    monkeypatch.setattr(prints, "_made", lambda path: asked.append(path.name) or make(path))
    second, _ = read_prints(places, Findings(), cache)
    assert second.tobytes() == first.tobytes()
    assert asked == []
    picture(paths[0], 9)
    os.utime(paths[0], ns=(1, 1))
    third, _ = read_prints(places, Findings(), cache)
    assert asked == ["0.png"]
    assert not are_alike(third[0], first[0])


@pytest.mark.parametrize("content", [b"", b"no base at all" * 100])
def test_a_broken_cache_is_made_anew(tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "prints.sqlite"
    cache.write_bytes(content)
    own = [picture(tmp_path / "a.png", 0)]
    assert read_prints(own, Findings(), cache)[1].all()
    assert sqlite3.connect(cache).execute("SELECT count(*) FROM prints").fetchone() == (1,)
    sqlite3.connect(cache).execute("PRAGMA user_version = 99")
    assert read_prints(own, Findings(), cache)[1].all()
    assert read_prints(own, Findings(), tmp_path)[1].all()  # a folder is no cache
