"""The payload, made safe to show: every key there, floats short, text that UTF-8 can carry."""

import math
from typing import Any

_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("title", "generated", "version", "command", "tz"), ""),
    **{key: [] for key in ("cuts", "warnings", "runs", "parents", "folders", "posts", "pictures", "thumbs", "videos")},
    **dict.fromkeys(("bins", "cube", "pairs", "compare", "suggested", "accounts", "tags")),
    "details": {},
}
_UNIT = {"one": "file", "many": "files", "how": ""}
_TOTALS = (
    *("units", "units_with", "pictures", "videos", "video_frames", "video_minutes", "detections", "labels"),
    *("accounts", "failed_files", "files", "first", "last"),
)
_COVERAGE: dict[str, Any] = {
    "failures": [],
    "skipped": {},
    "reused_frames": None,
    "time_from": {},
    "side_cars_unused": None,
    "without_account": None,
    "duplicates": None,
}
_COLUMNS = (
    *("name", "colour", "detections", "units", "share", "low", "high", "score", "threshold", "size", "first", "last"),
    *("is_new", "is_rare"),
)
_OPTIONAL_COLUMNS = (
    *("minutes", "minutes_share", "minutes_low", "minutes_high"),
    *("corrected", "corrected_low", "corrected_high"),
)
_CUBE = ("accounts", "label", "account", "bin", "units", "base_account", "base_bin", "base_units")
_DETAIL: dict[str, Any] = {"scores": None, "place": None, "sizes": None, "gallery": {}, "top": []}
_MORE = ("labels", "posts", "videos", "accounts", "thumbs")


def complete(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with every key of the contract, so that neither the template nor the script has to ask."""
    whole = {**_DEFAULTS, **_known(payload)}
    whole["title"] = whole["title"] or "What was found"
    whole["unit"] = {**_UNIT, **_known(payload.get("unit"))}
    whole["totals"] = {**dict.fromkeys(_TOTALS), **_known(payload.get("totals"))}
    whole["coverage"] = {**_COVERAGE, **_known(payload.get("coverage"))}
    whole["more"] = {**dict.fromkeys(_MORE, 0), **_known(payload.get("more"))}
    whole["labels"] = _label_columns(_known(payload.get("labels")))
    whole["details"] = {key: {**_DETAIL, **_known(one)} for key, one in whole["details"].items()}
    # What is of use only whole is there whole or not at all.
    whole["cube"] = _whole_or_none(payload.get("cube"), *_CUBE)
    whole["bins"] = _whole_or_none(payload.get("bins"), "starts")
    whole["pairs"] = _whole_or_none(payload.get("pairs"), "labels", "counts")
    whole["compare"] = _whole_or_none(payload.get("compare"), "rows")
    if whole["compare"]:
        sides = {
            side: {"name": side.upper(), "units": None, **_known(whole["compare"].get(side))} for side in ("a", "b")
        }
        whole["compare"] = {"how": "", **_known(whole["compare"]), **sides}
    return cleaned(whole)


def cleaned(value: Any) -> Any:
    """Plain values for JSON: five significant digits, no NaN, no half of a surrogate pair (as in odd file names)."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8") if _has_surrogate(value) else value
        case bool() | int() | None:
            return value
        case float():
            return float(f"{value:.5g}") if math.isfinite(value) else None
        case dict():
            return {cleaned(str(key)): cleaned(one) for key, one in value.items()}
        case list() | tuple():
            return [cleaned(one) for one in value]
    raise ValueError(f"{type(value).__name__} in the payload of a page, which takes plain values only: {value!r:.80}")


def _known(part: Any) -> dict[str, Any]:
    return {key: value for key, value in (part or {}).items() if value is not None}


def _whole_or_none(part: dict[str, Any] | None, *keys: str) -> dict[str, Any] | None:
    return part if part and all(part.get(key) for key in keys) else None


def _label_columns(given: dict[str, Any]) -> dict[str, Any]:
    num_labels = len(given.get("name", ()))
    columns = {key: given.get(key) or [None] * num_labels for key in _COLUMNS}
    columns |= {key: given.get(key) for key in _OPTIONAL_COLUMNS}
    for key, column in columns.items():
        if column is not None and len(column) != num_labels:
            raise ValueError(f"labels.{key} has {len(column)} entries, labels.name {num_labels}")
    return columns


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
