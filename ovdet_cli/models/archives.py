"""Archives of published checkpoints, unpacked as if a stranger had made them."""

import gzip
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from ovdet_cli.errors import ModelError, OutputError

MOST_BYTES = 16_000_000_000
"""Of all that is unpacked: the largest published checkpoint has 5 GB."""
_MOST_FILES = 10_000
_MOST_HEADER = 1 << 20
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, NotImplementedError, RuntimeError),
)
"""What Python's readers raise for a damaged archive."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar archive, judged by its content. A PyTorch checkpoint is a zip as well."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return not any(name.endswith("data.pkl") for name in archive.namelist())
        with _tar_stream(path) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
        return True
    except _DAMAGE:
        return False


def unpack(source: Path, folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Unpacks the wanted files into `folder`, flat, by the last part of their names; returns them.

    wanted: is asked with a file's whole name, its parts between slashes.

    Folders, links and devices are passed over, no name leads out of `folder`, and what unpacks to more than
    `MOST_BYTES` is refused. Raises ModelError for a damaged archive, or one with two files of a name.
    """
    files: dict[str, Path] = {}
    left = MOST_BYTES
    try:
        for name, content in _members(source):
            base = PurePosixPath(name.replace("\\", "/")).name
            if base in ("", ".", "..") or not wanted(name.replace("\\", "/")):
                continue
            if base in files:
                raise ModelError(f"{source} holds more than one file called {base}")
            files[base] = folder / base
            with files[base].open("xb") as target:
                left -= _copy(content(), target, left, source)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk, and the like
            raise OutputError(f"{source} cannot be unpacked into {folder}: {error.strerror}") from error
        raise ModelError(f"{source} is a damaged archive: {error}") from error
    return list(files.values())


def _members(source: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """Name and content of every regular file."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for number, info in enumerate(archive.infolist()):
                _count(number, source)
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    # Python unpacks the others without a limit to what one read may grow to.
                    raise ModelError(f"{source} is compressed in a way that is not read here")
                kind = info.external_attr >> 28  # of Unix's mode: 8 is a regular file, 0 says nothing
                if not info.is_dir() and kind in (0, 8):
                    yield info.filename, partial(archive.open, info)
        return
    with _tar_stream(source) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_SmallHeaders) as archive:
        for number, member in enumerate(archive):
            _count(number, source)
            if member.isreg():
                yield member.name, partial(_opened, archive, member)


def _count(number: int, source: Path) -> None:
    if number >= _MOST_FILES:
        raise ModelError(f"{source} holds more than {_MOST_FILES} files: no checkpoint does")


def _tar_stream(path: Path) -> IO[bytes]:
    """A tar archive's bytes, gzip taken off."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if is_packed else path.open("rb")


class _SmallHeaders(tarfile.TarInfo):
    """Refuses names and attributes of megabytes, which tarfile would read into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if not self.isreg() and self.size > _MOST_HEADER:
            raise tarfile.ReadError(f"a header has {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content is not None  # of a regular file there is one
    return content


def _copy(content: IO[bytes], target: IO[bytes], most: int, source: Path) -> int:
    with content:
        done = 0
        while chunk := content.read(1 << 20):
            done += len(chunk)
            if done > most:
                raise ModelError(f"{source} unpacks to more than {MOST_BYTES} bytes: no checkpoint is that large")
            target.write(chunk)
    return done


def free_folder(folder: Path) -> Path:
    """An empty folder of that name; what an interrupted run left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
