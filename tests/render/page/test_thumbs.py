import base64
from pathlib import Path

import cv2
import numpy as np

from ovdet_cli.media.images import write_image
from ovdet_cli.render.page.thumbs import LONG_SIDE, Wanted, make_thumbs
from tests.media.clips import corner_picture, level, make_clip


def decoded(text):
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def test_a_thumbnail_is_the_picture_made_small(tmp_path):
    picture = corner_picture((1200, 600))
    write_image(tmp_path / "a.png", picture)
    (thumb,) = make_thumbs([Wanted(7, tmp_path / "a.png", 0, None)], 10**6).values()
    assert decoded(thumb).shape == (LONG_SIDE // 2, LONG_SIDE, 3)
    small = cv2.resize(picture, (LONG_SIDE, LONG_SIDE // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(decoded(thumb).astype(int) - small).mean() < 6


def test_small_and_thin_pictures_keep_their_pixels(tmp_path):
    write_image(tmp_path / "small.png", corner_picture((20, 10)))
    write_image(tmp_path / "thin.png", np.zeros((1, 3000, 3), np.uint8))
    wanted = [Wanted(i, tmp_path / name, 0, None) for i, name in enumerate(("small.png", "thin.png"))]
    shapes = {frame_id: decoded(thumb).shape for frame_id, thumb in make_thumbs(wanted, 10**6).items()}
    assert shapes == {0: (10, 20, 3), 1: (1, LONG_SIDE, 3)}


def test_frames_of_a_video_are_the_ones_that_were_asked_for(tmp_path):
    make_clip(tmp_path / "clip.mp4", ticks=range(0, 10 * 9000, 9000))
    wanted = [Wanted(index, tmp_path / "clip.mp4", index, index / 10) for index in (7, 2, 0)]
    thumbs = make_thumbs(wanted, 10**6)
    assert sorted(thumbs) == [0, 2, 7]
    for index, thumb in thumbs.items():
        assert abs(decoded(thumb).mean() - level(index)) < 6


def test_files_that_have_gone_or_changed_have_none(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    write_image(tmp_path / "a.png", corner_picture((20, 10)))
    (tmp_path / "cut.mp4").write_bytes(b"\0" * 100)
    names = ("gone.jpg", "text.jpg", "cut.mp4", "a.png")
    wanted = [Wanted(i, tmp_path / name, 0, 0.0 if name == "cut.mp4" else None) for i, name in enumerate(names)]
    # A video that is a picture now, too.
    wanted.append(Wanted(9, tmp_path / "a.png", 5, 0.5))
    assert list(make_thumbs(wanted, 10**6)) == [3]
    assert make_thumbs([], 10**6) == {}


def test_the_first_ones_are_made_until_there_is_no_room(tmp_path):
    wanted = []
    for i in range(5):
        write_image(tmp_path / f"{i}.png", corner_picture((200, 200)))
        wanted.append(Wanted(i, Path(tmp_path / f"{i}.png"), 0, None))
    size = len(make_thumbs(wanted[:1], 10**6)[0])
    assert list(make_thumbs(wanted, 3 * size)) == [0, 1, 2]
    assert make_thumbs(wanted, size - 1) == {}
