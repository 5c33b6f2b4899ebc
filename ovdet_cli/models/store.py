"""What is on this machine: weights, text towers, embeddings and the facts kept beside each file.

    <home>/weights/<stem>.safetensors        converted once by `ovdet models pull`; a published <stem>.pth counts too
    <home>/text-encoders/<name>.safetensors  the text tower alone
    <home>/image-encoders/<name>.safetensors the picture tower alone, for pictures as examples
    <home>/embeddings/<vocabulary>.npy       as published
    <home>/downloads/                        published files on their way, and ones put there by hand
    <home>/text-cache/                       kept by the vocabulary room
    <home>/config.json                       the default model

Beside a pulled file stands <file>.json with its facts. No folder is made until something is written. The files of the
built-in model are part of the package instead.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from ovdet_cli.errors import MissingAssetError, ModelError, OutputError
from ovdet_cli.models.spec import Asset, ModelSpec
from ovdet_cli.models.zoo import (
    EMBEDDINGS,
    IMAGE_ENCODERS,
    MODELS,
    SINGLES,
    TEXT_ENCODERS,
    embeddings_of,
    find_model,
)

_PLACES = {
    "weights": ("weights", ".safetensors"),
    "text-encoder": ("text-encoders", ".safetensors"),
    "image-encoder": ("image-encoders", ".safetensors"),
    "embeddings": ("embeddings", ".npy"),
}
BUNDLED = Path(__file__).parent / "builtin"
"""The built-in model's files, and facts.json about them."""
_ELSEWHERE = ". The environment variable OVDET_HOME names another place"


def home() -> Path:
    """The store's folder: OVDET_HOME, or this user's cache folder for ovdet. It need not exist."""
    named = os.environ.get("OVDET_HOME")
    return Path(named).expanduser().absolute() if named else user_cache_path("ovdet", appauthor=False)


def find_asset(name: str) -> Asset:
    """The asset of that name, where a model's name stands for its weights; ModelError lists near ones."""
    return SINGLES.get(name) or find_model(name).weights


def short_name(asset: Asset) -> str:
    """What people call the asset: weights go by their model's short name."""
    return next((spec.name for spec in MODELS.values() if spec.weights == asset), asset.name)


def assets_of(name: str) -> tuple[Asset, ...]:
    """What `models pull NAME` brings: small files first, so that a network that fails does so at once."""
    if name in SINGLES:
        return (find_asset(name),)
    spec = find_model(name)
    embeddings = embeddings_of(spec)
    own = embeddings.get(spec.vocabulary)
    others = (asset for asset in embeddings.values() if asset != own)
    towers = (TEXT_ENCODERS[spec.text_encoder],) if spec.free_words and not spec.has_text_tower else ()
    return tuple(asset for asset in (own, *others, spec.background, spec.weights, *towers) if asset is not None)


def converted_path(asset: Asset) -> Path:
    """Where a pull puts the asset, or where it lies in the package."""
    if asset.bundled:
        return BUNDLED / asset.bundled
    folder, ending = _PLACES[asset.kind]
    return home() / folder / (asset.name + ending)


def handed_path(asset: Asset) -> Path:
    """Where a person may put the published file: used as it is, or by the next pull if it lies in `downloads`."""
    if asset.bundled:
        return converted_path(asset)
    if asset.kind == "weights" and asset.url.endswith(".pth"):
        return converted_path(asset).with_suffix(".pth")
    if asset.kind == "embeddings" and not asset.is_converted:
        return converted_path(asset)
    return download_path(asset)


def download_path(asset: Asset) -> Path:
    """Where the published file lies between download and conversion."""
    return home() / "downloads" / asset.file_name


def path(asset: Asset) -> Path:
    """The asset's file, or where a pull would put it."""
    by_hand = handed_path(asset)
    if by_hand.suffix == ".pth" and not converted_path(asset).is_file() and by_hand.is_file():
        return by_hand
    return converted_path(asset)


def weights_path(spec: ModelSpec) -> Path:
    """The weights of a model (.safetensors, or a .pth put there by hand), or where a pull would put them."""
    return path(spec.weights)


def text_encoder_path(name: str) -> Path:
    """The text tower of that name, or where a pull would put it."""
    return path(TEXT_ENCODERS[name])


def image_encoder_path(name: str) -> Path:
    """The picture tower of that name, or where a pull would put it."""
    return path(IMAGE_ENCODERS[name])


def embeddings_path(vocabulary: str) -> Path:
    """The published embeddings of a built-in vocabulary, or where a pull would put them."""
    return path(EMBEDDINGS[vocabulary])


def is_present(asset: Asset) -> bool:
    """True if the asset can be used on this machine without a download."""
    return path(asset).is_file()


def require(asset: Asset) -> Path:
    """The asset's file; MissingAssetError says how to bring it."""
    found = path(asset)
    if found.is_file():
        return found
    name = short_name(asset)
    if asset.bundled:
        raise ModelError(
            f"{found} is missing, though it comes with ovdet: the installation is damaged; install it again"
        )
    if not asset.is_published:
        raise ModelError(f"no weights of {name} were ever published: name a file with --weights FILE")
    pull = f"ovdet models pull {name}"
    by_hand = f"put the published file ({asset.url}) at {handed_path(asset)}"
    if handed_path(asset) == download_path(asset):
        by_hand += f" and run `{pull} --offline`"
    what, ways = {
        "weights": (f"the weights of {name}", f"{by_hand}; or name a file with --weights FILE"),
        "embeddings": (f"the embeddings of {name}", f"{by_hand}; or name a file with --embeddings FILE"),
        "text-encoder": (
            f"the text tower {name}, which turns words into embeddings,",
            f"{by_hand}; or name ready embeddings with --embeddings FILE",
        ),
        "image-encoder": (
            f"the picture tower {name}, which turns pictures given as examples into embeddings,",
            f"{by_hand}; or leave examples out of the vocabulary",
        ),
    }[asset.kind]
    verb = "is" if asset.kind in ("text-encoder", "image-encoder") else "are"
    # A model brings its text tower and embeddings with it.
    size = f"about {size_text(sum(a.size for a in assets_of(name) if not is_present(a)))}"
    raise MissingAssetError(f"{what} {verb} not on this machine. Run `{pull}` ({size}); or {ways}", name, size)


def size_of(asset: Asset) -> int:
    """Bytes of the asset: of the packaged file, else of the download, about."""
    file = converted_path(asset)
    return file.stat().st_size if asset.bundled and file.is_file() else asset.size


def facts(asset: Asset) -> dict[str, Any] | None:
    """What the last pull noted: name, url, source, published_sha256, sha256, size, date; None if there was none.

    The note outlives its file, so that a later pull can tell a changed publication. Of a file of the package, what
    was noted when it was made.
    """
    try:
        noted = json.loads(_facts_path(asset).read_bytes())
    except (OSError, ValueError):
        return None
    if asset.bundled and isinstance(noted, dict):
        noted = noted.get("files", {}).get(asset.bundled)
    return noted if isinstance(noted, dict) else None


def write_facts(asset: Asset, *, source: str, published_sha256: str, sha256: str) -> dict[str, Any]:
    """Notes where the asset's file came from (`source`: the address asked, or "by hand") and what it holds."""
    noted = {
        "name": asset.name,
        "url": asset.url,
        "source": source,
        "published_sha256": published_sha256,
        "sha256": sha256,
        "size": converted_path(asset).stat().st_size,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(_facts_path(asset), noted)
    return noted


def _facts_path(asset: Asset) -> Path:
    if asset.bundled:
        return BUNDLED / "facts.json"
    target = converted_path(asset)
    return target.with_name(target.name + ".json")


def sha256_of(file: Path) -> str:
    """SHA-256 of a file: as noted at the pull where it is that very file, else computed."""
    noted = next((facts(asset) for asset in _assets() if converted_path(asset) == file), None)
    if noted and noted.get("size") == file.stat().st_size and isinstance(noted.get("sha256"), str):
        return str(noted["sha256"])
    return hash_file(file)


def hash_file(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _assets() -> Iterator[Asset]:
    yield from TEXT_ENCODERS.values()
    yield from IMAGE_ENCODERS.values()
    yield from EMBEDDINGS.values()
    yield from dict.fromkeys(asset for spec in MODELS.values() for asset in embeddings_of(spec).values())
    yield from (spec.weights for spec in MODELS.values())


def default_model() -> str | None:
    """The model that was chosen for when none is named; None before the first pull or `models use`."""
    config = _read_config()
    name = config.get("default_model")
    return name if isinstance(name, str) else None


def set_default_model(name: str) -> None:
    """Makes a model of the zoo the default; ModelError if the zoo has none of that name."""
    spec = find_model(name)
    with _held(home() / "config.json.lock", lambda: None):
        try:
            config = _read_config()
        except ModelError:  # a damaged file is mended by writing it anew
            config = {}
        write_json(home() / "config.json", {**config, "default_model": spec.name})


def _read_config() -> dict[str, Any]:
    file = home() / "config.json"
    try:
        config = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({error}); `ovdet models use NAME` writes it anew") from error
    return config if isinstance(config, dict) else {}


def write_json(target: Path, value: Any) -> None:
    """Writes a small JSON file as a whole: a reader sees the old one or the new one."""
    make_folder(target.parent)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2)
                file.write("\n")
            Path(temporary).chmod(0o644)  # mkstemp gives 0600, and a shared store is read by others
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}{_ELSEWHERE}") from error


def make_folder(folder: Path) -> None:
    """Makes a folder of the store; OutputError if it may not be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}{_ELSEWHERE}") from error


def locked(asset: Asset, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
    """Held while an asset is brought, so that two processes do not write one file; `on_wait` tells of a wait."""
    return _held(download_path(asset).with_name(asset.file_name + ".lock"), on_wait)


@contextmanager
def _held(file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    make_folder(file.parent)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror or error}{_ELSEWHERE}") from error
    try:
        yield
    finally:
        lock.release()


def size_text(size: int) -> str:
    """A number of bytes for human eyes, in decimal units: 605157884 -> "605 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            number = size / factor
            return f"{number:.0f} {unit}" if number >= 10 else f"{number:.1f} {unit}"
    return f"{size} B"
