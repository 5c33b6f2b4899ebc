import json

import numpy as np
import pytest

from ovdet_cli.analysis.correcting import corrected_share
from ovdet_cli.analysis.reviewed import read_reviewed, tally
from ovdet_cli.errors import InputError

LABELS = ["dog", "cat", "a;b", "who?"]
UNITS = {f"in/{name}.jpg": f"in/{name}.jpg" for name in "abcd"}
POSTS = {"p1": "0", "p1/1.jpg": "0", "p1/2.jpg": "0", "p2": "1", "p2/1.jpg": "1"}
FILES_OF = {"p1/1.jpg": 2, "p1/2.jpg": 2}


def _write(tmp_path, text, name="checked.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def _answers(review):
    rows = zip(review.unit, review.label, review.answer, strict=True)
    return {(review.units[unit], LABELS[label]): int(answer) for unit, label, answer in rows}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("words", [("yes", "no", "unsure"), ("TRUE", "False", ""), ("1", "0.0", "?")])
def test_single_answers_from_a_table(tmp_path, delimiter, words):
    rows = [("Source", "Label", "Present"), *zip(UNITS, ("dog", "dog", "Cat"), words, strict=False)]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    assert _answers(review) == {("in/a.jpg", "dog"): 1, ("in/b.jpg", "dog"): 0, ("in/c.jpg", "cat"): -1}
    assert review.unsure == 1
    assert not review.is_whole.any()


@pytest.mark.parametrize("is_list", [False, True])
def test_json_answers(tmp_path, is_list):
    entries = [
        {"file": "in/a.jpg", "label": "dog", "present": True},
        {"file": "in/b.jpg", "label": "dog", "present": 0},
        {"file": "in/c.jpg", "label": "dog", "present": None},
        {"file": "in/d.jpg", "labels": ["a;b", "cat"]},
    ]
    text = json.dumps(entries) if is_list else "\n".join(map(json.dumps, entries))
    review = read_reviewed(_write(tmp_path, text, "checked.jsonl"), UNITS, LABELS)
    assert _answers(review)["in/d.jpg", "a;b"] == 1
    assert [_answers(review)[f"in/{name}.jpg", "dog"] for name in "abc"] == [1, 0, -1]
    assert review.is_whole.tolist() == [False, False, False, True]


def test_a_unit_a_row_with_all_its_labels(tmp_path):
    text = "file,labels\nin/a.jpg,dog|a;b|who?\nin/b.jpg,\nin/c.jpg,dog?;cat\nin/d.jpg,a;b\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    assert _answers(review) == {
        ("in/a.jpg", "dog"): 1,
        ("in/a.jpg", "a;b"): 1,
        ("in/a.jpg", "who?"): 1,
        ("in/c.jpg", "dog"): -1,
        ("in/c.jpg", "cat"): 1,
        ("in/d.jpg", "a;b"): 1,
    }
    assert review.is_whole.all()


def test_counts_against_what_was_detected(tmp_path):
    text = "file,labels\nin/a.jpg,dog|cat\nin/b.jpg,\nin/c.jpg,dog?\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    # Detected: dog in a, b and c, cat in b.
    counts = tally(review, 4, np.array([0, 1, 2, 1]), np.array([0, 0, 0, 1]))
    assert counts.detected_true.tolist() == [1, 0, 0, 0]
    assert counts.detected_checked.tolist() == [2, 1, 0, 0]
    assert counts.undetected_true.tolist() == [0, 1, 0, 0]
    assert counts.undetected_checked.tolist() == [0, 2, 3, 3]


def test_counts_of_single_answers(tmp_path):
    text = "file,label,present\nin/a.jpg,dog,yes\nin/b.jpg,dog,no\nin/c.jpg,dog,yes\nin/c.jpg,cat,unsure\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    counts = tally(review, 4, np.array([0, 1, 2]), np.array([0, 0, 1]))
    assert counts.detected_true.tolist() == [1, 0, 0, 0]
    assert counts.detected_checked.tolist() == [2, 0, 0, 0]
    assert counts.undetected_true.tolist() == [1, 0, 0, 0]
    assert counts.undetected_checked.tolist() == [1, 0, 0, 0]


def test_counts_equal_those_of_full_matrices(tmp_path):
    rng = np.random.default_rng(0)
    labels = [f"l{i}" for i in range(30)]
    units = {f"u{i}": f"u{i}" for i in range(60)}
    is_true, is_found = rng.random((60, 30)) < 0.2, rng.random((60, 30)) < 0.3
    rows = ["unit,labels,label,present"]
    rows += [f"u{i},{'|'.join(labels[j] for j in np.flatnonzero(is_true[i]))},," for i in range(40)]
    is_asked = np.zeros((60, 30), bool)
    is_asked[:40] = True
    for i in range(40, 60):
        is_asked[i, :3] = True
        rows += [f"u{i},,l{j},{int(is_true[i, j])}" for j in range(3)]
    review = read_reviewed(_write(tmp_path, "\n".join(rows)), units, labels)
    assert review.units == tuple(units)
    counts = tally(review, 30, *np.nonzero(is_found))
    for is_there, true, checked in (
        (is_found, counts.detected_true, counts.detected_checked),
        (~is_found, counts.undetected_true, counts.undetected_checked),
    ):
        assert true.tolist() == (is_asked & is_there & is_true).sum(axis=0).tolist()
        assert checked.tolist() == (is_asked & is_there).sum(axis=0).tolist()


def test_a_post_counts_where_all_its_files_were_answered(tmp_path):
    text = "file,label,present\np1/1.jpg,dog,no\np1/2.jpg,dog,yes\np1/1.jpg,cat,yes\np2,dog,no\n"
    review = read_reviewed(_write(tmp_path, text), POSTS, LABELS, FILES_OF)
    assert _answers(review) == {("0", "dog"): 1, ("1", "dog"): 0}
    assert review.partial == 1


def test_a_partly_checked_post_is_left_out_with_its_yes(tmp_path):
    text = "file,labels\np1/2.jpg,dog\np2/1.jpg,cat\n"
    review = read_reviewed(_write(tmp_path, text), POSTS, LABELS, FILES_OF)
    assert review.units == ("1",)
    assert review.partial == 1


def test_the_same_file_by_two_names_is_one_file(tmp_path):
    text = "file,label,present\np1/1.jpg,dog,no\n./x/p1/1.jpg,dog,no\np2,dog,no\n"
    review = read_reviewed(_write(tmp_path, text), POSTS, LABELS, FILES_OF)
    assert review.units == ("1",)


def test_a_named_post_is_the_whole_post(tmp_path):
    review = read_reviewed(_write(tmp_path, "post_id,labels\np1,dog\n"), POSTS, LABELS, FILES_OF)
    assert review.is_whole.tolist() == [True]


def test_names_are_found_by_the_end_of_their_path(tmp_path):
    text = "file,label,present\na.jpg,dog,yes\nC:\\x\\in\\b.jpg,dog,no\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    assert review.units == ("in/a.jpg", "in/b.jpg")


def test_an_end_that_fits_two_files_is_unknown(tmp_path):
    units = {"x/a.jpg": "x/a.jpg", "y/a.jpg": "y/a.jpg"}
    text = "file,label,present\na.jpg,dog,yes\nx/a.jpg,dog,no\n"
    review = read_reviewed(_write(tmp_path, text), units, LABELS)
    assert review.unknown_units == {"a.jpg": 1}


def test_what_the_run_does_not_have_is_counted_and_named(tmp_path):
    text = "file,label,present\nin/a.jpg,dog,yes\nin/z.jpg,dog,yes\nin/a.jpg,zebra,no\nin/b.jpg,zebra,no\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    assert review.unknown_units == {"in/z.jpg": 1}
    assert review.unknown_labels == {"zebra": 2}


def test_the_same_answer_twice_is_one(tmp_path):
    text = "file,label,present\nin/a.jpg,dog,yes\nin/a.jpg,dog,yes\nin/a.jpg,dog,unsure\n"
    review = read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    assert _answers(review) == {("in/a.jpg", "dog"): 1}
    assert review.unsure == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label,present\nin/a.jpg,dog,perhaps so\n", "line 2: 'perhaps so' is no answer"),
        ("file,label,present\n\nin/a.jpg,dog,yes\nin/a.jpg,dog,no\n", "lines 3 and 4: 'dog' is there and is not"),
        ("file,label,present\nin/a.jpg,dog,yes,no\n", "line 2: has more cells"),
        ("file,label\nin/a.jpg,dog\n", "line 2: does not say whether"),
        ("file,present\nin/a.jpg,yes\n", "line 2: names no label"),
        ("picture,label,present\nin/a.jpg,dog,yes\n", "line 2: names no unit"),
        ("file,label,present\n", "has no rows"),
        ("", "has no rows"),
        ("file,label,present\nz.jpg,dog,yes\n", "none of its 1 units, such as 'z.jpg'"),
        ('file,label,present\n"in/a.jpg,dog,yes\n', "is no CSV row"),
        ('{"file": "in/a.jpg"', "line 1: is no JSON"),
        ('{"file": "in/a.jpg", "labels": null}', "line 1: labels are missing"),
        ('{"file": "in/a.jpg", "labels": 3}', "line 1: labels are of type int"),
        ("[3]", "line 1: is no object"),
    ],
)
def test_faults_name_their_line(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read_reviewed(_write(tmp_path, text), UNITS, LABELS)
    assert message in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot read the checked sample"):
        read_reviewed(tmp_path / "none.csv", UNITS, LABELS)
    (tmp_path / "latin.csv").write_bytes("file,label\nä".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        read_reviewed(tmp_path / "latin.csv", UNITS, LABELS)


def test_a_random_sample_tells_what_is_there(tmp_path):
    rng = np.random.default_rng(0)
    units = {f"u{i}": f"u{i}" for i in range(4000)}
    is_true = rng.random((4000, 2)) < (0.3, 0.05)
    is_found = np.where(is_true, rng.random((4000, 2)) < 0.7, rng.random((4000, 2)) < 0.1)
    sample = rng.choice(4000, 400, replace=False)
    rows = [f"u{i},{'|'.join(np.array(['dog', 'cat'])[is_true[i]])}" for i in sample]
    review = read_reviewed(_write(tmp_path, "\n".join(["unit,labels", *rows])), units, ["dog", "cat"])
    counts = tally(review, 2, *np.nonzero(is_found[sample]))
    result = corrected_share(
        counts.detected_true,
        counts.detected_checked,
        counts.undetected_true,
        counts.undetected_checked,
        is_found.sum(axis=0),
        (~is_found).sum(axis=0),
    )
    truth, naive = is_true.mean(axis=0), is_found.mean(axis=0)
    assert ((result.low < truth) & (truth < result.high)).all()
    assert not ((result.low < naive) & (naive < result.high))[1]
