import numpy as np
import orjson
import pytest

from ovdet_cli.analysis.correcting import corrected_share
from ovdet_cli.analysis.judged import correct_shares, from_histograms, from_truth
from ovdet_cli.analysis.labels import label_table
from ovdet_cli.errors import InputError
from tests.analysis.store_of import Asked, open_store, record, write_run


def test_shares_are_corrected_by_the_checked_units(tmp_path):
    # Cats are detected in 20 of 100 posts; of 10 checked ones 8 are right, and of 10 others 1 holds one unseen.
    run = write_run(tmp_path, *(record(f"{i}.jpg", *[("cat", 0.9)] * (i < 20), ("dog", 0.9)) for i in range(100)))
    answers = [(i, i >= 2) for i in range(10)] + [(i, i == 20) for i in range(20, 30)]
    path = tmp_path / "checked.csv"
    rows = "".join(f"{i}.jpg,cat,{'yes' if is_there else 'no'}\n" for i, is_there in answers)
    path.write_text("source,label,present\n" + rows)
    with open_store(Asked(), run) as (store, _):
        table = label_table(store)
        corrected, review = correct_shares(store, table, path)
    place = table.columns["label"].tolist().index("cat")
    expected = corrected_share([8], [10], [1], [10], [20], [80])
    for name in ("share", "low", "high"):
        assert getattr(corrected, name)[place] == pytest.approx(getattr(expected, name)[0])
    assert corrected.share[place] == pytest.approx(0.2 * 0.8 + 0.8 * 0.1)
    assert len(review.units) == 20
    # Nobody has looked for dogs.
    assert np.isnan(corrected.share[1 - place])


def test_rows_speak_of_files_and_of_posts_and_failed_ones_of_nothing(tmp_path):
    records = [record("a.jpg", ("cat", 0.9)), record("b.jpg"), record("c.jpg", ("cat", 0.9)), record("d.jpg")]
    run = write_run(tmp_path, *records, record("e.jpg", error="broken"))
    posts = {name: {"id": "P"} for name in ("a.jpg", "b.jpg")}
    path = tmp_path / "checked.csv"
    with open_store(Asked(posts), run) as (store, _):
        table = label_table(store)

        def checked(*rows):
            path.write_text("source,label,present\n" + "".join(f"{row}\n" for row in rows))
            return correct_shares(store, table, path)[1]

        assert checked("P,cat,yes", "d.jpg,cat,no").units == ("0", "3")
        assert checked("a.jpg,cat,no", "b.jpg,cat,no", "d.jpg,cat,no").units == ("0", "3")
        partly = checked("a.jpg,cat,yes", "d.jpg,cat,no")
        assert (partly.units, partly.partial) == (("3",), 1)
        assert checked("e.jpg,cat,yes", "d.jpg,cat,no").units == ("3",)
        with pytest.raises(InputError, match="none of its 1 units"):
            checked("e.jpg,cat,yes")


def test_thresholds_from_histograms(tmp_path):
    rng = np.random.default_rng(0)
    two_humps = np.concatenate([rng.normal(0.3, 0.05, 3000), rng.normal(0.85, 0.04, 3000)]).clip(0.1, 0.99)
    run = write_run(tmp_path, record("a", *(("cat", float(s)) for s in two_humps), ("dog", 0.5), ("low", 0.05)))
    with open_store(Asked(), run) as (store, _):
        table = label_table(store)
        found = dict(zip(table.columns["label"], from_histograms(store, table, 0.1), strict=True))
        assert len(from_histograms(store, table, 1.0)) == 3
    assert 0.4 < found["cat"].threshold < 0.8
    assert found["dog"].threshold is None
    assert "too few" in found["dog"].why
    assert found["low"].threshold is None


def test_thresholds_from_labelled_pictures(tmp_path):
    box = (0.1, 0.1, 0.5, 0.5)
    records = [record(f"{i}.jpg", ("cat", 0.9, box), ("cat", 0.3, (0.6, 0.6, 0.9, 0.9))) for i in range(40)]
    run = write_run(tmp_path / "run", *records, record("only found.jpg", ("dog", 0.9)))
    truth = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(40)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
            for i in range(40)
        ],
    }
    path = tmp_path / "truth.json"
    path.write_bytes(orjson.dumps(truth))
    with open_store(Asked(), run) as (store, _):
        table = label_table(store)
        found = dict(zip(table.columns["label"], from_truth([run], table, path, 0.1), strict=True))
    assert 0.3 <= found["cat"].threshold < 0.9
    assert found["dog"] == type(found["dog"])(None, "the labelled pictures do not speak of it")
