"""Post: what the report counts, and what is known of one file's post."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

TimeFrom = Literal["metadata", "side-car", "EXIF", "file name", "file time", "none"]

# A hashtag begins where no word, address or HTML entity (&#39;) runs on, and is no bare number ("#1").
_HASHTAG = re.compile(r"(?<![\w&/#])[#＃](\w*[^\W\d_]\w*)")
_MOST_TAGS = 100
_LONGEST_TAG = 100


@dataclass(frozen=True)
class Facts:
    """What one place (a row, a side-car) says of a post; None and () where it says nothing. time: aware, UTC."""

    id: str | None = None
    account: str | None = None
    time: datetime | None = None
    likes: int | None = None
    text: str | None = None
    url: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said; an id alone tells nothing either."""
        return not (self.account or self.time or self.text or self.url or self.tags) and self.likes is None


@dataclass(frozen=True)
class Post:
    """What is known of the post that a file belongs to.

    id: shared by the files of one post; a file's own name where nothing tells. time: aware, UTC.
    time_from: the place that gave the time. tags: lower case, without `#`, those in the text included.
    url: begins with http:// or https://.
    """

    id: str
    account: str | None = None
    time: datetime | None = None
    time_from: TimeFrom = "none"
    likes: int | None = None
    text: str | None = None
    url: str | None = None
    tags: tuple[str, ...] = ()


def hashtags(text: str | None) -> tuple[str, ...]:
    """The hashtags of a text, lower case, without `#`, each once."""
    return clean_tags(tuple(_HASHTAG.findall(text))) if text and ("#" in text or "＃" in text) else ()


@lru_cache(maxsize=20_000)  # a feed has the same few again and again
def clean_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Tags as they are compared: lower case, without `#`, each once, at most 100 of 100 characters."""
    own = (tag.strip().lstrip("#＃").strip().casefold()[:_LONGEST_TAG] for tag in tags)
    return tuple(dict.fromkeys(tag for tag in own if tag))[:_MOST_TAGS]
