"""What a failed write means: the disk refuses everything, or this one picture or video cannot be made."""

import errno
from pathlib import Path

from ovdet_cli.errors import OutputError, UndrawableError

_DISK_ERRORS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS))


def is_disk_error(error: BaseException) -> bool:
    """Whether the disk, not the data, is at fault."""
    return getattr(error, "errno", None) in _DISK_ERRORS


def write_error(path: Path, reason: str, error: BaseException) -> OutputError:
    """The error to raise: OutputError where the disk would refuse the next file too, else UndrawableError."""
    if is_disk_error(error):
        return OutputError(f"{path}: cannot be written ({reason}); free space or choose another folder")
    return UndrawableError(f"{path}: cannot be written ({reason})")
