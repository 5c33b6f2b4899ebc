import av
import pytest

from ovdet_cli.media.codecs import codec_support


def test_the_wheels_of_pyav_carry_what_we_need() -> None:
    support = codec_support()
    assert list(support) == [
        *(f"decode {name}" for name in ("h264", "hevc", "vp9", "av1", "aac")),
        *(f"encode {name}" for name in ("h264", "aac")),
    ]
    assert all(support.values())


def test_a_build_without_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    real = av.codec.Codec

    def without_x264(name: str, mode: str) -> object:
        return real("no such codec" if name == "libx264" else name, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(av.codec, "Codec", without_x264)
    support = codec_support()
    assert support.pop("encode h264") is False
    assert all(support.values())
