"""Side-car files beside pictures and videos, as downloaders write them, and what they say of the post.

Read are (NAME.EXT is the picture or video):
- yt-dlp `--write-info-json`: NAME.info.json.
- gallery-dl `--write-metadata`: NAME.EXT.json; NAME.json where it is set up so. Its times are UTC.
- instaloader: NAME.json.xz, or NAME.json with `--no-compress-json`, and the caption as NAME.txt. The pictures of a
  carousel are NAME_1.jpg, NAME_2.jpg ... and have one side-car, as have files called <id>_1.jpg beside <id>.json.
Facts on names and shapes: yt-dlp's README (output template, `--write-info-json`), gallery-dl's docs/configuration.rst
(metadata post-processor), instaloader's instaloader/instaloader.py and structures.py.
"""

import lzma
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson

from ovdet_cli.analysis.fields import facts_of, plain_text
from ovdet_cli.analysis.findings import Findings
from ovdet_cli.analysis.post import Facts

# The largest side-cars are yt-dlp's with all comments; 32 MB hold about 50,000 of them.
MOST_BYTES = 32_000_000
_XZ_MEMORY = 200_000_000  # `xz -9` needs 65 MB to unpack
_KEPT = 256  # side-cars of carousels, read once for all their files
_PART = re.compile(r"_\d{1,3}$")
_INSTALOADER_NAME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_UTC")
_SUFFIXES = (".info.json", ".json", ".json.xz")
_OUR_OWN = frozenset(("run.json", "package.json"))


class Folder:
    """The files of one folder, listed once. Names, not paths; empty where it cannot be opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.error: str | None = None
        self.entries: dict[str, os.DirEntry[str]] = {}
        try:
            with os.scandir(path) as scan:
                self.entries = {entry.name: entry for entry in scan}
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:  # ValueError: a NUL in a hostile name
            self.error = str(getattr(error, "strerror", None) or error)

    def side_cars(self) -> set[str]:
        """The names of all that may be side-cars."""
        return {name for name in self.entries if name.endswith(_SUFFIXES) and name not in _OUR_OWN}

    def modified(self, name: str) -> float | None:
        """When the file was last changed, in seconds since 1970; None where it is not there."""
        try:
            return self.entries[name].stat().st_mtime if name in self.entries else None
        except OSError:
            return None


class SideCars:
    """Reads the side-cars of files; broken ones are counted in `findings`, and which were used is kept."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._read: OrderedDict[str, Facts | None] = OrderedDict()
        self._told: set[str] = set()
        self._used: dict[str, set[str]] = {}

    def find(self, folder: Folder, name: str) -> Facts | None:
        """What the side-cars of a file say together: each field from the first that has it. None without any."""
        merged: Facts | None = None
        used = self._used.setdefault(folder.path, set())
        for candidate in _candidates(folder.entries, name):
            used.add(candidate)
            facts = self._facts(os.path.join(folder.path, candidate), candidate)  # noqa: PTH118 - a million files
            if facts is not None:
                merged = facts if merged is None else merge(merged, facts)
        if merged is not None and merged.text is None:
            merged = replace(merged, text=_caption(folder, name))
        elif merged is None and (caption := _caption(folder, name)) is not None:
            merged = Facts(text=caption)
        return merged

    def unused(self, folders: Mapping[str, Folder]) -> list[str]:
        """The side-cars of those folders that no file asked for so far: paths, in order."""
        return sorted(
            os.path.join(path, name)  # noqa: PTH118
            for path, folder in folders.items()
            for name in folder.side_cars() - self._used.get(path, set())
        )

    def _facts(self, path: str, name: str) -> Facts | None:
        if path in self._read:
            self._read.move_to_end(path)
            return self._read[path]
        facts = self._parse(path, name)
        self._read[path] = facts
        if len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return facts

    def _parse(self, path: str, name: str) -> Facts | None:
        def report(kind: str, message: str) -> None:
            if (kind + path) not in self._told:  # it may be read again after others
                self._told.add(kind + path)
                self._findings.add(kind, f"{name}: {message}")

        try:
            document = orjson.loads(read_bounded(path))
        except orjson.JSONDecodeError as error:
            report("broken side-car", f"is no whole JSON ({error})")
            return None
        except (OSError, lzma.LZMAError, ValueError, EOFError, MemoryError) as error:
            report("broken side-car", str(getattr(error, "strerror", None) or error) or type(error).__name__)
            return None
        if not isinstance(document, dict):
            report("broken side-car", "holds no JSON object")
            return None
        facts = facts_of_document(document, report)
        if facts.is_empty:
            report("unknown side-car", "no time, account, text, likes, tags or address")
            return None
        return facts


def facts_of_document(document: Mapping[str, Any], report: Callable[[str, str], None]) -> Facts:
    """What the JSON of a side-car says. Times without a zone are UTC: so do all three downloaders write them."""
    node = document.get("node")
    if not isinstance(node, Mapping):
        return facts_of(document, UTC, report)
    facts = facts_of(node, UTC, report)  # instaloader
    phone = node.get("iphone_struct")
    if isinstance(phone, Mapping):
        facts = merge(facts, facts_of(phone, UTC, report))
    if facts.url is None and isinstance(code := node.get("shortcode"), str) and re.fullmatch(r"[\w-]{1,60}", code):
        facts = replace(facts, url=f"https://www.instagram.com/p/{code}/")
    return facts


def merge(first: Facts, second: Facts) -> Facts:
    """Each field from the first that has it."""
    return Facts(
        id=first.id if first.id is not None else second.id,
        account=first.account if first.account is not None else second.account,
        time=first.time if first.time is not None else second.time,
        likes=first.likes if first.likes is not None else second.likes,
        text=first.text if first.text is not None else second.text,
        url=first.url if first.url is not None else second.url,
        tags=first.tags or second.tags,
    )


def read_bounded(path: str) -> bytes:
    """The bytes of a side-car, unpacked where it ends with .xz.

    Raises:
        ValueError: more than `MOST_BYTES`, packed or not; or no file.
        OSError, lzma.LZMAError, EOFError: it cannot be read, is no xz, or is cut short.
    """
    if not Path(path).is_file():  # opening a FIFO would wait for ever
        raise ValueError("is no file")
    with Path(path).open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES // 1_000_000} MB")
    if not path.endswith(".xz"):
        return raw
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    text = unpacker.decompress(raw, max_length=MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"unpacks to more than {MOST_BYTES // 1_000_000} MB")
    if not unpacker.eof:
        raise EOFError("is cut short")
    return text


def stem_of(name: str) -> str:
    """The name without its last ending; `.x` has none."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def _candidates(names: Mapping[str, Any], name: str) -> list[str]:
    stem = stem_of(name)
    likely = [f"{stem}.info.json", f"{name}.json", f"{stem}.json", f"{stem}.json.xz"]
    if match := _PART.search(stem):
        base = stem[: match.start()]
        likely += [f"{base}.json", f"{base}.json.xz", f"{base}.info.json"]
    return [candidate for candidate in dict.fromkeys(likely) if candidate in names and candidate not in _OUR_OWN]


def _caption(folder: Folder, name: str) -> str | None:
    """The caption beside an instaloader file; a .txt beside any other may be anything, such as YOLO's boxes."""
    match = _INSTALOADER_NAME.match(name)
    if match is None or f"{match[0]}.txt" not in folder.entries:
        return None
    try:
        return plain_text(read_bounded(os.path.join(folder.path, f"{match[0]}.txt")).decode("utf-8", "replace"))  # noqa: PTH118
    except (OSError, ValueError):
        return None
