from pathlib import Path

import av
import numpy as np
import pytest

from ovdet_cli.media.taken import time_noted


def clip(path: Path, **metadata: str) -> Path:
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))):
            container.mux(packet)
        container.mux(stream.encode())
    return path


def test_a_video_tells_when_it_was_made(tmp_path: Path) -> None:
    assert (time_noted(clip(tmp_path / "a.mp4", creation_time="2024-05-17T16:33:02Z")) or "")[
        :19
    ] == "2024-05-17T16:33:02"
    own = clip(tmp_path / "b.mp4", **{"com.apple.quicktime.creationdate": "2024-05-17T18:33:02+0200"})
    assert time_noted(own) == "2024-05-17T18:33:02+0200"


@pytest.mark.parametrize("content", [b"", b"no video", None])
def test_what_tells_nothing_gives_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    assert time_noted(path) is None
    assert time_noted(clip(tmp_path / "c.mp4")) is None
    assert time_noted(clip(tmp_path / "d.mp4", creation_time="1970-01-01T00:00:00Z")) is None
    assert time_noted(tmp_path / "no.jpg") is None
