from __future__ import annotations

import struct

import pytest

from services.shared.errors import InvalidRequestError
from services.transcoder.fragments import FragmentParser, InitSegment, MediaSegment

AVCC = bytes.fromhex("0164001f") + b"rest"


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def moov(entry: bytes, *, timescale: int = 12_800, version: int = 0) -> bytes:
    times = bytes(16 if version else 8)
    mdhd = box(b"mdhd", bytes([version, 0, 0, 0]), times, struct.pack(">II", timescale, 0))
    stsd = box(b"stsd", bytes(4), struct.pack(">I", 1), entry)
    return box(b"moov", box(b"trak", box(b"mdia", mdhd, box(b"minf", box(b"stbl", stsd)))))


def moof(decode_time: int, durations: list[int], *, default: int | None = None) -> bytes:
    flags = 0x000201 if default is not None else 0x000301
    samples = [struct.pack(">I", 7) if default is not None else struct.pack(">II", d, 7) for d in durations]
    trun = box(b"trun", struct.pack(">III", flags, len(durations), 99), *samples)
    tfhd_fields = struct.pack(">I", default) if default is not None else b""
    tfhd = box(b"tfhd", struct.pack(">II", 0x000008 if default is not None else 0, 1), tfhd_fields)
    tfdt = box(b"tfdt", struct.pack(">IQ", 1 << 24, decode_time))
    return box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", tfhd, tfdt, trun))


VIDEO = box(b"ftyp", b"iso5") + moov(box(b"avc1", bytes(78), box(b"avcC", AVCC)))
AUDIO = box(b"ftyp", b"iso5") + moov(box(b"mp4a", bytes(28), box(b"esds", bytes(9))), timescale=48_000)
FIRST = moof(0, [512, 512, 512]) + box(b"mdat", b"x" * 30)
SECOND = box(b"styp", b"msdh") + moof(1536, [512, 100]) + box(b"mdat", b"y" * 9)


def parsed(data: bytes) -> list[InitSegment | MediaSegment]:
    parser = FragmentParser()
    items = list(parser.feed(data))
    parser.close()
    return items


def test_the_initialisation_segment_tells_timescale_and_codec():
    assert parsed(VIDEO) == [InitSegment(data=VIDEO, timescale=12_800, codec="avc1.64001f")]
    assert parsed(AUDIO) == [InitSegment(data=AUDIO, timescale=48_000, codec="mp4a.40.2")]


def test_long_times_in_the_media_header_are_understood():
    data = moov(box(b"mp4a", bytes(28)), timescale=90_000, version=1)
    assert parsed(data) == [InitSegment(data=data, timescale=90_000, codec="mp4a.40.2")]


def test_each_fragment_becomes_a_segment_with_its_times():
    _, first, second = parsed(VIDEO + FIRST + SECOND)
    assert first == MediaSegment(data=FIRST, decode_time=0, samples=3, duration=1536)
    assert second == MediaSegment(data=SECOND, decode_time=1536, samples=2, duration=612)


def test_a_default_duration_counts_for_every_sample():
    data = moof(7, [0, 0, 0, 0], default=1024) + box(b"mdat")
    assert parsed(data) == [MediaSegment(data=data, decode_time=7, samples=4, duration=4096)]


def test_a_box_with_a_long_size_is_read():
    mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + 3) + b"abc"
    (segment,) = parsed(moof(0, [1]) + mdat)
    assert segment.data.endswith(b"abc")


def test_a_segment_comes_out_with_its_last_byte():
    parser = FragmentParser()
    assert list(parser.feed(FIRST[:-1])) == []
    assert [item.data for item in parser.feed(FIRST[-1:])] == [FIRST]


@pytest.mark.parametrize("cut", [3, 11, len(FIRST) - 1])
def test_a_stream_that_ends_within_a_segment_is_refused(cut):
    parser = FragmentParser()
    assert list(parser.feed(FIRST[:cut])) == []
    with pytest.raises(InvalidRequestError, match="middle of a segment"):
        parser.close()


def test_an_absurd_box_size_is_refused_before_it_fills_the_memory():
    parser = FragmentParser(max_box_bytes=1000)
    with pytest.raises(InvalidRequestError, match="claims"):
        list(parser.feed(struct.pack(">I4s", 1001, b"mdat")))


@pytest.mark.parametrize(
    "data",
    [
        moov(box(b"hev1", bytes(78))),
        box(b"moov", box(b"trak")),
        box(b"moof", box(b"traf", box(b"tfhd", bytes(8)))) + box(b"mdat"),
        struct.pack(">I4s", 4, b"moov"),
    ],
)
def test_what_is_not_a_track_of_ours_is_refused(data):
    with pytest.raises(InvalidRequestError):
        parsed(data)
