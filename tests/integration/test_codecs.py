"""Every codec in pieces: as exact as in one run, and each segment can be decoded by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.transcoder.encode import PieceJob, encode_piece
from services.transcoder.ladder import Ladder, Rungs
from services.transcoder.probe import probe
from services.transcoder.timeline import make_plan
from tests.harness.media import Collector, Transcoded, decoded_frames, packets, transcode, whole
from tests.harness.sources import Recipe

SOURCE = Recipe(name="all_codecs", duration_s=14, rate="24")
CODECS = {"h264": "avc1.64", "hevc": "hvc1.1.6.L", "vp9": "vp09.00.", "av1": "av01.0."}
LADDER = Ladder(codec=tuple(Rungs(profile=name, lines=(90,)) for name in CODECS))
SEGMENT_FRAMES = 96


@pytest.fixture(scope="module")
async def done(source_folder: Path) -> Transcoded:
    return await transcode(SOURCE.make(source_folder), LADDER)


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def track_of(done: Transcoded, codec: str) -> str:
    return next(r.name for r in done.plan.renditions if r.encoding.profile == codec)


def test_each_codec_has_a_track_of_its_own(done):
    assert [rendition.name for rendition in done.plan.renditions] == ["90p", "90p-hevc", "90p-vp9", "90p-av1"]


def test_every_frame_is_there_and_in_its_place(done, codec, tmp_path):
    path = done.collector.write(track_of(done, codec), tmp_path / "track.mp4")
    ticks = done.plan.timescale * done.plan.fps.den // done.plan.fps.num
    assert decoded_frames(path) == done.frames == 24 * SOURCE.duration_s
    found = packets(path)
    assert sorted(packet["pts"] for packet in found) == [frame * ticks for frame in range(done.frames)]
    keys = [packet["pts"] // ticks for packet in found if packet["flags"].startswith("K")]
    assert keys == list(range(0, done.frames, SEGMENT_FRAMES))


def test_each_segment_can_be_decoded_without_the_others(done, codec, tmp_path):
    track = track_of(done, codec)
    frames = []
    for number in done.collector.numbers(track):
        alone = Collector(
            inits=done.collector.inits, segments={(track, number): done.collector.segments[track, number]}
        )
        frames.append(decoded_frames(alone.write(track, tmp_path / f"{number}.mp4")))
    assert frames == [SEGMENT_FRAMES] * 3 + [done.frames - 3 * SEGMENT_FRAMES]


def test_all_pieces_agree_on_the_codec_and_on_how_to_decode_it(done, codec):
    track = track_of(done, codec)
    results = [task.result.tracks[track] for task in done.tasks if track in task.result.tracks]
    assert len(results) > 1
    assert len({result.init_sha256 for result in results}) == 1
    assert {result.codec for result in results} == {results[0].codec}
    assert results[0].codec.startswith(CODECS[codec])


async def test_pieces_are_decoded_as_the_whole_is(done):
    """The same initialisation segment, the same number of frames, and about as many bytes."""
    info = await probe(done.source)
    plan = make_plan(info, generation=1, encoder="test", ladder=LADDER)
    names = tuple(rendition.name for rendition in plan.renditions)
    piece = whole(plan).model_copy(update={"renditions": names})
    single = Collector()
    encoded = await encode_piece(PieceJob(source=done.source, plan=plan, piece=piece), single)
    assert encoded.frames == done.frames
    assert single.inits == done.collector.inits
    for name in names:
        sizes = [
            sum(len(data) for (track, _), data in made.segments.items() if track == name)
            for made in (done.collector, single)
        ]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


async def test_a_piece_made_twice_has_the_same_bytes(done):
    """What is sent again after a crash must be what is in the ring already."""
    task = next(task for task in reversed(done.tasks) if task.piece)
    assert task.piece is not None
    again = Collector()
    await encode_piece(PieceJob(source=done.source, plan=done.plan, piece=task.piece), again)
    assert len({track for track, _ in again.segments}) == len(CODECS)
    assert again.segments.items() <= done.collector.segments.items()
