"""Bringing a model to this machine: fetch what is missing, check it, convert it once, note where it came from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovdet_cli.errors import DownloadError, ModelError, OutputError, OvdetError
from ovdet_cli.models import store
from ovdet_cli.models.download import download, is_offline, mirrored
from ovdet_cli.models.zoo import EMBEDDINGS, TEXT_ENCODERS, Asset, find_model

_EMBEDDING_ROWS = {"lvis": 1203, "vild-lvis": 1203, "coco": 80, "openimages": 500, "objects365": 365}
_EMBEDDING_WIDTH = 512  # of CLIP ViT-B/32
_COLUMNS = {"vild-lvis"}
"""Embeddings that are published a column a class."""

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
    steps besides the transfer. Every name is looked up before anything is fetched.
    """
    assets = dict.fromkeys(asset for name in names for asset in store.assets_of(name))
    detectors = [find_model(name) for name in names if name not in TEXT_ENCODERS and name not in EMBEDDINGS]
    detectors = [spec for spec in detectors if not spec.weights.bundled]
    hear = tell if tell is not None else _ignore
    items = tuple(_pull_one(asset, force, offline, progress, hear) for asset in assets)
    if not detectors or store.default_model() is not None:
        return PullReport(items, None)
    store.set_default_model(detectors[0].name)
    return PullReport(items, detectors[0].name)


def _ignore(_message: str) -> None:
    pass


def _pull_one(
    asset: Asset, force: bool, offline: bool, progress: Progress | None, tell: Callable[[str], None]
) -> Pulled:
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
        was_there = source.is_file() and (not force or offline or is_offline())
        published = store.hash_file(source) if was_there else _fetch(asset, source, offline, progress)
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
            source="by hand" if was_there else mirrored(asset.url),
            published_sha256=published,
            sha256=published if asset.kind == "embeddings" else store.hash_file(target),
        )
        source.unlink(missing_ok=True)
        return Pulled(asset, target, False, published)


def _present(asset: Asset) -> Pulled:
    return Pulled(asset, store.path(asset), True, (store.facts(asset) or {}).get("published_sha256"))


def _fetch(asset: Asset, source: Path, offline: bool, progress: Progress | None) -> str:
    def report(done: int, total: int | None) -> None:
        if progress is not None:
            progress(asset, done, total)

    return download(asset.url, source, sha256=asset.sha256, progress=report, offline=offline)


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
        if asset.name in _COLUMNS:
            _turn(asset, source)
        _check_embeddings(asset, source)
        source.replace(target)
        return
    tell(f"converting {store.short_name(asset)} to safetensors")
    if asset.kind == "weights":
        from ovdet_cli.models.checkpoint import convert_checkpoint

        convert_checkpoint(source, target)
    else:
        from ovdet_cli.models.text_encoders.clip import convert_text_tower

        convert_text_tower(source, target, asset.name)


def _load_array(asset: Asset, file: Path) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError(f"{asset.file_name} cannot be read as a numpy array: {error}") from error


def _turn(asset: Asset, file: Path) -> None:
    """Writes a matrix of columns as one of rows, unless a stopped pull has done so already."""
    vectors = _load_array(asset, file)
    if isinstance(vectors, np.ndarray) and vectors.ndim == 2 and vectors.shape[0] == _EMBEDDING_WIDTH:
        part = file.with_name(f".{file.name}.part")
        with part.open("wb") as target:
            np.save(target, np.ascontiguousarray(vectors.T))
        part.replace(file)


def _check_embeddings(asset: Asset, file: Path) -> None:
    """ModelError unless the file is the array of one vector a class that the vocabulary needs."""
    vectors = _load_array(asset, file)
    rows = _EMBEDDING_ROWS.get(asset.name)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[1] != _EMBEDDING_WIDTH:
        raise ModelError(
            f"{asset.file_name} has shape {getattr(vectors, 'shape', None)}; (classes, {_EMBEDDING_WIDTH}) is expected"
        )
    if rows is not None and len(vectors) != rows:
        raise ModelError(f"{asset.file_name} has {len(vectors)} rows; {asset.name} has {rows} classes")
    if not np.issubdtype(vectors.dtype, np.floating) or not np.isfinite(vectors).all():
        raise ModelError(f"{asset.file_name} holds {vectors.dtype} values that are not all finite numbers")
