"""What this machine's ffmpeg can encode, and how it says what it cannot."""

from __future__ import annotations

import asyncio
import os
import re
import sys

import pytest

from services.shared.catalog import WorkBook
from services.shared.errors import ForeignEncoderError
from services.transcoder.encoders import Encoders, fits
from services.transcoder.ladder import ladder_of
from services.transcoder.profiles import PROFILES
from tests.harness.media import planned
from tests.harness.sources import BIKES

SOFTWARE = {
    "h264": r"x264 core \d+ .*",
    "hevc": r"x265 \d+\.\d+\S*",
    "vp9": r"libvpx \d+\.\d+\S*",
    "av1": r"SVT-AV1 \d+\.\d+\S*",
}
CODECS = {"h264": "avc1.64", "hevc": "hvc1.1.6.L", "vp9": "vp09.00.", "av1": "av01.0."}
HARDWARE = [name for name in PROFILES if name not in SOFTWARE]
START_S = 60.0


@pytest.fixture(scope="module")
async def encoders() -> Encoders:
    return await Encoders.find()


@pytest.mark.parametrize("name", SOFTWARE)
async def test_every_build_has_a_name_that_stays_the_same(encoders, name):
    identity = await encoders.identity([name])
    assert re.fullmatch(rf"ffmpeg \d\S+, {SOFTWARE[name]}", identity)
    assert identity == await (await Encoders.find()).identity([name])


async def test_an_identity_names_each_build_once_in_whatever_order_they_are_asked_for(encoders):
    both = await encoders.identity(["vp9", "h264", "vp9"])
    assert both == await encoders.identity(["h264", "vp9"])
    assert fits(await encoders.identity(["vp9"]), both)
    assert not fits(both, await encoders.identity(["vp9"]))


async def test_a_worker_takes_what_its_builds_fit_to(encoders):
    planned_for = await encoders.identity(["h264", "av1"])
    await encoders.check(planned_for, ["av1"])
    await encoders.check(planned_for, [])
    with pytest.raises(ForeignEncoderError) as caught:
        await encoders.check(planned_for.replace("x264 core", "x264 core 99"), ["h264", "av1"])
    assert "core 99" in caught.value.detail


async def test_workers_let_each_other_know_what_they_encode_with(etcd_client):
    book = WorkBook(etcd_client)
    async with etcd_client.lease(60) as lease:
        await book.announce_worker("here", encoder="ffmpeg 5, x264 1", lease_id=lease.id)
        await book.announce_worker("there", encoder="ffmpeg 5, SVT-AV1 2, x264 1", lease_id=lease.id)
        offers = await book.encoders()
    assert [fits("ffmpeg 5, SVT-AV1 2", offered) for offered in offers] == [False, True]
    assert await book.encoders() == []


async def test_codecs_are_announced_before_anything_is_encoded(encoders):
    _, plan, _ = await planned(BIKES, ladder_of(tuple(CODECS)))
    for rendition in await encoders.announced(plan.renditions):
        assert rendition.codec.startswith(CODECS[rendition.encoding.profile])


async def skip_if_there(encoders: Encoders, name: str) -> None:
    try:
        await encoders.identity([name])
    except ForeignEncoderError:
        return
    pytest.skip("this machine has it")


@pytest.mark.parametrize("name", HARDWARE)
async def test_missing_hardware_is_named(encoders, name):
    await skip_if_there(encoders, name)
    with pytest.raises(ForeignEncoderError, match=f"{name} cannot be encoded here: .*[a-z]{{3}}") as caught:
        await encoders.identity([name])
    assert caught.value.detail


@pytest.mark.parametrize(
    ("ladder", "complaint"),
    [
        ("h264,divx", "There is no codec profile 'divx'"),
        ("/nowhere.toml", "No such file or directory: '/nowhere.toml'"),
        (HARDWARE[0], f"{HARDWARE[0]} cannot be encoded here"),
    ],
)
async def test_a_worker_that_cannot_encode_its_ladder_says_so_and_does_not_start(encoders, ladder, complaint):
    if ladder in HARDWARE:
        await skip_if_there(encoders, ladder)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.transcoder", "--ladder", ladder),
        env={**os.environ, "TRITONTUBE_ETCD_ENDPOINTS": "127.0.0.1:9"},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(START_S):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert complaint in said.decode()
