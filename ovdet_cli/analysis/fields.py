"""What fields of a post are called in the wild, and how their values are written: one table for rows and side-cars."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

import orjson

from ovdet_cli.analysis.dates import parse_time
from ovdet_cli.analysis.post import Facts, clean_tags

# Field -> names in snake case, surest first. Sources of the names: the fields that yt-dlp (README, output template),
# gallery-dl (its extractors' keywords) and instaloader (structures.py) write, and those of common exports.
NAMES: dict[str, tuple[str, ...]] = {
    "id": (
        *("post_shortcode", "sidecar_shortcode", "post_id", "tweet_id", "status_id", "shortcode", "postid", "post"),
        *("id_str", "id", "pk", "code", "video_id", "photo_id", "message_id", "uri"),
    ),
    "account": (
        *("author", "username", "user_name", "account", "account_name", "owner", "owner_username", "uploader"),
        *("author_username", "screen_name", "handle", "blog_name", "channel", "creator", "profile", "user"),
        *("author_name", "uploader_id", "channel_id", "author_id", "user_id", "owner_id"),
    ),
    "time": (
        *("taken_at_timestamp", "timestamp", "created_at", "created_utc", "create_time", "taken_at", "posted_at"),
        *("published_at", "post_date", "date_utc", "datetime", "date_time", "date", "published", "published_time"),
        *("publish_date", "pub_date", "created", "created_time", "create_date", "release_timestamp", "upload_date"),
        *("uploaded_at", "time", "time_utc", "timestamp_utc"),
    ),
    "likes": (
        *("like_count", "likes", "likes_count", "num_likes", "favorite_count", "favourites_count", "favorites"),
        *("favourites", "favorites_count", "fav_count", "digg_count", "edge_media_preview_like", "edge_liked_by"),
        *("attitudes_count", "reaction_count", "reactions", "note_count", "total_bookmarks", "ups", "upvotes"),
    ),
    "text": (
        *("edge_media_to_caption", "caption", "full_text", "content", "description", "desc", "text", "body", "message"),
        *("selftext", "post_text", "caption_text", "tweet", "title"),
    ),
    "url": (
        *("webpage_url", "post_url", "permalink_url", "permalink", "link", "post_link", "tweet_url", "original_url"),
        *("page_url", "url", "uri"),
    ),
    "tags": ("hashtags", "tags", "tag", "hashtag", "keywords", "tag_string"),
}
_NAME_KEYS = (
    *("username", "screen_name", "handle", "unique_id", "acct", "account", "name", "nick", "full_name", "display_name"),
    *("id", "pk"),
)
_LONGEST_TEXT = 20_000  # a post of the most patient network; more is not read by anybody in a report
_LONGEST_WORD = 300
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBER = re.compile(r"(\d+(?:[.,]\d+)*)([kmb]?)")
_TAG_OF_HTML = re.compile(r"<[^>]{0,500}>")


@lru_cache(maxsize=10_000)
def snake(name: str) -> str:
    """The name as `NAMES` spells it: likeCount, "Like count" and like-count are like_count."""
    return re.sub(r"\W+|_+", "_", _CAMEL.sub("_", name[:_LONGEST_WORD])).strip("_").lower()


def facts_of(
    values: Mapping[str, Any], zone: tzinfo, report: Callable[[str, str], None], names: Mapping[str, str] | None = None
) -> Facts:
    """What a JSON object says of its post.

    zone: of times that name none. names: field -> the very key that holds it, instead of the usual ones.
    report: hears of "impossible time" and "impossible number", and the value.
    """
    by_name: dict[str, Any] = {}
    for key, value in values.items():
        if value is not None and value != "" and isinstance(key, str):
            by_name.setdefault(snake(key), value)

    def candidates(field: str) -> Iterable[Any]:
        if names is not None and field in names:
            return [value] if (value := value_at(values, names[field])) is not None else []
        return (by_name[name] for name in NAMES[field] if name in by_name)

    if "stats" in by_name and isinstance(by_name["stats"], Mapping):
        for key, value in by_name["stats"].items():
            if isinstance(key, str):
                by_name.setdefault(snake(key), value)
    url = _first(candidates("url"), address)
    return Facts(
        id=_first(candidates("id"), word),
        account=_first(candidates("account"), account),
        time=_first(candidates("time"), lambda value: _time(value, zone, report)),
        likes=_first(candidates("likes"), lambda value: _likes(value, report)),
        text=_text(list(candidates("text")), by_name),
        url=url,
        tags=_first(candidates("tags"), lambda value: tags(value) or None) or (),
    )


def word(value: Any) -> str | None:
    """An id or name on one line; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = value if isinstance(value, str) else str(value) if abs(value) < 10**40 else ""
    return " ".join(text.split())[:_LONGEST_WORD] or None


def account(value: Any) -> str | None:
    """The name of an account, of a string or of an object that describes it; without a leading @."""
    if isinstance(value, Mapping):
        own = {snake(key): inner for key, inner in value.items() if isinstance(key, str)}
        return _first((own[key] for key in _NAME_KEYS if key in own), word)
    name = word(value)
    return (name.lstrip("@") or None) if name else None


def address(value: Any) -> str | None:
    """An http(s) address; nothing else may become a link of the page."""
    if not isinstance(value, str) or not value[:8].lower().startswith(("http://", "https://")):
        return None
    return value.strip() if len(value) <= 2000 and value.strip().isprintable() and " " not in value.strip() else None


def number(value: Any) -> int | None:
    """A count: 1234, "1,234", "1.2K", "3M", {"count": 5}; None for none.

    Raises:
        ValueError: it is no number, or below 0, as where likes are hidden (-1).
    """
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("count", "total", "total_count") if key in value), None)
        return None if isinstance(value, Mapping) else number(value)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no number")
    if isinstance(value, str):
        text = re.sub(r"[\s\u202f_]", "", value).lower()
        if text in ("", "-", "none", "null", "nan", "n/a"):
            return None
        match = _NUMBER.fullmatch(text)
        if match is None or len(text) > 30:
            raise ValueError("no number")
        value = _scaled(*match.groups())
    if value != value:  # NaN: a hole in a table
        return None
    if not 0 <= value < 2**62:
        raise ValueError("no count")
    return int(value)


def tags(value: Any) -> tuple[str, ...]:
    """Tags of a list, of objects with a name, or of a text: "#a #b", "a, b", "a;b|c", '["a", "b"]'."""
    if isinstance(value, str):
        text = value.strip()
        if text[:1] == "[" and text[-1:] == "]":
            try:
                return tags(orjson.loads(text))
            except orjson.JSONDecodeError:
                text = re.sub(r"""['"]""", "", text[1:-1])  # a list as Python prints it
        sign = next((sign for sign in ",;|" if sign in text), None)
        return clean_tags(tuple(text.split(sign)))
    if isinstance(value, Mapping):  # by kind: {"general": [...], "artist": [...]}
        value = [inner for part in list(value.values())[:100] if isinstance(part, list) for inner in part]
    if not isinstance(value, list | tuple):
        return ()
    found = []
    for entry in value[:1000]:
        if isinstance(entry, Mapping):
            entry = next((entry[key] for key in ("name", "tag", "text", "title") if key in entry), None)
        if isinstance(entry, str):
            found.append(entry)
    return clean_tags(tuple(found))


def plain_text(value: Any) -> str | None:
    """The text of a post: a string, {"text": ...}, or {"edges": [{"node": {"text": ...}}]}; HTML paragraphs as text."""
    if isinstance(value, Mapping):
        if isinstance(edges := value.get("edges"), list):
            nodes = [edge.get("node") for edge in edges[:10] if isinstance(edge, Mapping)]
            value = next((node.get("text") for node in nodes if isinstance(node, Mapping)), None)
        else:
            value = value.get("text")
    if not isinstance(value, str):
        return None
    text = value[: 2 * _LONGEST_TEXT].strip()
    if text.startswith("<p") and text.endswith("</p>"):  # as Mastodon keeps its posts
        text = html.unescape(_TAG_OF_HTML.sub("", re.sub(r"<br ?/?>|</p>\s*<p[^>]*>", "\n", text))).strip()
    # What UTF-8 cannot hold (half an emoji, cut by a program) would end every later step.
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode() or None


def _text(candidates: list[Any], by_name: Mapping[str, Any]) -> str | None:
    text = _first(candidates, plain_text)
    title = plain_text(by_name.get("title"))
    if title and text and not text.startswith(title.rstrip(".…")[:40]):
        return f"{title}\n{text}"
    return text


def _time(value: Any, zone: tzinfo, report: Callable[[str, str], None]) -> datetime | None:
    try:
        return parse_time(value, zone)
    except ValueError as error:
        report("impossible time", f"{str(value)[:60]!r} ({error})")
    return None


def _likes(value: Any, report: Callable[[str, str], None]) -> int | None:
    if value == -1:  # hidden by their owner: instaloader and gallery-dl
        return None
    try:
        return number(value)
    except ValueError:
        report("impossible number", f"{str(value)[:60]!r}")
    return None


def _scaled(digits: str, unit: str) -> float:
    if unit:  # 1.2K, and 1,2K where the comma is the point
        return float(digits.replace(",", ".")) * {"k": 1e3, "m": 1e6, "b": 1e9}[unit]
    parts = re.split(r"[.,]", digits)
    if len(parts) > 1 and all(len(part) == 3 for part in parts[1:]) and len(parts[0]) <= 3:
        return int("".join(parts))  # 1,234 and 1.234.567
    return float(digits.replace(",", ""))


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """The value of a key, or of `user.name` inside an object."""
    if path in values:
        return values[path]
    inside: Any = values
    for key in path.split("."):
        inside = inside.get(key) if isinstance(inside, Mapping) else None
    return inside


def _first(candidates: Iterable[Any], read: Callable[[Any], Any]) -> Any:
    return next((known for value in candidates if (known := read(value)) is not None), None)
