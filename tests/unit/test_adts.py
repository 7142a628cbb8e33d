"""Whether AAC changes its form, frame by frame."""

from __future__ import annotations

import pytest

from services.transcoder.adts import AdtsScan

_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100)


def frame(*, rate_hz: int = 48_000, channels: int = 2, payload: bytes = bytes(40)) -> bytes:
    """A frame with a header as ISO/IEC 13818-7 has it, without a checksum."""
    fields = [(0xFFF, 12), (0b0001, 4), (1, 2), (_RATES_HZ.index(rate_hz), 4), (0, 1), (channels, 3), (0, 4)]
    bits = 0
    for value, width in [*fields, (7 + len(payload), 13), (0x7FF, 11), (0, 2)]:
        bits = bits << width | value
    return bits.to_bytes(7) + payload


STEREO, SURROUND, SLOW = frame(), frame(channels=6), frame(rate_hz=44_100)


def varies(stream: bytes, *, chunk_bytes: int = 1000) -> bool:
    scan = AdtsScan()
    for start in range(0, len(stream), chunk_bytes):
        scan.feed(stream[start : start + chunk_bytes])
    return scan.varies


@pytest.mark.parametrize("chunk_bytes", [1, 10, 46, 1000])
def test_another_number_of_channels_or_another_rate_is_noticed_wherever_chunks_end(chunk_bytes: int):
    assert not varies(STEREO * 5, chunk_bytes=chunk_bytes)
    assert varies(STEREO * 3 + SURROUND * 2, chunk_bytes=chunk_bytes)
    assert varies(SLOW * 3 + STEREO * 2, chunk_bytes=chunk_bytes)


def test_what_is_damaged_is_passed_over():
    assert not varies(STEREO * 2 + bytes(99) + STEREO[5:] + STEREO * 3)
    assert not varies(STEREO * 2 + SURROUND + STEREO * 2)
    assert not varies(b"\xff" * 500 + STEREO[:3])
    assert varies(STEREO + bytes(99) + SURROUND * 2)


def test_there_may_be_no_frame_at_all():
    assert not varies(b"")
