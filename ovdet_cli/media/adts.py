"""AAC as transport streams have it, a header before each packet, -> AAC as MP4 has it, one description for all.

libav's own filter would do it, but FFmpeg does not call it for files whose header is written late.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class AdtsHeader:
    """What an ADTS header says of its packet (ISO/IEC 14496-3, 1.A.2.2)."""

    length: int
    """Bytes of the header itself."""
    object_type: int
    rate_index: int
    channels: int

    @property
    def config(self) -> bytes:
        """The AudioSpecificConfig that stands for it in MP4 (ISO/IEC 14496-3, 1.6.2.1)."""
        return ((self.object_type << 11) | (self.rate_index << 7) | (self.channels << 3)).to_bytes(2, "big")


def read_adts(data: bytes) -> AdtsHeader | None:
    """The header at the beginning of a packet; None where there is none, or one that MP4 has no words for."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    has_checksum = not data[1] & 1
    channels = (data[2] & 1) << 2 | data[3] >> 6
    num_blocks = (data[6] & 3) + 1
    if not channels or num_blocks > 1:
        return None
    return AdtsHeader(9 if has_checksum else 7, (data[2] >> 6) + 1, data[2] >> 2 & 15, channels)
