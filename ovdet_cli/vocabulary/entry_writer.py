"""Entries -> a vocabulary file that reads back as the same entries."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ovdet_cli.errors import OutputError, UsageError, VocabularyError
from ovdet_cli.vocabulary.entry import Entry, Example
from ovdet_cli.vocabulary.entry_file import ENTRY_SUFFIXES, FIELDS, read_entries, settings_of
from ovdet_cli.vocabulary.entry_values import split_box
from ovdet_cli.vocabulary.nodes import shorten

WRITE_SUFFIXES = (*ENTRY_SUFFIXES, ".txt")
"""Formats that a vocabulary can be written in."""

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_KEYS = {field: key for key, field in FIELDS.items()}

Plain = dict[str, Any]
"""A class as files hold it: keys with texts, numbers, flags and lists of them."""


def write_entries(entries: Sequence[Entry], path: Path, *, overwrite: bool = False) -> None:
    """Writes the classes in the format of the path's suffix; atomic.

    Pictures are named relative to the file's folder where they can be. VocabularyError where the format cannot hold
    what a class says, OutputError where the file is there already or the disk refuses.
    """
    if not overwrite and (path.exists() or path.is_symlink()):
        raise OutputError(f"{path} is there already; choose another file, or write it anew with --overwrite")
    text = format_entries(entries, path.suffix.lower(), path.parent)
    try:
        handle, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
            Path(name).chmod(0o644)  # mkstemp gives 0600, and lists are shared
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def check_suffix(suffix: str) -> None:
    """UsageError for a format that no vocabulary is written in."""
    if suffix not in WRITE_SUFFIXES:
        raise UsageError(f"no vocabulary is written as {suffix!r}; end the file's name with {_listed()}")


def format_entries(entries: Sequence[Entry], suffix: str, folder: Path) -> str:
    """The text of a file; folder: where it will lie. VocabularyError names the class that the format cannot hold."""
    check_suffix(suffix)
    plain = [plain_entry(entry, folder) for entry in entries]
    _check_characters(plain)
    if suffix == ".txt":
        text = _text(plain)
    elif suffix in (".csv", ".tsv"):
        text = _csv(plain, "," if suffix == ".csv" else "\t")
    elif suffix in (".yaml", ".yml"):
        # No line is folded: width is more than any has.
        text = yaml.dump(_short(plain), Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=1 << 30)
    elif suffix == ".toml":
        text = "\n".join(_toml(row) for row in plain)
    else:
        text = json.dumps(_short(plain), ensure_ascii=False, indent=2) + "\n"
    _check(text, plain, suffix, folder)
    return text


def _check_characters(plain: Sequence[Plain]) -> None:
    """Half of a character, or a byte of a picture's path that is no UTF-8, can stand in Python but in no file."""
    for row in plain:
        text = json.dumps(row, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            strange = shorten(text[error.start])
            raise VocabularyError(
                f"the class {shorten(row['name'])} holds {strange}, which UTF-8 cannot hold; rename it"
            ) from error


def _check(text: str, plain: Sequence[Plain], suffix: str, folder: Path) -> None:
    """Reads the text back: formats have corners, and a vocabulary that changes in one is worse than none."""
    if suffix == ".txt":
        return  # each name was checked alone
    entries = read_entries(text.encode(), f"the new {suffix} file", suffix, folder)
    for wanted, got in zip(plain, (plain_entry(entry, folder) for entry in entries), strict=True):
        if wanted != got:
            raise VocabularyError(
                f"the class {shorten(wanted['name'])} would not read back from {suffix} as it is; "
                "take out what is special in its texts"
            )


def _listed() -> str:
    return f"{', '.join(WRITE_SUFFIXES[:-1])} or {WRITE_SUFFIXES[-1]}"


def plain_entry(entry: Entry, folder: Path) -> Plain:
    """What a file would say of a class, as plain values under the file's keys; pictures' paths from the folder."""
    return {_KEYS[field]: _value(value, field, folder) for field, value in settings_of(entry).items()}


def _value(value: Any, field: str, folder: Path) -> Any:
    if field == "colour":
        return "#{:02x}{:02x}{:02x}".format(*value)
    if field == "examples":
        return [_example(example, folder) for example in value]
    return list(value) if isinstance(value, tuple) else value


def _example(example: Example, folder: Path) -> str | Plain:
    path = _relative(example.path, folder)
    if example.box_xyxy is not None:
        return f"{path}:{','.join(_number(side) for side in example.box_xyxy)}"
    # A name that ends as if a box stood there.
    return path if split_box(path)[1] is None else {"path": path}


def _number(value: float) -> str:
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(float(value))


def _relative(path: Path, folder: Path) -> str:
    """The path from the folder to a picture; the absolute one on another drive."""
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    # What stands before ".." must be no link: the system follows it first.
    real = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(real, folder.resolve())).as_posix()
    except ValueError:
        return real.as_posix()


def _short(plain: Sequence[Plain]) -> list[Any]:
    """As a person would write it: a class with nothing but a name is the name, a list of one is the one."""
    rows = ({key: v[0] if isinstance(v, list) and len(v) == 1 else v for key, v in row.items()} for row in plain)
    return [row["name"] if len(row) == 1 else row for row in rows]


def _text(plain: Sequence[Plain]) -> str:
    from ovdet_cli.vocabulary.vocabulary import parse_names

    for row in plain:
        name = row["name"]
        if lost := [key for key in row if key != "name"]:
            raise VocabularyError(
                f"a .txt file holds names alone, and would lose {', '.join(lost)} of the class {shorten(name)}; "
                "write .csv, .yaml, .toml or .json"
            )
        if parse_names(name.encode(), "") != [name]:
            raise VocabularyError(
                f"a .txt file cannot hold the name {shorten(name)}; write .csv, .yaml, .toml or .json"
            )
    return "".join(f"{row['name']}\n" for row in plain)


def _csv(plain: Sequence[Plain], delimiter: str) -> str:
    columns = [key for key in FIELDS if any(key in row for row in plain)]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row, key) for key in columns] for row in plain)
    return file.getvalue()


def _cell(row: Plain, key: str) -> str:
    value = row.get(key, "")
    if not isinstance(value, list):
        return str(value).lower() if isinstance(value, bool) else str(value)
    for item in value:
        if not isinstance(item, str) or "|" in item:
            raise VocabularyError(
                f"the class {shorten(row['name'])}: a CSV cell cannot hold {item!r} in {key}, as | parts its lists; "
                "write .yaml, .toml or .json"
            )
    return "|".join(value)


def _toml(row: Plain) -> str:
    return "[[classes]]\n" + "".join(f"{key} = {_toml_value(value)}\n" for key, value in row.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's too; DEL alone is raw in one and refused by the other.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml_value(item)}' for key, item in value.items())} }}"
    return repr(value)
