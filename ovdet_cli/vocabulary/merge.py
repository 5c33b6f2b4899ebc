"""Several vocabularies -> one: a name in several is one class with what all of them say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.entry_file import ENTRY_SUFFIXES, FIELDS, Settings, read_settings, settings_of
from ovdet_cli.vocabulary.entry_values import cycle_error, find_cycle
from ovdet_cli.vocabulary.nodes import shorten
from ovdet_cli.vocabulary.vocabulary import BUILT_IN, Vocabulary, read_file

_LISTS = ("aliases", "templates", "parents", "examples")
_KEYS = {field: key for key, field in FIELDS.items()}


def merge_vocabularies(sources: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """The union of files and built-in lists in order of first appearance, and a line for each setting overridden.

    Lists are united in order; of single settings the later source's wins. VocabularyError where parents lead in a
    circle.
    """
    merged: dict[str, Settings] = {}
    notes: list[str] = []
    for source in sources:
        for settings in _load(source):
            name = settings["name"]
            known = merged.setdefault(name, {"name": name})
            notes += _overrides(known, settings, source)
            merged[name] = known | {field: _unite(field, known.get(field, ()), v) for field, v in settings.items()}
    if cycle := find_cycle({name: settings.get("parents", ()) for name, settings in merged.items()}):
        raise cycle_error(cycle)
    return [Entry(**settings) for settings in merged.values()], notes


def _load(source: str) -> list[Settings]:
    """What a source says of its classes; a setting that it leaves out overrides nothing."""
    path = Path(source)
    if source not in BUILT_IN and (suffix := path.suffix.lower()) in ENTRY_SUFFIXES:
        return read_settings(read_file(path), source, suffix, path.parent)
    return [settings_of(entry) for entry in Vocabulary.load(source).entries]


def _unite(field: str, old: Any, new: Any) -> Any:
    return tuple(dict.fromkeys((*old, *new))) if field in _LISTS else new


def _overrides(known: Settings, settings: Settings, source: str) -> list[str]:
    return [
        f"{shorten(settings['name'])}: {_KEYS[field]} {_shown(value)} of {source} in place of {_shown(known[field])}"
        for field, value in settings.items()
        if field not in _LISTS and field in known and known[field] != value
    ]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "#{:02x}{:02x}{:02x}".format(*value)
    return str(value).lower() if isinstance(value, bool) else f"{value}"
