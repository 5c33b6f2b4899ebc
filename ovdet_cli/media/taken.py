"""When a picture was taken or a video made, as the camera noted it in the file."""

from pathlib import Path

from ovdet_cli.errors import InputError
from ovdet_cli.media.containers import open_container
from ovdet_cli.media.images import IMAGE_SUFFIXES, read_exif

# EXIF 2.32, 4.6.5 F: when it was taken and when it was digitised, each with its offset from UTC. DateTime (0x0132) is
# left out: editors set it to when they last saved.
_EXIF_TIMES = ((0x9003, 0x9011), (0x9004, 0x9012))
# Apple's has a zone; `creation_time` is UTC by the standard (ISO/IEC 14496-12, 8.2.2), counted from 1904.
_VIDEO_TIMES = ("com.apple.quicktime.creationdate", "creation_time")
_UNSET_YEARS = ("1904", "1970", "0000")


def time_noted(path: Path) -> str | None:
    """The time that the file itself notes, as text: "2024:05:17 18:33:02", with "+02:00" after it where it has a zone.

    Fractions of a second are left out. None where nothing is noted, or nothing that can be read; never raises.
    """
    return _of_picture(path) if path.suffix.lower() in IMAGE_SUFFIXES else _of_video(path)


def _of_picture(path: Path) -> str | None:
    tags = read_exif(path)
    for time_tag, offset_tag in _EXIF_TIMES:
        text = _cleaned(tags.get(time_tag))
        if text and any(sign in "123456789" for sign in text):
            return text + _cleaned(tags.get(offset_tag))
    return None


def _of_video(path: Path) -> str | None:
    import av

    try:
        with open_container(path) as container:
            noted = {key.lower(): value for key, value in container.metadata.items()}
    except (InputError, av.FFmpegError, OSError, ValueError, MemoryError):
        return None
    times = (_cleaned(noted.get(key)) for key in _VIDEO_TIMES)
    return next((text for text in times if text and not text.startswith(_UNSET_YEARS)), None)


def _cleaned(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.replace("\0", "").strip()[:40] if isinstance(value, str) else ""
