import json

import numpy as np
import pytest

from ovdet_cli.errors import InputError, RecordError
from ovdet_cli.evaluation.datasets import decode_segmentation, read_ground_truth
from tests.evaluation.cases import ellipse, rhombus, thing, truth_of, write_truth

BOX = [20.0, 20.0, 50.0, 40.0]


def test_what_is_read(tmp_path):
    truth = truth_of(
        tmp_path,
        [
            thing(BOX, segmentation=[rhombus(BOX), [1, 2, 3, 4]], area=7),
            thing(BOX, 1, 11, iscrowd=1, segmentation=ellipse(BOX)),
            thing(BOX, segmentation=[[1, 2, 3, 4]]),
        ],
    )
    assert truth.categories == {3: "cat", 1: "dog", 8: "hot dog", 20: "unseen"}
    assert (truth.images[0].id, truth.images[0].file_name, truth.images[0].size_hw) == (10, "p10.jpg", (200, 300))
    first, crowd, line = truth.objects
    assert first.box_xywh == tuple(BOX)
    assert first.area == 7
    assert first.segmentation == [rhombus(BOX)]  # a polygon of two points encloses nothing
    assert crowd.is_crowd
    assert crowd.area == 2000
    assert line.segmentation is None
    assert truth.objects_of == {10: [first, line], 11: [crowd], 12: [], 13: []}


def broken(tmp_path, change):
    data = json.loads(write_truth(tmp_path, [thing(BOX), thing(BOX)]).read_text())
    change(data)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("annotations"), "no list 'annotations'"),
        (lambda d: d.update(images={}), "no list 'images'"),
        (lambda d: d["images"][1].pop("file_name"), r"images\[1\] has no 'file_name'"),
        (lambda d: d["images"][1].update(width=0), r"images\[1\].*0x200"),
        (lambda d: d["images"][1].update(id="11"), r"images\[1\].*str"),
        (lambda d: d["images"][1].update(id=10), "two images have the id 10"),
        (lambda d: d["categories"][0].update(name=5), r"categories\[0\].*no text"),
        (lambda d: d["categories"].append(5), r"categories\[4\]"),
        (lambda d: d["annotations"][1].pop("bbox"), r"annotations\[1\] has no 'bbox'"),
        (lambda d: d["annotations"][1].update(bbox=[1, 2, 3]), r"annotations\[1\]"),
        (lambda d: d["annotations"][1].update(bbox="long"), r"annotations\[1\]"),
        (lambda d: d["annotations"][1].update(image_id=99), r"annotations\[1\] names image 99"),
        (lambda d: d["annotations"][1].update(category_id=99), r"annotations\[1\] names category 99"),
        (lambda d: d["annotations"][1].update(segmentation=[[1, 2, 3]]), r"annotations\[1\].*polygon"),
        (lambda d: d["annotations"][1].update(segmentation=[["a"] * 6]), r"annotations\[1\]"),
        (lambda d: d["annotations"][1].update(segmentation={"size": [1, 2]}), r"annotations\[1\].*counts"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, change, says):
    with pytest.raises(InputError, match=says):
        read_ground_truth(broken(tmp_path, change))


@pytest.mark.parametrize(
    ("text", "says"), [("{", "no JSON"), ("[]", "holds a list"), (None, "cannot read the annotations")]
)
def test_files_that_are_none(tmp_path, text, says):
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=says):
        read_ground_truth(tmp_path / "x.json")


def test_pictures_may_lack_their_size(tmp_path):
    path = broken(tmp_path, lambda d: d["images"][0].pop("width"))
    assert read_ground_truth(path).images[0].size_hw is None


def test_both_forms_of_run_lengths():
    bitmap = decode_segmentation({"size": [2, 3], "counts": [1, 2, 3]}).bitmap()
    assert bitmap.tolist() == [[False, True, False], [True, False, False]]
    assert decode_segmentation(ellipse(BOX)).area == pytest.approx(np.pi / 4 * 2000, rel=0.02)
    for counts in ([1, 2], [-1, 7], ["a"], None):
        with pytest.raises(RecordError):
            decode_segmentation({"size": [2, 3], "counts": counts})
