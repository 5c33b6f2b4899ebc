import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from ovdet_cli.errors import InputError, VocabularyError
from ovdet_cli.evaluation.names import join_names
from ovdet_cli.media.images import write_image
from ovdet_cli.training.datasets import CocoBoxes, LabelledFolders, class_frequencies

SQUARE = [4, 3, 10, 3, 10, 8, 4, 8]


def picture(seed=0, size_hw=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def annotation(image_id=1, category_id=7, bbox=(4, 3, 6, 5), **more):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), **more}


@pytest.fixture
def coco(tmp_path):
    """Writes annotations and their pictures, and gives what CocoBoxes takes."""

    def write(*annotations, categories=((7, "hot_dog"), (2, "cat"), (9, "unused"))):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        write_image(tmp_path / "pictures" / "a.png", picture())
        write_image(tmp_path / "pictures" / "b.png", picture(1, (30, 20)))
        data = {
            "images": [
                {"id": 1, "file_name": "a.png", "height": 20, "width": 30},
                {"id": 5, "file_name": "b.png", "height": 30, "width": 20},
            ],
            "categories": [{"id": id_, "name": name} for id_, name in categories],
            "annotations": [{"id": i, **entry} for i, entry in enumerate(annotations)],
        }
        (tmp_path / "truth.json").write_text(json.dumps(data))
        return tmp_path / "truth.json", tmp_path / "pictures"

    return write


def test_boxes_polygons_and_names(coco):
    data = CocoBoxes(*coco(annotation(segmentation=[SQUARE]), annotation(category_id=2, bbox=(20, 10, 90, 5))))
    assert len(data) == 2
    assert data.names == ("hot_dog", "cat")  # unused categories are nothing to learn
    sample = data.sample(0)
    assert np.array_equal(sample.image, picture())
    assert sample.boxes_xyxy.tolist() == [[4, 3, 10, 8], [20, 10, 30, 15]]  # clipped to the picture
    assert sample.class_ids.tolist() == [0, 1]
    assert sample.masks is None  # the second object has none
    assert sample.labels is None
    assert data.is_landscape.tolist() == [True, False]


def test_pictures_without_objects_stay_crowds_and_empty_boxes_go(coco):
    data = CocoBoxes(*coco(annotation(iscrowd=1), annotation(bbox=(3, 3, 0, 5)), annotation(category_id=2)))
    assert [data.sample(i).boxes_xyxy.shape for i in range(2)] == [(1, 4), (0, 4)]
    assert data.names == ("cat",)
    assert class_frequencies(data).tolist() == [1]
    assert data.classes_of(1) == []


def test_polygons_are_kept_as_they_are(coco):
    data = CocoBoxes(*coco(annotation(segmentation=[SQUARE, [1, 1, 2, 2]]), annotation(segmentation=[SQUARE, SQUARE])))
    masks = data.sample(0).masks
    assert [[p.tolist() for p in polygons] for polygons in masks] == [[SQUARE], [SQUARE, SQUARE]]


def test_run_lengths_become_bitmaps_when_read(coco):
    bitmap = np.zeros((20, 30), np.uint8)
    bitmap[3:8, 4:10] = 1
    packed = coco_mask.encode(np.asfortranarray(bitmap))
    compressed = {"size": packed["size"], "counts": packed["counts"].decode()}
    flat = bitmap.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    plain = {"size": [20, 30], "counts": np.diff(edges, prepend=0, append=flat.size).tolist()}
    things = [annotation(segmentation=segmentation) for segmentation in (compressed, plain, [SQUARE])]
    masks = CocoBoxes(*coco(*things)).sample(0).masks
    assert masks.dtype == bool
    assert masks.shape == (3, 20, 30)
    for mask in masks:
        assert np.array_equal(mask, bitmap)


@pytest.mark.parametrize(
    ("segmentation", "says"),
    [({"size": [20, 30], "counts": [5]}, "do not fill"), ({"size": [2, 3], "counts": [6]}, "3x2")],
)
def test_a_broken_mask_names_its_picture_and_only_when_read(coco, segmentation, says):
    data = CocoBoxes(*coco(annotation(segmentation=segmentation)))
    with pytest.raises(InputError, match=rf"a\.png.*{says}"):
        data.sample(0)


def test_a_joint_list_of_names(coco):
    paths = coco(annotation(), annotation(category_id=2))
    names = ["Cat", "dog", "hot dog"]
    for data in (CocoBoxes(*paths, names), CocoBoxes(*paths).with_names(names)):
        assert data.names == tuple(names)
        assert data.sample(0).class_ids.tolist() == [2, 0]
        assert class_frequencies(data).tolist() == [1, 0, 1]
    with pytest.raises(VocabularyError, match=r"hot_dog: not among the 1 names"):
        CocoBoxes(*paths, ["cat"])


def test_what_is_wrong_with_a_picture_is_said_with_its_name(coco, tmp_path):
    data = CocoBoxes(*coco(annotation()))
    write_image(tmp_path / "pictures" / "a.png", picture(size_hw=(21, 30)))
    with pytest.raises(InputError, match=r"a\.png: has 30x21 pixels .* 30x20"):
        data.sample(0)
    (tmp_path / "pictures" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(InputError, match=r"a\.png"):
        data.sample(0)
    (tmp_path / "pictures" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png: no such file"):
        data.sample(1)


def test_a_wrong_folder_is_found_at_once(coco, tmp_path):
    paths = coco(annotation())
    with pytest.raises(InputError, match=r"none of the first 2 pictures"):
        CocoBoxes(paths[0], tmp_path)
    data = json.loads(paths[0].read_text())
    del data["images"][0]["width"]
    paths[0].write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"a\.png has no width"):
        CocoBoxes(*paths)
    paths[0].write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(InputError, match="no pictures"):
        CocoBoxes(*paths)


@pytest.fixture
def folders(tmp_path):
    for name in ("dog/10.png", "dog/9.png", "hot_dog/deep/x.png", "hot_dog/notes.txt", "loose.png", "dog/.hidden.png"):
        path = tmp_path / "labelled" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no picture") if path.suffix == ".txt" else write_image(path, picture())
    return tmp_path / "labelled"


def test_folders_give_image_labels_in_natural_order(folders):
    data = LabelledFolders(folders)
    assert data.names == ("dog", "hot_dog")
    assert [data.sample(i).labels.tolist() for i in range(len(data))] == [[0], [0], [1]]
    assert [data.classes_of(i) for i in range(3)] == [[0], [0], [1]]
    assert data.sample(0).boxes_xyxy.shape == (0, 4)
    assert class_frequencies(data).tolist() == [2, 1]
    (folders / "dog" / "9.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"9\.png: is empty"):
        data.sample(0)


def test_boxes_and_folders_share_a_list(coco, folders):
    boxes, labels = CocoBoxes(*coco(annotation(), annotation(category_id=2))), LabelledFolders(folders)
    names = join_names(boxes.names, labels.names)
    assert names == ("hot_dog", "cat", "dog")
    assert labels.with_names(names).sample(2).labels.tolist() == [0]
    assert LabelledFolders(folders, names).classes_of(0) == [2]
    with pytest.raises(VocabularyError, match="dog, hot_dog"):
        LabelledFolders(folders, ["cat"])


def test_folders_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        LabelledFolders(tmp_path / "missing")
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match="holds no folders with pictures"):
        LabelledFolders(tmp_path)


def test_a_turned_photograph_is_upright(coco, tmp_path):
    """EXIF orientation 6: stored 20x30, shown 30x20; annotations are made on what is shown."""
    data = CocoBoxes(*coco(annotation()))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(size_hw=(30, 20))).save(tmp_path / "pictures" / "a.png", exif=exif)
    assert data.sample(0).image.shape == (20, 30, 3)
