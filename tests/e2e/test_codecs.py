"""A video in two codecs, through the whole stack: made, named, listed, served, taken away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest_asyncio

from tests.harness.media import decoded_frames, run
from tests.harness.playback import download, representations
from tests.harness.sources import Recipe
from tests.harness.stack import Json, Stack

LARGE = Recipe(name="large", size="1008x1008", rate="5", duration_s=9)
FRAMES = 45
AV1 = "1008p-av1"


@pytest_asyncio.fixture(scope="module")
async def video(stack: Stack, source_folder: Path) -> Json:
    uploaded = await stack.upload(LARGE.make(source_folder))
    return await stack.wait_status(uploaded["id"], "ready", deadline_s=240)


def test_the_video_says_in_what_it_can_be_had(video):
    codecs = {rendition["name"]: rendition["codec"].partition(".")[0] for rendition in video["renditions"]}
    assert codecs == {**dict.fromkeys(("240p", "360p", "480p", "720p", "1008p"), "avc1"), AV1: "av01"}


async def test_every_segment_of_both_codecs_is_served(stack, video, tmp_path):
    address = stack.endpoints.web + video["links"]["manifest"]
    async with httpx.AsyncClient() as client:
        manifest = (await client.get(address)).content
        for track in representations(manifest, address):
            if track.id in {"1008p", AV1}:
                path = await download(client, track, tmp_path / f"{track.id}.mp4")
                assert await asyncio.to_thread(decoded_frames, path) == FRAMES
        assert {AV1, "1008p"} <= {track.id for track in representations(manifest, address)}


async def test_hls_lists_both_codecs_with_their_names(stack, video):
    async with httpx.AsyncClient(base_url=stack.endpoints.web) as client:
        master = (await client.get(video["links"]["hls"])).text
    assert 'CODECS="av01.0.' in master
    assert f"\n{AV1}.m3u8" in master


async def test_a_rendition_in_av1_can_be_taken_away_as_one_file(stack, video):
    link = next(rendition["download"] for rendition in video["renditions"] if rendition["name"] == AV1)
    address = stack.endpoints.web + link
    query = ("-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0")
    said = await asyncio.to_thread(run, ["ffprobe", "-v", "error", *query, address])
    assert said.decode().strip() == f"av1,{FRAMES}"
