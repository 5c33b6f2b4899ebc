"""What the user names -> the pictures and videos meant, each with a name that is stable and its own."""

import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, TextIO

from ovdet_cli.errors import InputError, UsageError
from ovdet_cli.frame import Failure, SourceInfo
from ovdet_cli.media import remote
from ovdet_cli.media.animations import ANIMATED_SUFFIXES, MAYBE_ANIMATED_SUFFIXES, is_animation
from ovdet_cli.media.frame_pattern import DEFAULT_FPS, SequenceInfo, is_frame_pattern, numbered_files, stem_of
from ovdet_cli.media.images import IMAGE_SUFFIXES, is_picture
from ovdet_cli.media.lists import find_entry, read_list, read_stdin
from ovdet_cli.media.naming import safe_name, unique_name
from ovdet_cli.media.video import VIDEO_SUFFIXES, has_video_stream
from ovdet_cli.media.walk import FoundFile, Unreadable, is_pattern, is_run_folder, matches, split_pattern, walk

Kind = Literal["image", "video"]
ALL_KINDS: frozenset[str] = frozenset(("image", "video"))

# These endings also belong to TypeScript.
_TRANSPORT_SUFFIXES = frozenset((".ts", ".mts"))
_NOUNS = {"image": "pictures", "video": "videos"}


@dataclass(frozen=True)
class InputList:
    """The inputs of a run, in order.

    missing: entries of a list that are not there or not ours, and folders that cannot be opened; they become records.
    skipped: what was passed over, by ending ("(none)" for no ending) or reason ("(duplicate)", "(broken link)").
    name: what the run folder is called by default. is_stopped: set it to end downloads that are under way.
    """

    sources: tuple[SourceInfo, ...]
    missing: tuple[Failure, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    name: str = "inputs"
    is_stopped: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)


def collect_inputs(
    arguments: Sequence[str],
    *,
    stdin: TextIO | None = None,
    kinds: frozenset[str] = ALL_KINDS,
    exclude: Sequence[Path] = (),
    input_fps: Fraction = DEFAULT_FPS,
    most_bytes: int = remote.MOST_BYTES,
) -> InputList:
    """The pictures and videos that folders, files, globs, `@list.txt` and `-` (a list on standard input) name.

    So do http(s) addresses, which are read when their turn comes, and `frame_%05d.png`, which is one video.
    exclude: resolved folders that are never walked, nor is any folder that ovdet wrote a run into.
    input_fps: frames a second of numbered pictures. most_bytes: a file at an address is no larger.

    Raises:
        UsageError: an argument names nothing that is there, or nothing of a kind that is read.
        InputError: a list is not UTF-8 text; an address cannot be reached, where its ending does not tell its kind.
    """
    if not arguments:
        raise UsageError("no input given; name a picture, a video, a folder, a pattern, an address, @list.txt or -")
    if input_fps <= 0:
        raise UsageError(f"--input-fps must be more than 0, not {float(input_fps):g}")
    collector = _Collector(kinds, exclude, input_fps, most_bytes)
    for argument in arguments:
        if argument == "-":
            collector.add_list(read_stdin(stdin), None, "-")
        elif argument.startswith("@") and len(argument) > 1:
            path = Path(argument[1:])
            collector.add_list(read_list(path), path.parent, argument)
        else:
            collector.add(argument)
    return collector.result(_run_name(arguments))


class _Root:
    """Folder that names are relative to; `folder` of the loose files' root is found when all are known."""

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self.num_files = 0


@dataclass(frozen=True)
class _Item:
    root: _Root
    path: str
    parts: tuple[str, ...] | None
    """From the root; None for a loose file."""
    kind: Kind | None
    error: str = ""
    url: str = ""
    """Where the file is brought from, with all its secrets."""
    is_sequence: bool = False
    """The path is a pattern of numbered pictures."""


class _Collector:
    def __init__(self, kinds: frozenset[str], exclude: Sequence[Path], input_fps: Fraction, most_bytes: int) -> None:
        self._input_fps = input_fps
        self._most_bytes = most_bytes
        self._downloads = remote.new_folder()
        self._is_stopped = threading.Event()
        self._kinds = kinds
        self._excluded = {os.path.realpath(folder) for folder in exclude}
        self._items: list[_Item] = []
        self._roots: dict[str, _Root] = {}
        self._loose = _Root(None)
        self._seen: set[str] = set()
        self._skipped: Counter[str] = Counter()

    def add(self, argument: str) -> None:
        """A folder, a file or a pattern that the user named."""
        if not argument:
            raise UsageError("an input has an empty name; is a shell variable unset?")
        if remote.is_address(argument):
            if remote.is_offline():
                raise UsageError(f"{remote.shown(argument)}: OVDET_OFFLINE forbids every connection")
            self._add_address(argument)
            return
        path = Path(argument)
        if path.is_dir():
            self._add_folder(path, argument)
        elif os.path.lexists(argument):
            self._add_file(path)
        elif is_frame_pattern(argument):
            self._add_sequence(path)
        elif is_pattern(argument):
            self._add_pattern(argument)
        else:
            raise UsageError(f"{safe_name(argument)}: no such file or folder")

    def add_list(self, entries: Iterable[str], folder: Path | None, argument: str) -> None:
        """Entries of a list; those that are not there, or not ours, are kept as failures."""
        count = 0
        for count, entry in enumerate(entries, start=1):  # noqa: B007 - the last count is wanted
            if remote.is_address(entry.strip()):
                try:
                    self._add_address(entry.strip())
                except (InputError, UsageError) as error:
                    self._miss(remote.shown(entry.strip()), str(error))
                continue
            path = find_entry(entry, folder)
            if path is None and is_frame_pattern(entry):
                try:
                    self._add_sequence(_beside(folder, entry))
                except (InputError, UsageError) as error:
                    self._miss(entry, str(error))
            elif path is None:
                self._miss(entry, "no such file or folder (named in a list)")
            elif path.is_dir():
                before, duplicates = len(self._items), self._skipped["(duplicate)"]
                self._walk(path, None)
                if len(self._items) == before and self._skipped["(duplicate)"] == duplicates:
                    self._miss(entry, f"a folder without {self._wanted()} (named in a list)")
            else:
                kind = self._kind_of(path.name, str(path))
                if kind is None:
                    self._miss(entry, f"not {self._wanted()} by its ending (named in a list)")
                else:
                    self._take(_Item(self._loose, str(path), None, kind), os.path.realpath(path))
        if not count:
            raise UsageError(f"{safe_name(argument)}: the list is empty; give one path a line")

    def result(self, name: str) -> InputList:
        """Everything collected, named."""
        self._place_loose()
        prefixes = _prefixes(root for root in dict.fromkeys(item.root for item in self._items) if root.num_files)
        taken: set[str] = set()
        sources: list[SourceInfo] = []
        missing: list[Failure] = []
        for item in self._items:
            parts = self._parts(item)
            if len(prefixes) > 1 and item.root in prefixes:
                parts = (prefixes[item.root], *parts)
            unique = unique_name(safe_name("/".join(parts)), taken)
            if item.kind is None:
                missing.append(Failure(unique, item.error))
            else:
                sources.append(self._info(item, unique, item.kind))
        skipped = dict(sorted(self._skipped.items()))
        return InputList(tuple(sources), tuple(missing), skipped, name, self._is_stopped)

    def _info(self, item: _Item, name: str, kind: Kind) -> SourceInfo:
        path = Path(item.path)
        if item.url:
            return remote.RemoteInfo(name, path, kind, item.url, self._most_bytes, self._is_stopped)
        return SequenceInfo(name, path, kind, self._input_fps) if item.is_sequence else SourceInfo(name, path, kind)

    def _add_folder(self, folder: Path, argument: str) -> None:
        if is_run_folder(argument):
            raise UsageError(f"{safe_name(argument)}: is the folder of an ovdet run; name the folder of its pictures")
        self._require(folder, None, argument)

    def _add_pattern(self, pattern: str) -> None:
        folder, varying = split_pattern(pattern)
        if not folder.is_dir():
            raise UsageError(f"{safe_name(pattern)}: no such folder: {safe_name(str(folder))}")
        self._require(folder, varying, pattern)

    def _add_sequence(self, pattern: Path) -> None:
        """Numbered pictures that are one video."""
        if "video" not in self._kinds:
            raise UsageError(f"{safe_name(str(pattern))}: is a video, but only {self._wanted()} are read here")
        if not numbered_files(pattern):
            raise UsageError(f"{safe_name(str(pattern))}: no picture fits the pattern")
        self._take(_Item(self._loose, str(pattern), None, "video", is_sequence=True), os.path.realpath(pattern))

    def _add_address(self, url: str) -> None:
        """A file on the network; nothing is asked of it yet where its ending tells what it is."""
        host, parts = remote.parts_of(url)
        kind = _kind_of_suffix(_suffix(parts[-1]))
        if kind is None:
            kind = _kind_of_media_type(remote.media_type(url))
        if _suffix(parts[-1]) in ANIMATED_SUFFIXES and "image" not in self._kinds:
            kind = "video"  # for a still one, too: whether it moves is not known before it is here
        if kind is None or kind not in self._kinds:
            raise UsageError(f"{remote.shown(url)}: is none of the {self._wanted()}, by its ending and by what is sent")
        root = self._roots.setdefault(f"//{host}", _Root(f"//{host}"))
        place = remote.temporary_place(self._downloads, len(self._items), parts[-1])
        self._take(_Item(root, str(place), parts, kind, url=url), url)

    def _require(self, folder: Path, pattern: tuple[str, ...] | None, argument: str) -> None:
        """Walks, and complains where that finds nothing."""
        before, skipped_before = len(self._items), Counter(self._skipped)
        self._walk(folder, pattern)
        if len(self._items) > before:
            return
        skipped = self._skipped - skipped_before
        if skipped["(duplicate)"]:
            return
        if pattern is not None and not skipped:
            raise UsageError(f"{safe_name(argument)}: the pattern matches no file")
        told = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(5)) or "it is empty"
        raise UsageError(f"no {self._wanted()} in {safe_name(argument)} ({'skipped: ' if skipped else ''}{told})")

    def _walk(self, folder: Path, pattern: tuple[str, ...] | None) -> None:
        root = self._roots.setdefault(os.path.realpath(folder), _Root(os.path.abspath(folder)))  # noqa: PTH100
        max_depth = None if pattern is None or "**" in pattern else len(pattern)

        def count_skipped(reason: str) -> None:
            if pattern is None:
                self._skipped[reason] += 1

        for found in walk(folder, self._excluded.__contains__, count_skipped, max_depth):
            if isinstance(found, Unreadable) and not found.parts:
                raise UsageError(f"{safe_name(str(folder))}: the folder cannot be opened: {found.error}")
            if isinstance(found, Unreadable):
                self._items.append(_Item(root, "", found.parts, None, f"the folder cannot be opened: {found.error}"))
            elif pattern is None or matches(found.parts, pattern):
                self._take_found(root, found)

    def _take_found(self, root: _Root, found: FoundFile) -> None:
        kind = self._kind_of(found.parts[-1], found.path)
        if kind is None:
            self._skipped[_suffix(found.parts[-1]) or "(none)"] += 1
        else:
            self._take(_Item(root, found.path, found.parts, kind), found.resolved)

    def _add_file(self, path: Path) -> None:
        shown = safe_name(str(path))
        if not path.exists():
            raise UsageError(f"{shown}: is a link to something that is not there")
        kind = self._kind_of_file(_suffix(path.name), str(path), is_named=True)
        if kind is None:
            is_file = Path(path).is_file()  # opening a FIFO would wait for ever
            kind = "image" if is_picture(path) else "video" if is_file and has_video_stream(path) else None
        if kind is None:
            endings = " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
            raise UsageError(f"{shown}: is neither a picture nor a video; these endings are read: {endings}")
        if kind not in self._kinds:
            hint = "; of animations GIF and APNG are read as videos" if is_picture(path) else ""
            raise UsageError(f"{shown}: is one of the {_NOUNS[kind]}, but only {self._wanted()} are read here{hint}")
        self._take(_Item(self._loose, str(path), None, kind), os.path.realpath(path))

    def _take(self, item: _Item, resolved: str) -> None:
        if resolved in self._seen:
            self._skipped["(duplicate)"] += 1
            return
        self._seen.add(resolved)
        item.root.num_files += 1
        self._items.append(item)

    def _miss(self, entry: str, error: str) -> None:
        if (key := f"\0{entry}") in self._seen:  # no path has a NUL
            self._skipped["(duplicate)"] += 1
            return
        self._seen.add(key)
        self._items.append(_Item(_Root(None), entry, (entry,), None, error))

    def _kind_of(self, name: str, path: str) -> Kind | None:
        suffix = _suffix(name)
        kind = self._kind_of_file(suffix, path, is_named=False)
        if kind not in self._kinds or (suffix in _TRANSPORT_SUFFIXES and not _is_transport_stream(path)):
            return None
        return kind

    def _kind_of_file(self, suffix: str, path: str, *, is_named: bool) -> Kind | None:
        """By the ending; an animation is a video, where videos are read."""
        kind = _kind_of_suffix(suffix)
        if kind != "image" or "video" not in self._kinds:
            return kind
        looked_into = MAYBE_ANIMATED_SUFFIXES if is_named and "image" not in self._kinds else ANIMATED_SUFFIXES
        return "video" if suffix in looked_into and is_animation(Path(path)) else kind

    def _wanted(self) -> str:
        return " or ".join(noun for kind, noun in _NOUNS.items() if kind in self._kinds)

    def _place_loose(self) -> None:
        """The loose files' root is the folder that holds them all; where another argument walked it, they share it."""
        folders = {os.path.dirname(os.path.abspath(item.path)) for item in self._items if item.root is self._loose}  # noqa: PTH100, PTH120
        if not folders:
            return
        try:
            self._loose.folder = os.path.commonpath(folders)
        except ValueError:  # on several drives: names then begin with the drive's letter
            self._loose.folder = ""
        twin = self._roots.get(os.path.realpath(self._loose.folder)) if self._loose.folder else None
        if twin is not None and twin.num_files:
            self._loose.num_files = 0
            self._items = [
                item if item.root is not self._loose else replace(item, root=twin, parts=self._parts(item))
                for item in self._items
            ]

    def _parts(self, item: _Item) -> tuple[str, ...]:
        if item.parts is not None:
            return item.parts
        if not item.root.folder:
            absolute = Path(item.path).absolute()
            return (re.sub(r"\W+", "_", absolute.drive).strip("_"), *absolute.parts[1:])
        relative = os.path.relpath(item.path, item.root.folder)
        return Path(relative).parts


def _prefixes(roots: Iterable[_Root]) -> dict[_Root, str]:
    """What the names of each root begin with: its last part, numbered where two share it."""
    taken: set[str] = set()
    prefixes: dict[_Root, str] = {}
    numbers: Counter[str] = Counter()
    for root in roots:
        last = os.path.basename(root.folder or "") or "root"  # noqa: PTH119
        same = last.casefold()  # on some systems Photos and photos are one output folder
        numbers[same] += 1
        prefix = last if numbers[same] == 1 else f"{last}-{numbers[same]}"
        while prefix.casefold() in taken:  # a folder that is really called so
            numbers[same] += 1
            prefix = f"{last}-{numbers[same]}"
        taken.add(prefix.casefold())
        prefixes[root] = prefix
    return prefixes


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million names


def _kind_of_suffix(suffix: str) -> Kind | None:
    return "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _kind_of_media_type(media_type: str) -> Kind | None:
    """By what a server calls a file: "video/mp4"; a playlist is called otherwise."""
    major = media_type.partition("/")[0]
    return "image" if major == "image" and media_type != "image/svg+xml" else "video" if major == "video" else None


def _beside(folder: Path | None, entry: str) -> Path:
    """Relative to the current folder, else to the list's: as `find_entry`, for a pattern of numbered pictures."""
    path = Path(entry.strip())
    is_here = folder is None or (path.parent.is_dir() and numbered_files(path))
    return path if folder is None or is_here else folder / path


def _is_transport_stream(path: str) -> bool:
    """Whether packets of 188 bytes, or of 192 as cameras write them, begin with MPEG's sync byte."""
    if not Path(path).is_file():  # opening a FIFO would wait for ever; reading it will say so
        return True
    try:
        with Path(path).open("rb") as file:
            head = file.read(197)
    except OSError:  # reading it will say why
        return True
    return any(head[at : at + 1] == head[at + size : at + size + 1] == b"G" for at, size in ((0, 188), (4, 192)))


def _run_name(arguments: Sequence[str]) -> str:
    first = arguments[0]
    if first == "-":
        name = "stdin"
    elif first.startswith("@") and len(first) > 1:
        name = Path(first[1:]).stem
    elif remote.is_address(first):
        name = Path(remote.parts_of(first)[1][-1]).stem
    elif not os.path.lexists(first) and is_frame_pattern(first):
        name = stem_of(first)
    elif not os.path.lexists(first) and is_pattern(first):
        name = Path(os.path.abspath(split_pattern(first)[0])).name  # noqa: PTH100
    else:
        path = Path(os.path.abspath(first))  # noqa: PTH100 - resolve() would show where a link leads
        name = path.name if path.is_dir() else path.stem
    more = len(arguments) - 1
    return safe_name(name or "root") + (f"-and-{more}-more" if more else "")
