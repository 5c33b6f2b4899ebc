"""Source: one input of a run as a stream of frames; and the choice of the right one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from ovdet_cli.errors import InputError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.frame_pattern import SequenceInfo, count_sequence, read_sequence
from ovdet_cli.media.images import read_image
from ovdet_cli.media.inputs import InputList, collect_inputs
from ovdet_cli.media.remote import RemoteInfo, fetch
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.video import count_frames, read_video

__all__ = [
    "ImageSource", "InputList", "RemoteSource", "SequenceSource", "Source", "VideoSource", "collect_inputs",
    "count_sampled", "open_source",
]  # fmt: skip

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
        return self._chosen(read_video(self.info.path, self.info.name, self.sampling, self.keep_all))

    def _chosen(self, frames: Iterator[Frame | Failure]) -> Iterator[Frame | Failure]:
        if not self.sampling.scenes:
            return frames
        from ovdet_cli.media.shots import one_a_shot

        return one_a_shot(frames, self.keep_all)


class SequenceSource(VideoSource):
    """Numbered pictures that are one video."""

    info: SequenceInfo

    def frames(self) -> Iterator[Frame | Failure]:
        """The pictures in range."""
        return self._chosen(read_sequence(self.info, self.sampling, self.keep_all))


class RemoteSource(Source):
    """A file at an address, brought here when its frames are asked for; `remote.discard` removes it again.

    It stays when the frames end, for whoever copies its sound.
    """

    info: RemoteInfo

    def __init__(self, info: RemoteInfo, there: Source) -> None:
        super().__init__(info)
        self._there = there

    def frames(self) -> Iterator[Frame | Failure]:
        """Those of the file."""
        try:
            fetch(self.info)
        except InputError as error:
            yield Failure(self.info.name, str(error))
            return
        yield from self._there.frames()


def open_source(info: SourceInfo, sampling: Sampling = _WHOLE, keep_all: bool = False) -> Source:
    """The source for an input; a picture has no use for `sampling` and `keep_all`."""
    if isinstance(info, SequenceInfo):
        return SequenceSource(info, sampling, keep_all)
    source = ImageSource(info) if info.kind == "image" else VideoSource(info, sampling, keep_all)
    return RemoteSource(info, source) if isinstance(info, RemoteInfo) else source


def count_sampled(info: SourceInfo, sampling: Sampling) -> int | None:
    """Roughly how many frames of a video are analysed, from its header alone; None when nothing tells."""
    if isinstance(info, SequenceInfo):
        return count_sequence(info, sampling)
    return None if isinstance(info, RemoteInfo) else count_frames(info.path, sampling)
