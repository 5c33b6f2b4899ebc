"""Brings the artwork packages from the npm registry: pinned versions, checked hashes, only the files needed."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from ovdet_cli.errors import DownloadError
from ovdet_cli.training.artwork_sets import SETS, ArtworkSet

MAX_FILE_BYTES = 256 * 1024 * 1024  # the largest, fluent-emoji's icons, has 104 MB


def fetch(folder: Path, progress: Callable[[str], None], sets: Iterable[ArtworkSet] = SETS) -> None:
    """Fills `folder/STYLE/` with the JSON files of each package; what is there already is not fetched again.

    Uses npm's own configuration (registry, proxy). Raises DownloadError if npm is missing or fails, or a hash is wrong.
    """
    for item in sets:
        target = folder / item.style
        if target.is_dir():
            continue
        progress(f"fetching {item.package} {item.version}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            package = _pack(item, Path(scratch))
            check_integrity(package, item)
            unpacked = Path(scratch) / "files"
            unpack(package, item.files, unpacked)
            unpacked.replace(target)


def _pack(item: ArtworkSet, scratch: Path) -> Path:
    """Has npm download one package into `scratch`; nothing of it is run."""
    npm = shutil.which("npm")
    if npm is None:
        raise DownloadError("the artwork comes from the npm registry, and npm is not installed; install Node.js")
    command = [npm, "pack", "--silent", "--ignore-scripts", f"{item.package}@{item.version}"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    packages = list(scratch.glob("*.tgz"))
    if done.returncode or len(packages) != 1:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DownloadError(f"npm could not fetch {item.package} {item.version}: {reason}; run the command again")
    return packages[0]


def check_integrity(package: Path, item: ArtworkSet) -> None:
    """Raises DownloadError if the file is not the one whose hash is written in `SETS`."""
    with package.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != item.integrity:
        raise DownloadError(f"{item.package} {item.version}: the download is not the expected file; run it again")


def unpack(package: Path, files: Iterable[str], target: Path) -> None:
    """Writes the named files of a package flat into `target`; nothing else of the archive touches the disk.

    Raises DownloadError if the archive is damaged or lacks one of them.
    """
    target.mkdir()
    try:
        with tarfile.open(package) as archive:
            for name in files:
                member = archive.getmember(f"package/{name}")
                source = archive.extractfile(member)
                if source is None or member.size > MAX_FILE_BYTES:
                    raise DownloadError(f"{package.name}: {name} is no ordinary file")
                with source, (target / Path(name).name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise DownloadError(f"{package.name}: cannot unpack ({error}); run it again") from error
