"""Vocabulary files in CSV, TSV, YAML, TOML and JSON -> what each class is given."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.csv_nodes import read_csv
from ovdet_cli.vocabulary.entry import Combine, Entry
from ovdet_cli.vocabulary.entry_values import (
    cycle_error,
    find_cycle,
    is_nothing,
    suggest,
    to_choice,
    to_colour,
    to_count,
    to_examples,
    to_flag,
    to_number,
    to_template_set,
    to_templates,
    to_text,
    to_texts,
)
from ovdet_cli.vocabulary.json_nodes import read_json
from ovdet_cli.vocabulary.nodes import ListNode, MappingNode, Node, Place, Scalar, decode_text, shorten
from ovdet_cli.vocabulary.prompts import SETS
from ovdet_cli.vocabulary.toml_nodes import read_toml
from ovdet_cli.vocabulary.yaml_nodes import read_yaml

ENTRY_SUFFIXES = (".csv", ".tsv", ".yaml", ".yml", ".toml", ".json")
"""Files that say more than names."""

Settings = dict[str, Any]
"""Fields of an Entry that a file gives a value, among them the name."""

FIELDS = {
    "name": "name",
    "aliases": "aliases",
    "combine": "combine",
    "templates": "templates",
    "negative": "is_negative",
    "threshold": "threshold",
    "min_area": "min_area",
    "max_per_image": "max_per_image",
    "parent": "parents",
    "expand": "finds_children",
    "colour": "colour",
    "novel": "is_novel",
    "examples": "examples",
}
"""A class's keys in files -> the fields of Entry."""

_KEYS = (*FIELDS, "color")
_DEFAULT_KEYS = tuple(key for key in _KEYS if key not in ("name", "aliases", "parent", "examples"))
_ROOT_KEYS = ("classes", "templates", "defaults")


def read_entries(data: bytes, origin: str, suffix: str, folder: Path) -> tuple[Entry, ...]:
    """The classes of a file in order. suffix: one of ENTRY_SUFFIXES. folder: what pictures are relative to.

    VocabularyError tells line and column of what is wrong.
    """
    return tuple(Entry(**settings) for settings in read_settings(data, origin, suffix, folder))


def read_settings(data: bytes, origin: str, suffix: str, folder: Path) -> list[Settings]:
    """As read_entries, but no more than what the file says: a key left out is not in the dict."""
    root = _read_nodes(decode_text(data, origin), origin, suffix)
    if root is None or is_nothing(root):
        raise VocabularyError(f"{origin} holds no class: write at least one name")
    if isinstance(root, MappingNode):
        _check_keys(root, _ROOT_KEYS)
        if "classes" not in root.pairs:
            raise root.place.error("the key classes is missing; put the list of classes under it")
        own_sets = _own_sets(root)
        defaults = _defaults(root, own_sets, folder)
        classes = root.pairs["classes"][1]
    else:
        own_sets, defaults, classes = {}, {}, root
    if not isinstance(classes, ListNode):
        raise classes.place.error(f"a list of classes is needed, not {classes}")
    if not classes.items:
        raise classes.place.error("there is no class; write at least one name")
    return _classes(classes, own_sets, defaults, folder)


def _read_nodes(text: str, origin: str, suffix: str) -> Node | None:
    if not text.strip():
        return None
    if suffix in (".csv", ".tsv"):
        header, rows = read_csv(text, origin, _KEYS, is_tab=suffix == ".tsv")
        _check_keys(header, _KEYS)
        if "name" not in header.pairs:
            raise header.place.error("the first row must name the columns, and one of them must be name")
        return rows
    if suffix in (".yaml", ".yml"):
        return read_yaml(text, origin)
    if suffix == ".toml":
        root = read_toml(text, origin)
        return root if root.pairs else None
    return read_json(text, origin)


def _own_sets(root: MappingNode) -> dict[str, tuple[str, ...]]:
    sets = _mapping(root, "templates")
    for name, (place, _) in sets.items():
        if name in SETS:
            raise place.error(f"the template set {name} is built in; give yours another name")
        if not name.strip() or "{}" in name:
            raise place.error(f"{shorten(name)} is no name for a template set; write a word and its templates")
    return {name.strip(): to_template_set(name, node) for name, (_, node) in sets.items()}


def _defaults(root: MappingNode, own_sets: Mapping[str, tuple[str, ...]], folder: Path) -> Settings:
    pairs = _mapping(root, "defaults")
    for key, (place, _) in pairs.items():
        if key in _KEYS and key not in _DEFAULT_KEYS:
            raise place.error(f"{key} belongs to one class and cannot be a default; write it there")
    node = MappingNode(pairs, root.place)
    _check_keys(node, _DEFAULT_KEYS)
    return _settings(node, own_sets, folder)


def _mapping(root: MappingNode, key: str) -> Mapping[str, tuple[Place, Node]]:
    if key not in root.pairs or is_nothing(root.pairs[key][1]):
        return {}
    node = root.pairs[key][1]
    if not isinstance(node, MappingNode):
        raise node.place.error(f"{key} must be a mapping, not {node}")
    return node.pairs


def _check_keys(node: MappingNode, known: Collection[str]) -> None:
    for key, (place, _) in node.pairs.items():
        if key not in known:
            british = [key for key in known if key != "color"]
            raise place.error(f"the key {shorten(key)} is not known; {suggest(key, british)}")


def _classes(
    classes: ListNode, own_sets: Mapping[str, tuple[str, ...]], defaults: Settings, folder: Path
) -> list[Settings]:
    found: list[Settings] = []
    places: dict[str, Place] = {}
    parent_places: dict[str, Place] = {}
    for node in classes.items:
        if isinstance(node, Scalar):
            settings, place = {"name": to_text("name", node)}, node.place
        elif isinstance(node, MappingNode):
            _check_keys(node, _KEYS)
            if "name" not in node.pairs:
                raise node.place.error("the class has no name; add the key name")
            settings, place = _settings(node, own_sets, folder), node.pairs["name"][1].place
        else:
            raise node.place.error(f"a class must be a name or a mapping, not {node}")
        name = settings["name"]
        if name in places:
            raise place.error(
                f"the class {shorten(name)} stands here again, after line {places[name].line}; "
                "put both into one, or rename one"
            )
        places[name] = place
        if isinstance(node, MappingNode) and "parent" in node.pairs:
            parent_places[name] = node.pairs["parent"][1].place
        found.append(defaults | settings)
    if cycle := find_cycle({settings["name"]: settings.get("parents", ()) for settings in found}):
        raise cycle_error(cycle, parent_places[cycle[0]])
    return found


def _settings(node: MappingNode, own_sets: Mapping[str, tuple[str, ...]], folder: Path) -> Settings:
    settings: Settings = {}
    for key, (place, value) in node.pairs.items():
        spelled, key = key, "colour" if key == "color" else key
        if FIELDS[key] in settings:
            raise place.error("colour and color are the same key; keep one of them")
        if key == "colour" and is_nothing(value):
            raise value.place.error(f'{spelled} has no value; put quotes around "#ff8800", as # begins a comment')
        if not is_nothing(value) or key == "name":
            settings[FIELDS[key]] = _value(key, value, own_sets, folder)
    return settings


def _value(key: str, node: Node, own_sets: Mapping[str, tuple[str, ...]], folder: Path) -> Any:
    match key:
        case "name":
            return to_text(key, node)
        case "aliases" | "parent":
            return to_texts(key, node)
        case "combine":
            return to_choice(key, node, get_args(Combine))
        case "templates":
            return to_templates(key, node, own_sets)
        case "threshold":
            return to_number(key, node, 0, 1)
        case "min_area":
            return to_number(key, node, 0)
        case "max_per_image":
            return to_count(key, node, 1)
        case "colour":
            return to_colour(key, node)
        case "examples":
            return to_examples(key, node, folder)
        case _:
            return to_flag(key, node)


def settings_of(entry: Entry) -> Settings:
    """The fields of a class that are not at their default, and the name."""
    return {
        field.name: getattr(entry, field.name)
        for field in fields(Entry)
        if field.name == "name" or getattr(entry, field.name) != field.default
    }
