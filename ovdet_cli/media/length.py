"""How long a video is, for showing it."""

from fractions import Fraction

from ovdet_cli.errors import InputError
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.containers import estimated_frames, frame_rate, open_container, stated_duration, video_stream
from ovdet_cli.media.frame_pattern import SequenceInfo, count_sequence
from ovdet_cli.media.sampling import Sampling


def length_s(info: SourceInfo) -> Fraction | None:
    """Seconds, as its header promises or its pictures are numbered; None where nothing tells."""
    import av

    if isinstance(info, SequenceInfo):
        count = count_sequence(info, Sampling())
        return None if count is None else count / info.fps
    try:
        with open_container(info.path) as container:
            stream = video_stream(container)
            stated = stated_duration(container, stream)
            if stated is not None:
                return stated
            num_frames = estimated_frames(container, stream)
            return None if num_frames is None else num_frames / frame_rate(stream)
    except (InputError, av.FFmpegError, OSError, ValueError):
        return None
