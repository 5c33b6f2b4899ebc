"""Pictures that move: which GIF and PNG files hold more than one."""

from pathlib import Path
from typing import IO

# Their files are looked into wherever they are found; of the many called .png, only one that is named as a video is.
ANIMATED_SUFFIXES = frozenset((".gif", ".apng"))
MAYBE_ANIMATED_SUFFIXES = ANIMATED_SUFFIXES | {".png"}
_PNG = b"\x89PNG\r\n\x1a\n"
# Before the first pixels stand some dozens of chunks or blocks; a file with more is no one's animation.
_MOST_BLOCKS = 100_000


def is_animation(path: Path) -> bool:
    """Whether a GIF or PNG file has several pictures in it; False for what cannot be read."""
    try:
        if not path.is_file():  # opening a FIFO would wait for ever
            return False
        with path.open("rb") as file:
            head = file.read(13)
            if head[:6] in (b"GIF87a", b"GIF89a"):
                return _has_two_images(file, head[10])
            if head[:8] == _PNG:
                file.seek(8)
                return _has_animation_control(file)
    except (OSError, IndexError):
        return False
    return False


def _has_two_images(file: IO[bytes], packed: int) -> bool:
    """GIF89a specification, sections 18 to 26: blocks of sub-blocks after the screen's colour table."""
    file.seek(_table_bytes(packed), 1)
    num_images = 0
    for _ in range(_MOST_BLOCKS):
        kind = file.read(1)
        if kind == b",":
            num_images += 1
            if num_images == 2:
                return True
            file.seek(_table_bytes(file.read(9)[8]) + 1, 1)  # one byte says how long the codes are
        elif kind == b"!":
            file.seek(1, 1)
        else:
            return False
        while size := file.read(1):
            if size == b"\0":
                break
            file.seek(size[0], 1)
    return False


def _table_bytes(packed: int) -> int:
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _has_animation_control(file: IO[bytes]) -> bool:
    """PNG specification (third edition), 11.3.6.1: an acTL chunk before the first IDAT, with the number of frames."""
    for _ in range(_MOST_BLOCKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":
            return False
        if head[4:] == b"acTL":
            return int.from_bytes(file.read(4), "big") > 1
        file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False
