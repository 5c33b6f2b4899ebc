import pytest

from ovdet_cli.analysis.units import Part
from tests.analysis.store_of import Asked, open_store, record, video, write_run

CAROUSEL = {
    f"{name}.jpg": {"id": "P", "account": "ann", "time_us": time} for name, time in zip("abc", (7, 5, 9), strict=True)
}


def units(asked, *runs):
    with open_store(asked, *runs) as (store, left_out):
        rows = store.rows("SELECT unit_id, key, account, time_us, likes, num_files FROM unit ORDER BY unit_id")
        return rows, left_out


@pytest.fixture
def run(tmp_path):
    """A carousel of three files, of which one failed, and two files by themselves."""
    return write_run(
        tmp_path,
        *(record("a.jpg", ("cat", 0.9)), record("b.jpg", error="broken"), record("c.jpg")),
        *(record("d.jpg", ("cat", 0.9)), record("e.jpg", error="broken")),
    )


def test_files_of_one_post_are_one_unit_and_what_all_failed_is_none(run):
    rows, left_out = units(Asked(CAROUSEL), run)
    assert rows == [(0, "P", "ann", 5, None, 3), (3, "d.jpg", None, None, None, 1)]
    assert list(vars(left_out).values()) == [0, 0, 0, 0]


def test_files_and_accounts_are_counted_by_themselves(run):
    assert [row[1] for row in units(Asked(CAROUSEL, "file"), run)[0]] == ["a.jpg", "c.jpg", "d.jpg"]
    rows, left_out = units(Asked(CAROUSEL, "account"), run)
    assert rows == [(0, "ann", "ann", 5, None, 3)]
    assert left_out.without_account == 2


def test_a_post_called_as_a_file_is_another_unit(tmp_path):
    run = write_run(tmp_path, record("a.jpg"), record("b.jpg"), record("c.jpg"))
    posts = {"b.jpg": {"id": "a.jpg"}, "c.jpg": {"id": "file 0/a.jpg"}}
    assert len(units(Asked(posts), run)[0]) == 3


def test_failed_files_are_members_but_not_shown(run):
    with open_store(Asked(CAROUSEL), run) as (store, _):
        assert store.number("SELECT count(*) FROM member") == 5
        assert store.rows("SELECT frame_id, unit_id FROM shown ORDER BY ALL") == [(0, 0), (2, 0), (3, 3)]


def test_a_post_is_not_cut_in_two_by_time(run):
    for since, until, kept in ((5, 6, True), (6, None, False), (None, 5, False), (None, 6, True)):
        rows, left_out = units(Asked(CAROUSEL, part=Part(since, until)), run)
        assert bool(rows) == kept
        assert left_out.without_time == 2
        assert left_out.elsewhere == (0 if kept else 3)
    rows, _ = units(Asked(CAROUSEL, "file", Part(6)), run)
    assert [row[1] for row in rows] == ["a.jpg", "c.jpg"]


def test_an_account_is_cut_by_the_times_of_its_posts(tmp_path):
    run = write_run(tmp_path, *(record(f"{i}.jpg") for i in range(4)))
    posts = {f"{i}.jpg": {"account": "ann", "time_us": 10 * i} for i in range(4)}
    rows, left_out = units(Asked(posts, "account", Part(15, 25)), run)
    assert rows == [(2, "ann", "ann", 20, None, 1)]
    assert left_out.elsewhere == 3


def test_likes_of_a_post_are_one_number_and_those_of_an_account_add_up(tmp_path):
    run = write_run(tmp_path, *(record(f"{i}.jpg") for i in range(4)))
    posts = {
        "0.jpg": {"id": "P", "likes": 5, "tags": ["x"]},
        "1.jpg": {"id": "P", "likes": 5, "tags": ["x", "y"]},
        "2.jpg": {"likes": 7, "tags": []},
    }
    posts = {name: {**own, "account": "ann"} for name, own in posts.items()}
    assert [row[4] for row in units(Asked(posts), run)[0]] == [5, 7, None]
    assert [row[4] for row in units(Asked(posts, "account"), run)[0]] == [12]
    with open_store(Asked(posts, "account"), run) as (store, _):
        assert store.rows("SELECT tags FROM unit") == [(["x", "y"],)]
    huge = {name: {"account": "ann", "likes": 2**62} for name in ("0.jpg", "1.jpg", "2.jpg")}
    assert [row[4] for row in units(Asked(huge, "account"), run)[0]] == [None]


def test_patterns_choose_accounts_and_sources_and_each_file_is_left_out_once(tmp_path):
    run = write_run(tmp_path, *(record(f"{folder}/{i}.jpg") for folder in "xy" for i in range(3)))
    posts = {"x/0.jpg": {"account": "ann"}, "x/1.jpg": {"account": "bob"}, "y/0.jpg": {"account": "ann's"}}
    rows, left_out = units(Asked(posts, part=Part(accounts=("ann*",), sources=("x/*", "nowhere"))), run)
    assert [row[1] for row in rows] == ["x/0.jpg"]
    assert (left_out.without_account, left_out.elsewhere) == (3, 2)
    rows, left_out = units(Asked(posts, "account", Part(since_us=0, accounts=("[a]nn",)), folded=(0, 5)), run)
    assert rows == []
    assert sum(vars(left_out).values()) == 6
    assert left_out.folded == 2


def test_weights_are_times_to_the_next_frame_that_was_looked_at(tmp_path):
    frames = video("v.mp4", (0.5,), (1.0,), (4.0,), (5.0,), (5.0,))
    alone, still = video("w.mp4", (3.0,)), record("p.jpg")
    failed = record("v.mp4", index=9, time_s=9.0, error="broken")
    run = write_run(tmp_path, *frames, *alone, still, failed)
    with open_store(Asked(), run) as (store, _):
        rows = store.rows("SELECT s.name, weight_s FROM shown JOIN source s USING (source_id) ORDER BY frame_id")
    assert [name for name, _ in rows] == ["v.mp4"] * 5 + ["w.mp4", "p.jpg"]
    weights = [weight for _, weight in rows]
    # Of two frames of one time either may be the later one.
    assert weights[:3] == [0.5, 3.0, 1.0]
    assert sorted(weights[3:5]) == [0.0, 0.75]
    assert weights[5:] == [0.0, None]
