"""A track on its way out of an encoder: what is not as planned goes no further."""

from __future__ import annotations

import pytest

from services.transcoder.process import Chunks
from services.transcoder.track import MismatchError, Shape, Track
from tests.harness.boxes import segment
from tests.harness.media import Collector

PIECE = Shape(first=2, count=2, samples=100, ticks=51_200)
END = Shape(first=2, count=None, samples=100, ticks=51_200)

GOOD = segment(begins=102_400, frames=100, ticks=512)
NEXT = segment(begins=153_600, frames=100, ticks=512)


async def passed_on(shape: Shape, *segments: bytes) -> list[int]:
    """Numbers of the segments that go through."""
    sink = Collector()

    async def chunks() -> Chunks:
        for data in segments:
            yield data

    await Track("240p", shape, sink).consume(chunks())
    return sink.numbers("240p")


async def test_segments_that_join_go_through():
    assert await passed_on(PIECE, GOOD, NEXT) == [2, 3]
    assert await passed_on(END, GOOD, NEXT) == [2, 3]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (segment(begins=102_399, frames=100, ticks=512), "begins at 102399"),
        (segment(begins=102_400, frames=99, ticks=512), "99 frames, not 100"),
        (segment(begins=102_400, frames=101, ticks=512), "101 frames, not 100"),
        (segment(begins=102_400, frames=100, ticks=511), "lasts 51100 ticks, not 51200"),
        (segment(begins=102_400, frames=100, ticks=513), "lasts 51300 ticks, not 51200"),
    ],
)
async def test_a_segment_that_leaves_a_gap_or_overlaps_goes_no_further(wrong: bytes, why: str):
    with pytest.raises(MismatchError, match=why):
        await passed_on(PIECE, wrong)


async def test_the_end_may_be_short_but_only_the_end():
    short = segment(begins=102_400, frames=37, ticks=512)
    cut = segment(begins=102_400, frames=100, ticks=510)
    assert await passed_on(END, short) == [2]
    assert await passed_on(END, cut) == [2]
    with pytest.raises(MismatchError, match="the one before was too short"):
        await passed_on(END, short, NEXT)
    with pytest.raises(MismatchError, match="the one before lasts 51000 ticks"):
        await passed_on(END, cut, NEXT)
