"""The level planned for H.264 is the one that x264 would have chosen, but for the smallest pictures."""

from __future__ import annotations

import pytest

from services.shared.plan import Rational
from services.shared.tracks import Rendition
from services.transcoder import command
from services.transcoder.encoders import Encoders
from services.transcoder.fragments import FragmentParser, InitSegment
from services.transcoder.ladder import H264, Ladder, Rungs
from tests.harness.media import run

EFFORTS = ("ultrafast", "superfast", "slow", "veryslow")


def rungs(width: int, height: int, rate: int, ladder: Ladder = H264) -> tuple[Rendition, ...]:
    return ladder.renditions(width=width, height=height, fps=Rational(num=rate, den=1))


def made(rung: Rendition, rate: int) -> str:
    """The codec of a few pictures."""
    first = next(FragmentParser().feed(run(command.encode_blank(rung, rate=rate))))
    assert isinstance(first, InitSegment)
    return first.codec


def left_to_x264(rung: Rendition) -> Rendition:
    return rung.model_copy(update={"encoding": rung.encoding.model_copy(update={"level": ""})})


@pytest.fixture(scope="module")
async def encoders() -> Encoders:
    return await Encoders.find()


@pytest.mark.parametrize(("width", "height"), [(128, 96), (160, 96), (16, 16)])
@pytest.mark.parametrize("rate", [10, 15])
async def test_pictures_however_small_have_a_level_that_browsers_know(encoders, width, height, rate):
    (rung,) = await encoders.announced(rungs(width, height, rate))
    assert made(left_to_x264(rung), rate) in {"avc1.640009", "avc1.64000a", "avc1.64000b"}
    assert made(rung, rate) == rung.codec == "avc1.64000b"


@pytest.mark.parametrize(
    ("width", "height", "rate"),
    [(1280, 720, 60), (720, 576, 50), (176, 144, 15), (2000, 64, 10)],
)
async def test_what_is_announced_is_what_x264_makes_of_it_and_would_have_made_by_itself(
    encoders, width, height, rate
):
    for rung in await encoders.announced(rungs(width, height, rate)):
        assert (rung.name, made(rung, rate)) == (rung.name, rung.codec)
        assert (rung.name, made(left_to_x264(rung), rate)) == (rung.name, rung.codec)


@pytest.mark.parametrize("preset", EFFORTS)
async def test_so_it_is_with_every_effort(encoders, preset):
    ladder = Ladder(codec=(Rungs(profile="h264", preset=preset, lines=(240, 480)),))
    for rung in await encoders.announced(rungs(854, 480, 25, ladder)):
        assert made(rung, 25) == made(left_to_x264(rung), 25) == rung.codec
