"""Where a picture's own file goes: the tree of the sources, mirrored, and never out of the folder.

`kitchen/fridge.jpg` becomes `kitchen/fridge.txt` (or .xml, .json), frame 123 of `clip.mp4` becomes
`clip.mp4/000123.txt`. `..`, `.`, empty parts, backslashes and control characters are written as %XX, an absolute path
begins at the folder. Two sources that would share a file (`a.jpg` and `a.png`; `A.jpg` and `a.jpg`, which are one where
case does not count) part: the second is `a.png.txt`, or `a.png-2.txt`. So order of the run decides, and a run gives the
same names every time.
"""

import hashlib
import re
import unicodedata
from pathlib import Path, PurePosixPath

from ovdet_cli.results.record import Record
from ovdet_cli.results.sink import writing

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_MAX_PART = 200  # of the 255 bytes that file systems allow; suffixes come on top
_MAX_PATH = 1500


def safe_parts(source: str) -> list[str]:
    """The parts of a source as names of folders and of a file; at least one."""
    parts = [_safe_part(part) for part in source.split("/") if part] or ["%"]
    if sum(len(part.encode()) + 1 for part in parts) > _MAX_PATH:
        parts = [_shortened(source.replace("/", "_"))]
    return parts


def frame_parts(record: Record) -> list[str]:
    """The parts of a frame's name without suffix: clip.mp4/000123; a picture keeps its suffix."""
    parts = safe_parts(record.source)
    return parts if record.time_s is None and record.index == 0 else [*parts, f"{record.index:06d}"]


def picture_name(record: Record) -> str:
    """The picture that a frame is, for tools that read pictures: the source, or clip.mp4/000123.jpg of a video."""
    is_picture = record.time_s is None and record.index == 0
    return record.source if is_picture else f"{record.source}/{record.index:06d}.jpg"


class Names:
    """Gives every frame a file of its own."""

    def __init__(self) -> None:
        self._files: set[int] = set()  # hashes: a million names are 60 MB less
        self._folders: set[int] = set()

    def place(self, record: Record, suffix: str) -> PurePosixPath:
        """The path of the frame's own file, relative, with that suffix."""
        *folders, name = frame_parts(record)
        is_picture = record.time_s is None and record.index == 0
        stem = PurePosixPath(name).stem if is_picture else name
        folders = self._free_folders(folders)
        candidates = [stem, name, *(f"{name}-{number}" for number in range(2, 100))]
        for candidate in dict.fromkeys(candidates):
            path = PurePosixPath(*folders, candidate + suffix)
            if self._take(path):
                return path
        number = 100
        while not self._take(path := PurePosixPath(*folders, f"{name}-{number}{suffix}")):
            number += 1
        return path

    def place_video(self, source: str, suffix: str) -> PurePosixPath:
        """The path of a video's own file: its whole name and the suffix, clip.mp4.txt."""
        *folders, name = safe_parts(source)
        folders = self._free_folders(folders)
        number = 1
        while not self._take(path := PurePosixPath(*folders, (name if number == 1 else f"{name}-{number}") + suffix)):
            number += 1
        return path

    def _take(self, path: PurePosixPath) -> bool:
        key = _key(path)
        if key in self._files or key in self._folders:
            return False
        self._files.add(key)
        return True

    def _free_folders(self, folders: list[str]) -> list[str]:
        """The folders, renamed where a file has that name already."""
        free: list[str] = []
        for folder in folders:
            name, number = folder, 2
            while _key(PurePosixPath(*free, name)) in self._files:
                name, number = f"{folder}-{number}", number + 1
            free.append(name)
            self._folders.add(_key(PurePosixPath(*free)))
        return free


class Tree:
    """Writes files below a folder, making the folders between."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[Path] = set()
        self._make(root)

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """Writes one file whole; OutputError names it."""
        self._put(path, data, "wb")

    def append(self, path: PurePosixPath, data: bytes) -> None:
        """Writes at the end of a file."""
        self._put(path, data, "ab")

    def _put(self, path: PurePosixPath, data: bytes, mode: str) -> None:
        target = self.root.joinpath(*path.parts)
        self._make(target.parent)
        with writing(target), target.open(mode) as file:
            file.write(data)

    def _make(self, folder: Path) -> None:
        if folder not in self._made:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)


def _safe_part(part: str) -> str:
    if part in (".", ".."):
        return part.replace(".", "%2E")
    part = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", part)
    if re.match(r"[A-Za-z]:", part):  # a drive, on Windows
        part = part.replace(":", "%3A", 1)
    return _shortened(part)


def _shortened(part: str) -> str:
    data = part.encode("utf-8")
    if len(data) <= _MAX_PART:
        return part
    mark = hashlib.sha1(data, usedforsecurity=False).hexdigest()[:8]
    suffix = PurePosixPath(part).suffix if len(PurePosixPath(part).suffix.encode()) < 16 else ""
    return f"{data[: _MAX_PART - 40].decode('utf-8', 'ignore')}-{mark}{suffix}"


def _key(path: PurePosixPath) -> int:
    return hash(unicodedata.normalize("NFC", str(path)).casefold())
