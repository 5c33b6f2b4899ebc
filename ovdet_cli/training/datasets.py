"""A person's own data: COCO-format boxes, and folders of pictures named after a class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from ovdet_cli.errors import InputError, OvdetError, RecordError, VocabularyError
from ovdet_cli.evaluation.datasets import TruthObject, decode_segmentation, read_ground_truth
from ovdet_cli.evaluation.names import find_names
from ovdet_cli.media.images import IMAGE_SUFFIXES, read_image
from ovdet_cli.media.walk import Unreadable, walk
from ovdet_cli.training.samples import Polygons, Sample

_SHOWN_NAMES = 5
_LOOKED_FOR = 100  # pictures looked for before a training begins


class Dataset(Protocol):
    """Pictures with what is known of them, in a stable order.

    names: classes; a class id is a place in it.
    """

    names: tuple[str, ...]

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample:
        """Reads picture `index`.

        Raises:
            InputError: it cannot be used; the message names the file. The caller goes on without it.
        """
        ...

    def classes_of(self, index: int) -> Sequence[int]:
        """The classes known to be in picture `index`, each once, in rising order; nothing is read."""
        ...

    @property
    def is_landscape(self) -> np.ndarray | None:
        """bool (P,): wider than high; None where only reading the pictures would tell."""
        ...


def class_frequencies(dataset: Dataset) -> np.ndarray:
    """Number of pictures with each class, int64 (C,): what federated loss and repeat factors count."""
    counts = Counter(class_id for i in range(len(dataset)) for class_id in dataset.classes_of(i))
    return np.array([counts[class_id] for class_id in range(len(dataset.names))], np.int64)


@dataclass(frozen=True)
class _BoxedPicture:
    path: Path
    size_hw: tuple[int, int]
    class_ids: tuple[int, ...]
    objects: tuple[TruthObject, ...]


class CocoBoxes:
    """Pictures with COCO-format boxes, in the order of the file; crowds and empty boxes are left out.

    Pictures without objects stay: they teach what is nothing. Masks of a picture are polygons where all objects have
    polygons, bitmaps where one has run lengths, and None where an object has neither.
    """

    def __init__(self, annotation_json: Path, images_folder: Path, names: Sequence[str] | None = None) -> None:
        """Reads the annotations; pictures and run lengths wait until they are asked for.

        names: the joint list of classes. Default: the file's categories that have objects, in its order.

        Raises:
            InputError: the file is not in COCO's format, or the folder does not hold its pictures.
            VocabularyError: objects are of a category that is not in `names`.
        """
        truth = read_ground_truth(annotation_json)
        things = {i: [thing for thing in found if _is_usable(thing)] for i, found in truth.objects_of.items()}
        used = {thing.category_id for found in things.values() for thing in found}
        if names is None:
            names = list(dict.fromkeys(name for id_, name in truth.categories.items() if id_ in used))
        own = {id_: name for id_, name in truth.categories.items() if id_ in used}
        places = dict(zip(own, _places(own.values(), names, str(annotation_json)), strict=True))
        self.names = tuple(names)
        self._pictures = []
        for image in truth.images:
            if image.size_hw is None:
                raise InputError(f"{annotation_json}: {image.file_name} has no width and height; training needs them")
            found = things[image.id]
            class_ids = tuple(places[thing.category_id] for thing in found)
            picture = _BoxedPicture(images_folder / image.file_name, image.size_hw, class_ids, tuple(found))
            self._pictures.append(picture)
        if not self._pictures:
            raise InputError(f"{annotation_json} lists no pictures; there is nothing to train on")
        _check_some_exist([picture.path for picture in self._pictures[:_LOOKED_FOR]], images_folder)

    def __len__(self) -> int:
        return len(self._pictures)

    def with_names(self, names: Sequence[str]) -> "CocoBoxes":
        """The same pictures, classes counted along another list that holds all of these names."""
        places = _places(self.names, names, "the box data")
        other = object.__new__(CocoBoxes)
        other.names = tuple(names)
        other._pictures = [replace(p, class_ids=tuple(places[c] for c in p.class_ids)) for p in self._pictures]
        return other

    def sample(self, index: int) -> Sample:
        """Reads picture `index`; InputError names a file that cannot be used."""
        picture = self._pictures[index]
        image = read_image(picture.path)
        height, width = picture.size_hw
        if image.shape[:2] != picture.size_hw:
            raise InputError(
                f"{picture.path}: has {image.shape[1]}x{image.shape[0]} pixels upright, its annotations were made for "
                f"{width}x{height}"
            )
        boxes = _corners(picture.objects).clip(0, [width, height, width, height])
        class_ids = np.array(picture.class_ids, np.int64)
        try:
            return Sample(image, boxes.astype(np.float32), class_ids, _masks(picture))
        except RecordError as error:
            raise InputError(f"{picture.path}: {error}; mend its annotations") from error

    def classes_of(self, index: int) -> Sequence[int]:
        """The classes of the objects in picture `index`, each once."""
        return sorted(set(self._pictures[index].class_ids))

    @cached_property
    def is_landscape(self) -> np.ndarray:
        """bool (P,): wider than high, by the annotation file."""
        return np.array([width > height for height, width in (p.size_hw for p in self._pictures)])


@dataclass(frozen=True)
class _LabelledPicture:
    path: Path
    class_id: int


class LabelledFolders:
    """Pictures known by their folder alone: `root/<class>/**/<picture>`; image labels, no boxes.

    Folders and files are taken in natural order; hidden ones and those that are no pictures are passed over.
    """

    is_landscape = None

    def __init__(self, root: Path, names: Sequence[str] | None = None) -> None:
        """Lists the pictures; none is read.

        names: the joint list of classes. Default: the names of the folders.

        Raises:
            InputError: the root or a folder below it cannot be read, or no class folder holds a picture.
            VocabularyError: a folder's name is not in `names`.
        """
        if not root.is_dir():
            raise InputError(f"{root} is no folder; give one that holds a folder of pictures for each class")
        found: dict[str, list[Path]] = {}
        for file in walk(root, lambda folder: False, lambda reason: None):
            if isinstance(file, Unreadable):
                raise InputError(f"{root.joinpath(*file.parts)}: {file.error}; mend it or take it away")
            if len(file.parts) > 1 and Path(file.path).suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(file.parts[0], []).append(Path(file.path))
        if not found:
            raise InputError(f"{root} holds no folders with pictures; put those of a class into a folder of its name")
        if names is None:
            names = list(found)
        places = _places(found, names, str(root))
        self.names = tuple(names)
        self._pictures = [
            _LabelledPicture(path, place) for place, paths in zip(places, found.values(), strict=True) for path in paths
        ]

    def __len__(self) -> int:
        return len(self._pictures)

    def with_names(self, names: Sequence[str]) -> "LabelledFolders":
        """The same pictures, classes counted along another list that holds all of these names."""
        places = _places(self.names, names, "the labelled folders")
        other = object.__new__(LabelledFolders)
        other.names = tuple(names)
        other._pictures = [replace(picture, class_id=places[picture.class_id]) for picture in self._pictures]
        return other

    def sample(self, index: int) -> Sample:
        """Reads picture `index`; InputError names a file that cannot be used."""
        picture = self._pictures[index]
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        return Sample(read_image(picture.path), *nothing, labels=np.array([picture.class_id]))

    def classes_of(self, index: int) -> Sequence[int]:
        """The one class of picture `index`."""
        return [self._pictures[index].class_id]


def _is_usable(thing: TruthObject) -> bool:
    return not thing.is_crowd and min(thing.box_xywh[2:]) > 0


def _places(wanted: Iterable[str], names: Sequence[str], origin: str) -> list[int]:
    """Where each wanted name stands in the joint list."""
    wanted = list(wanted)
    places = find_names(wanted, names)
    if missing := [name for name, place in zip(wanted, places, strict=True) if place is None]:
        more = f" and {len(missing) - _SHOWN_NAMES} more" if len(missing) > _SHOWN_NAMES else ""
        raise VocabularyError(
            f"{origin}: {', '.join(missing[:_SHOWN_NAMES])}{more}: not among the {len(names)} names to learn; "
            "add them there, or take them out of the data"
        )
    return [place for place in places if place is not None]


def _check_some_exist(paths: Sequence[Path], folder: Path) -> None:
    if not any(path.is_file() for path in paths):
        raise InputError(f"{folder} holds none of the first {len(paths)} pictures, such as {paths[0]}; is it right?")


def _corners(objects: Sequence[TruthObject]) -> np.ndarray:
    """Boxes x1 y1 x2 y2, float64 (N, 4)."""
    boxes = np.array([thing.box_xywh for thing in objects], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _masks(picture: _BoxedPicture) -> np.ndarray | list[Polygons] | None:
    segmentations = [thing.segmentation for thing in picture.objects]
    if not segmentations or any(segmentation is None for segmentation in segmentations):
        return None
    if all(isinstance(segmentation, list) for segmentation in segmentations):
        return [[np.array(polygon, np.float64) for polygon in polygons] for polygons in segmentations]
    return np.stack([_bitmap(segmentation, picture.size_hw) for segmentation in segmentations])


def _bitmap(segmentation: "dict | list", size_hw: tuple[int, int]) -> np.ndarray:
    """A segmentation as bool (H, W)."""
    if isinstance(segmentation, list):
        segmentation = _polygons_to_rle(segmentation, size_hw)
    mask = decode_segmentation(segmentation)
    if mask.size_hw != size_hw:
        raise RecordError(f"a mask is for {mask.size_hw[1]}x{mask.size_hw[0]} pixels")
    return mask.bitmap()


def _polygons_to_rle(polygons: list[list[float]], size_hw: tuple[int, int]) -> dict:
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise OvdetError("polygons beside run lengths need pycocotools: pip install 'ovdet[train]'") from error
    return coco_mask.merge(coco_mask.frPyObjects(polygons, *size_hw))
