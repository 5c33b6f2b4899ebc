"""Source: one input of a run as a stream of frames; and the choice of the right one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from ovdet_cli.errors import InputError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.images import read_image
from ovdet_cli.media.inputs import InputList, collect_inputs
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.video import read_video

__all__ = ["ImageSource", "InputList", "Source", "VideoSource", "collect_inputs", "open_source"]

_WHOLE = Sampling()


class Source(ABC):
    """One input. `info` says what it is called and where it lies."""

    def __init__(self, info: SourceInfo) -> None:
        self.info = info

    @abstractmethod
    def frames(self) -> Iterator[Frame | Failure]:
        """Its frames in order, each call from the beginning.

        Bad input never raises: it ends the frames with a Failure. The file is open only while the iterator lives.
        """


class ImageSource(Source):
    """A picture file: one frame, or one failure."""

    def frames(self) -> Iterator[Frame | Failure]:
        """The picture."""
        try:
            image = read_image(self.info.path)
        except InputError as error:
            yield Failure(self.info.name, str(error))
            return
        yield Frame(image, self.info.name)


class VideoSource(Source):
    """A video file. keep_all: also the frames that `sampling` leaves out, with `is_sampled` False."""

    def __init__(self, info: SourceInfo, sampling: Sampling = _WHOLE, keep_all: bool = False) -> None:
        super().__init__(info)
        self.sampling = sampling
        self.keep_all = keep_all

    def frames(self) -> Iterator[Frame | Failure]:
        """The frames in range."""
        return read_video(self.info.path, self.info.name, self.sampling, self.keep_all)


def open_source(info: SourceInfo, sampling: Sampling = _WHOLE, keep_all: bool = False) -> Source:
    """The source for an input; a picture has no use for `sampling` and `keep_all`."""
    return ImageSource(info) if info.kind == "image" else VideoSource(info, sampling, keep_all)
