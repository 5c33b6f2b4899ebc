"""TOML tables -> frozen dataclasses; what is unknown, missing or of another type is an error that names its place."""

import dataclasses
import difflib
import tomllib
import types
import typing
from typing import Any, Literal

from ovdet_cli.errors import UsageError


def build(kind: Any, value: Any, where: str) -> Any:
    """A value from TOML as the type that a field asks for; UsageError names the field."""
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise UsageError(f"{where} must be one of {', '.join(map(str, arguments))}, not {value!r}")
        return value
    if origin is types.UnionType or origin is typing.Union:
        return build(next(a for a in arguments if a is not type(None)), value, where)
    if origin is tuple:
        return _build_tuple(arguments, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UsageError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value


def _build_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list, not {value!r}")
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(kinds) != len(value):
        raise UsageError(f"{where} must have {len(kinds)} entries, not {len(value)}")
    return tuple(build(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _build_dataclass(kind: Any, table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise UsageError(f"{where or 'the configuration'} must be a table, not {table!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(table) - set(fields)):
        near = difflib.get_close_matches(unknown[0], fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(fields)}"
        raise UsageError(f"{where or 'the configuration'} has no {unknown[0]!r}; {hint}")
    prefix = f"{where}." if where else ""
    values = {name: build(hints[name], value, f"{prefix}{name}") for name, value in table.items()}
    missing = [
        f.name
        for f in fields.values()
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{prefix}{missing[0]} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{where or 'the configuration'}: {error}") from error


def put_setting(table: dict[str, Any], setting: str) -> None:
    """Puts `data.0.path=x` into the table; a value that is no TOML is taken as text."""
    key, equals, text = setting.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise UsageError(f"a setting is written like run.seed=2, not {setting!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    place: Any = table
    for name in names[:-1]:
        place = _inside(place, name, setting)
    if isinstance(place, list):
        _inside(place, names[-1], setting)
        place[int(names[-1])] = value
    elif isinstance(place, dict):
        place[names[-1]] = value
    else:
        raise UsageError(f"{setting}: {'.'.join(names[:-1])} holds no other values")


def _inside(place: Any, name: str, setting: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(name, {})
    if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
        return place[int(name)]
    if isinstance(place, list):
        raise UsageError(f"{setting}: {name} must be a number from 0 to {len(place) - 1}")
    raise UsageError(f"{setting}: there is nothing called {name} to set")
