"""Movies that are put together from segments: which bytes come from where, and what their head says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.boxes import boxes, find_inside, inside, uint
from services.shared.errors import CorruptFileError
from services.web.download.containers import suffix_of
from services.web.download.movie import Movie, MovieBuilder
from services.web.download.samples import HEAD_BYTES, samples_of
from services.web.download.tracks import TrackHead
from services.web.ranges import ByteRange
from tests.harness.segments import Sample, init_segment, media_segment

VIDEO_TICKS = 12_800
FRAME = 512
PICTURES = [
    [Sample(data=b"picture-%d-%d" % (segment, n), offset=(n % 3) * FRAME) for n in range(100)]
    for segment in range(3)
]
SOUNDS = [[Sample(data=b"sound-%d-%d" % (segment, n)) for n in range(188)] for segment in range(3)]
FILES = {
    **{f"v{n}": media_segment(samples) for n, samples in enumerate(PICTURES)},
    **{f"a{n}": media_segment(samples, default_duration=1024) for n, samples in enumerate(SOUNDS)},
}


def built(*sounds: TrackHead) -> Movie:
    heads = [TrackHead(init=init_segment(timescale=VIDEO_TICKS, media_start=FRAME)), *sounds]
    builder = MovieBuilder(heads)
    for track, letter in enumerate("vab"[: len(heads)]):
        for number in range(3):
            file = f"{'a' if letter == 'b' else letter}{number}"
            builder.add(track, file, samples_of(FILES[file][:HEAD_BYTES]))
    return builder.movie()


def sound(**changes: object) -> TrackHead:
    given: dict[str, object] = {
        "init": init_segment(timescale=48_000, sound=True, media_start=1024),
        "language": "de",
        "title": "Deutsch",
        "longest_ticks": 576_000,
        **changes,
    }
    return TrackHead(**given)  # type: ignore[arg-type]


MOVIE = built(sound())


def read(movie: Movie, start: int, end: int) -> bytes:
    found = b""
    for part in movie.parts(ByteRange(start=start, end=end)):
        found += part if isinstance(part, bytes) else FILES[part.file][part.wanted.start : part.wanted.end]
    return found


WHOLE = read(MOVIE, 0, MOVIE.size_bytes)


def trak(movie: Movie, number: int) -> bytes:
    moov = inside(movie.head, b"moov")
    return [content for kind, content in boxes(moov) if kind == b"trak"][number]


def table(movie: Movie, number: int, kind: bytes) -> bytes:
    return inside(trak(movie, number), b"mdia", b"minf", b"stbl", kind)


def numbers(content: bytes, *, skip: int = 8, form: str = "I") -> list[int]:
    size = struct.calcsize(form)
    return list(struct.unpack(f">{(len(content) - skip) // size}{form}", content[skip:]))


def test_a_movie_is_as_long_as_it_says():
    assert len(WHOLE) == MOVIE.size_bytes
    assert [kind for kind, _ in boxes(WHOLE)] == [b"ftyp", b"moov", b"mdat"]


@given(st.data())
def test_any_range_of_a_movie_is_that_part_of_it(data: st.DataObject):
    start = data.draw(st.integers(0, MOVIE.size_bytes - 1))
    end = data.draw(st.integers(start + 1, MOVIE.size_bytes))
    assert read(MOVIE, start, end) == WHOLE[start:end]


def test_the_samples_are_where_the_tables_say():
    for track, segments in enumerate((PICTURES, SOUNDS)):
        offsets = numbers(table(MOVIE, track, b"co64"), form="Q")
        sizes = numbers(table(MOVIE, track, b"stsz"), skip=12)
        assert sizes == [len(sample.data) for samples in segments for sample in samples]
        for offset, samples in zip(offsets, segments, strict=True):
            expected = b"".join(sample.data for sample in samples)
            assert WHOLE[offset : offset + len(expected)] == expected


def test_segments_stand_in_the_order_of_their_time():
    parts = [
        part for part in MOVIE.parts(ByteRange(start=0, end=MOVIE.size_bytes)) if not isinstance(part, bytes)
    ]
    assert [part.file for part in parts] == ["v0", "a0", "v1", "a1", "v2", "a2"]


def test_every_segment_begins_with_a_key_frame_and_sound_needs_none():
    assert numbers(table(MOVIE, 0, b"stss")) == [1, 101, 201]
    assert find_inside(trak(MOVIE, 1), b"mdia", b"minf", b"stbl", b"stss") is None


def test_durations_are_exact_without_the_encoders_run_up_and_fill():
    scale = uint(inside(MOVIE.head, b"moov", b"mvhd"), 20)
    edits = [inside(trak(MOVIE, n), b"edts", b"elst") for n in (0, 1)]
    assert [uint(edit, 8, 8) for edit in edits] == [12 * scale, 12 * scale]
    assert [uint(edit, 16, 8) for edit in edits] == [FRAME, 1024]
    assert uint(inside(MOVIE.head, b"moov", b"mvhd"), 24, 8) == 12 * scale


def test_sound_tracks_have_their_language_and_title_and_the_first_one_is_on():
    movie = built(sound(), sound(language="pt-BR", title="Português"))
    tkhd = [inside(trak(movie, n), b"tkhd") for n in range(3)]
    assert [header[3] for header in tkhd] == [3, 3, 2]
    languages = [inside(trak(movie, n), b"mdia", b"elng") for n in (1, 2)]
    assert [said[4:] for said in languages] == [b"de\0", b"pt-BR\0"]
    assert inside(trak(movie, 2), b"mdia", b"hdlr").endswith("Português\0".encode())
    code = uint(inside(trak(movie, 1), b"mdia", b"mdhd"), 32, 2)
    assert "".join(chr((code >> shift & 31) + 0x60) for shift in (10, 5, 0)) == "deu"


def test_a_last_segment_may_list_each_duration():
    samples = [Sample(data=b"x", duration=700), Sample(data=b"yz")]
    found = samples_of(media_segment(samples, default_duration=500, before=b"\0\0\0\x0cstyptest"))
    assert list(found.durations) == [700, 500]
    assert list(found.sizes) == [1, 2]


def test_pictures_may_be_shown_before_they_are_due():
    found = samples_of(media_segment([Sample(data=b"x", offset=-512)]))
    assert list(found.offsets) == [-512]


@pytest.mark.parametrize("cut", [0, 7, 40, 100])
def test_what_is_no_segment_is_called_damaged(cut):
    with pytest.raises(CorruptFileError):
        samples_of(FILES["v0"][:cut])


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\0\0\0\x18ftypisom", ".mp4"),
        (b"\0\0\0\x18ftypqt  ", ".mov"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x84webm", ".webm"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23\x42\x82\x88matroska", ".mkv"),
        (b"RIFF\0\0\0\0AVI LIST", ".avi"),
        ((b"G" + bytes(187)) * 5, ".ts"),
        ((bytes(4) + b"G" + bytes(187)) * 5, ".m2ts"),
        (b"FLV\x01", ".flv"),
        (b"something else", ""),
        (b"", ""),
    ],
)
def test_an_original_gets_the_suffix_that_fits_its_content(head, suffix):
    assert suffix_of(head) == suffix
