"""Folders, patterns and lists of paths -> the files in them, in a natural and repeatable order."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

_DIGITS = re.compile(r"([0-9]+)")
_MAGIC = re.compile(r"[*?[]")
# The first lines of a run's `run.json` name its schema; a file this large is none of ours.
_RUN_FILE, _RUN_MARK, _RUN_FILE_BYTES = "run.json", b'"ovdet/1"', 8_000_000

NaturalKey = tuple[tuple[str, ...], str]


def natural_key(name: str) -> NaturalKey:
    """Sorts "a2" before "a10" and "B" beside "b"; two names never compare equal."""
    parts = _DIGITS.split(name.casefold())
    # A number compares by its length and digits: int() refuses more than 4300 of them.
    parts[1::2] = [f"{len(digits.lstrip('0')):04d}{digits.lstrip('0')}" for digits in parts[1::2]]
    return tuple(parts), name


@dataclass(frozen=True)
class FoundFile:
    """A file below a root. parts: its path from there. resolved: its path with every link followed."""

    path: str
    parts: tuple[str, ...]
    resolved: str


@dataclass(frozen=True)
class Unreadable:
    """A folder below a root that could not be opened."""

    parts: tuple[str, ...]
    error: str


def walk(
    root: Path,
    is_excluded: Callable[[str], bool],
    count_skipped: Callable[[str], None],
    max_depth: int | None = None,
) -> Iterator[FoundFile | Unreadable]:
    """Every file below `root`, folders and files of a level in one natural order.

    Names that begin with a dot are left out, and so are run folders and folders for whose resolved path `is_excluded`
    is true. Links are followed; a folder reached a second time is left out, so loops end.
    `count_skipped` hears of what is no file. max_depth: 1 looks into `root` alone.
    """
    seen = {_identity(str(root))}
    levels = [_entries(str(root), (), os.path.realpath(root), is_excluded, count_skipped)]
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
        elif isinstance(found, _Folder):
            identity = _identity(found.path)
            if identity not in seen and (max_depth is None or len(found.parts) < max_depth):
                seen.add(identity)
                levels.append(_entries(found.path, found.parts, found.resolved, is_excluded, count_skipped))
        else:
            yield found


def is_run_folder(folder: str | Path) -> bool:
    """Whether ovdet wrote a run into this folder: its pictures are results, not inputs."""
    path = Path(folder, _RUN_FILE)
    try:
        with path.open("rb") as file:
            return _RUN_MARK in file.read(_RUN_FILE_BYTES)
    except OSError:
        return False


def is_pattern(text: str) -> bool:
    """Whether the text has a glob sign in it."""
    return _MAGIC.search(text) is not None


def split_pattern(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The fixed folder a glob begins in, and the parts that vary: "photos/2*/*.jpg" -> photos, ("2*", "*.jpg")."""
    parts = Path(pattern).parts
    fixed = next(place for place, part in enumerate(parts) if is_pattern(part))
    return Path(*parts[:fixed]), parts[fixed:]


def matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path's parts fit a glob's; `**` stands for any number of folders, and at the end for all below."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(parts)
        return any(matches(parts[at:], pattern[1:]) for at in range(len(parts)))
    return bool(parts) and _part_matches(pattern[0])(parts[0]) is not None and matches(parts[1:], pattern[1:])


@lru_cache(maxsize=256)
def _part_matches(pattern: str) -> Callable[[str], object]:
    return re.compile(translate(pattern)).match


@dataclass(frozen=True)
class _Folder:
    path: str
    parts: tuple[str, ...]
    resolved: str


def _entries(
    folder: str,
    parts: tuple[str, ...],
    resolved: str,
    is_excluded: Callable[[str], bool],
    count_skipped: Callable[[str], None],
) -> Iterator[FoundFile | _Folder | Unreadable]:
    if is_excluded(resolved):
        return
    try:
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        yield Unreadable(parts, error.strerror or type(error).__name__)
        return
    if any(entry.name == _RUN_FILE for entry in entries) and is_run_folder(folder):
        return
    entries.sort(key=lambda entry: natural_key(entry.name))
    for entry in entries:
        try:
            is_link, is_folder, is_file = entry.is_symlink(), entry.is_dir(), entry.is_file()
        except OSError:  # a loop of links, or a disk that has gone
            is_link, is_folder, is_file = True, False, False
        inner = os.path.realpath(entry.path) if is_link else os.path.join(resolved, entry.name)  # noqa: PTH118 - speed
        if is_folder:
            yield _Folder(entry.path, (*parts, entry.name), inner)
        elif is_file:
            yield FoundFile(entry.path, (*parts, entry.name), inner)
        else:
            count_skipped("(broken link)" if is_link else "(not a file)")


def _identity(folder: str) -> tuple[int, int] | str:
    try:
        status = os.stat(folder)  # noqa: PTH116 - a str of a million folders
    except OSError:
        return folder
    return status.st_dev, status.st_ino
