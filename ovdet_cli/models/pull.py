"""Bringing a model to this machine: fetch what is missing, check it, convert it once, note where it came from."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.errors import DownloadError, ModelError, OutputError, OvdetError
from ovdet_cli.models import archives, store
from ovdet_cli.models.download import download, is_offline, mirrored
from ovdet_cli.models.spec import Asset
from ovdet_cli.models.zoo import EMBEDDINGS, MODELS, SINGLES, find_model

_EMBEDDING_SHAPES = {
    **dict.fromkeys(("lvis", "vild-lvis"), (1203, 512)),  # 512: CLIP ViT-B/32
    "coco": (80, 512),
    "openimages": (500, 512),
    "objects365": (365, 512),
    "dito-lvis": (1203, 1024),
    "dito-coco": (80, 1024),
    "dito-background": (2, 1024),
}
"""Classes and width."""
Progress = Callable[[Asset, int, int | None], None]
"""Called with the asset, the bytes that are here and the bytes there will be (None if unknown)."""


@dataclass(frozen=True)
class Pulled:
    """What became of one asset."""

    asset: Asset
    path: Path
    """The file that commands read."""
    was_present: bool
    """True if it was here already (or comes with ovdet) and nothing was done."""
    published_sha256: str | None
    """Hash of the published file, where it is known."""


@dataclass(frozen=True)
class PullReport:
    """What a pull did."""

    items: tuple[Pulled, ...]
    new_default: str | None
    """The model that became the default because there was none yet."""


def pull(
    names: Sequence[str],
    *,
    force: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> PullReport:
    """Brings models, or single assets by their own names, with all that they need.

    `force` fetches again what is here, and accepts a publication that has changed since. `tell` hears of the slow
    steps besides the transfer. Every name is looked up before anything is fetched; ModelError for a model whose
    weights were never published.
    """
    assets = dict.fromkeys(asset for name in names for asset in store.assets_of(name))
    detectors = [find_model(name) for name in names if name not in SINGLES]
    detectors = [spec for spec in detectors if not spec.weights.bundled]
    if never := [asset.name for asset in assets if not asset.is_published]:
        raise ModelError(f"no weights of {', '.join(never)} were ever published: bring your own with --weights FILE")
    hear = tell if tell is not None else _ignore
    fetched: set[Path] = set()
    order = tuple(assets)
    items = tuple(
        _pull_one(asset, force, offline, progress, hear, fetched, order[place + 1 :])
        for place, asset in enumerate(order)
    )
    if not detectors or store.default_model() is not None:
        return PullReport(items, None)
    store.set_default_model(detectors[0].name)
    return PullReport(items, detectors[0].name)


def _ignore(_message: str) -> None:
    pass


def _pull_one(
    asset: Asset,
    force: bool,
    offline: bool,
    progress: Progress | None,
    tell: Callable[[str], None],
    fetched: set[Path],
    later: Sequence[Asset],
) -> Pulled:
    """fetched: downloads of this pull, of which several assets may come; grows. later: the assets still to come."""
    if asset.bundled:
        store.require(asset)
        return _present(asset)
    if store.is_present(asset) and not force:
        return _present(asset)
    with store.locked(asset, lambda: tell(f"another ovdet is fetching {store.short_name(asset)}: waiting for it")):
        if store.is_present(asset) and not force:  # brought by the other process meanwhile
            return _present(asset)
        source, target = store.download_path(asset), store.converted_path(asset)
        # Put there by hand, or left by a pull that was stopped while converting.
        is_fetched = source in fetched and source.is_file()
        was_there = source.is_file() and not is_fetched and (not force or offline or is_offline())
        is_here = was_there or is_fetched
        published = store.hash_file(source) if is_here else _fetch(asset, source, offline, progress)
        if not was_there:
            fetched.add(source)
        try:
            _check_hash(asset, published, force)
            _convert(asset, source, target, tell)
        except OSError as error:
            raise OutputError(f"{target} cannot be written: {error.strerror or error}") from error
        except (OutputError, MemoryError):  # the download is good: the next pull converts it
            raise
        except Exception as error:
            if not was_there:
                source.unlink()
            elif isinstance(error, OvdetError):
                kind = DownloadError if isinstance(error, DownloadError) else ModelError
                raise kind(f"{error}. It was read from {source}; --force fetches it anew") from error
            raise
        store.write_facts(
            asset,
            source="by hand" if was_there else mirrored(asset.url, asset.file_name),
            published_sha256=published,
            sha256=store.hash_file(target),
        )
        if not _is_needed(asset, later, force):
            source.unlink(missing_ok=True)
        return Pulled(asset, target, False, published)


def _is_needed(asset: Asset, later: Sequence[Asset], force: bool) -> bool:
    """Whether more will come out of the asset's published file.

    Embeddings that share an archive are all wanted some day; who has a text tower rarely wants the picture tower of
    the same file, which is too large to be kept for that unless this pull brings both.
    """
    siblings = [other for other in EMBEDDINGS.values() if other.url == asset.url]
    comes_later = any(other.url == asset.url and (force or not store.is_present(other)) for other in later)
    return comes_later or not all(store.is_present(other) for other in siblings)


def _present(asset: Asset) -> Pulled:
    return Pulled(asset, store.path(asset), True, (store.facts(asset) or {}).get("published_sha256"))


def _fetch(asset: Asset, source: Path, offline: bool, progress: Progress | None) -> str:
    def report(done: int, total: int | None) -> None:
        if progress is not None:
            progress(asset, done, total)

    return download(asset.url, source, sha256=asset.sha256, progress=report, offline=offline, name=asset.file_name)


def _check_hash(asset: Asset, published: str, force: bool) -> None:
    """Compares with the published hash, or with that of the first pull where the publisher gives none."""
    if asset.sha256 is not None and published != asset.sha256.lower():
        raise DownloadError(f"{asset.file_name} has sha256 {published} but {asset.sha256.lower()} was published")
    noted = store.facts(asset) or {}
    first = noted.get("published_sha256")
    if first is not None and published != first and not force:
        raise DownloadError(
            f"{asset.file_name} from {asset.url} has changed: its sha256 is {published}, but on {noted.get('date')} "
            f"it was {first}. Nothing was replaced. If the publisher announced a new file, take it with --force"
        )


def _convert(asset: Asset, source: Path, target: Path, tell: Callable[[str], None]) -> None:
    """Turns the published file into the one that commands read; all at once or not at all."""
    store.make_folder(target.parent)
    if asset.kind == "embeddings":
        _convert_embeddings(asset, source, target)
        return
    tell(f"converting {store.short_name(asset)} to safetensors")
    if asset.kind == "weights":
        from ovdet_cli.models.checkpoint import convert_checkpoint

        convert_checkpoint(source, target, asset.member, _published_names(asset))
    elif asset.kind == "image-encoder":
        from ovdet_cli.models.image_encoders.clip import convert_image_tower

        convert_image_tower(source, target, asset.name.removesuffix("-image"))
    else:
        from ovdet_cli.models.text_encoders.clip import convert_text_tower

        convert_text_tower(source, target, asset.name)


def _published_names(asset: Asset) -> list[str]:
    """The names of a model's tensors in its publication, for a SavedModel, whose variables have none."""
    spec = next(spec for spec in MODELS.values() if spec.weights == asset)
    if spec.architecture != "dito":
        return []
    import torch

    from ovdet_cli.models.architectures import architecture_of
    from ovdet_cli.models.checkpoint import foreign_names

    with torch.device("meta"):
        model = architecture_of(spec).build(spec.config)
    return foreign_names(model, architecture_of(spec).key_map(spec.config))


def _convert_embeddings(asset: Asset, source: Path, target: Path) -> None:
    """The published matrix with a row a class; as it was published where it has that form."""
    if not asset.is_converted:
        _check_embeddings(asset, _load_array(asset, source))
        source.replace(target)
        return
    vectors = _load_array(asset, source)
    rows, width = _EMBEDDING_SHAPES[asset.name]
    if isinstance(vectors, np.ndarray) and asset.has_columns and vectors.shape == (width, rows):
        vectors = vectors.T
    if isinstance(vectors, np.ndarray) and asset.member and vectors.shape == (rows + 1, width):
        vectors = vectors[1:]  # a table that begins with the background
    _check_embeddings(asset, vectors)
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file:
        np.save(file, np.ascontiguousarray(vectors))
    part.replace(target)


def _load_array(asset: Asset, file: Path) -> Any:
    folder = None
    try:
        if asset.member:
            folder = archives.free_folder(file.with_name(f".{file.name}.unpacked"))
            found = archives.unpack(file, folder, lambda name: name.rpartition("/")[2] == asset.member)
            if not found:
                raise ModelError(f"{file} holds no {asset.member}")
            file = found[0]
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError(f"{asset.file_name} cannot be read as a numpy array: {error}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _check_embeddings(asset: Asset, vectors: Any) -> None:
    """ModelError unless the array has one vector a class that the vocabulary needs."""
    rows, width = _EMBEDDING_SHAPES.get(asset.name, (None, 512))
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[1] != width:
        raise ModelError(
            f"{asset.file_name} has shape {getattr(vectors, 'shape', None)}; (classes, {width}) is expected"
        )
    if rows is not None and len(vectors) != rows:
        raise ModelError(f"{asset.file_name} has {len(vectors)} rows; {asset.name} has {rows} classes")
    if not np.issubdtype(vectors.dtype, np.floating) or not np.isfinite(vectors).all():
        raise ModelError(f"{asset.file_name} holds {vectors.dtype} values that are not all finite numbers")
