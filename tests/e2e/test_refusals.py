"""What cannot be played is refused within seconds, and everybody is told why in plain words."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.harness.jobs import Works, works
from tests.harness.sources import Recipe, ffmpeg
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Viewer
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(600)

SOON_S = 60
"""Seconds, on a machine that has nothing else to do."""

_KEYS = (
    "-encryption_key",
    "76a6c65c5ea762046bd749a2e632ccbb",
    "-encryption_kid",
    "a7e61c373e219033c21091fa607bf3b8",
)

_DURATION = bytes.fromhex("448988")
"""Matroska's element, and that it is a float of 8 bytes: milliseconds."""


def songs_and_worse(folder: Path) -> dict[Path, str]:
    """Files, and what is said about each."""
    film = Recipe(name="film", duration_s=2).make(folder)
    song, protected, noise = (folder / name for name in ("song.m4a", "protected.mp4", "noise.mp4"))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2", str(song))
    ffmpeg("-i", str(film), "-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *_KEYS, str(protected))
    data = bytearray(film.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    noise.write_bytes(data)
    return {
        song: "The file has sound, but no video.",
        protected: "The video is encrypted (copy protection), so it cannot be decoded.",
        noise: "None of the file's pictures can be decoded.",
    }


def endless(folder: Path) -> Path:
    """A minute, says its header, of pictures at a steady rate; after 20 s one is shown for 30 hours."""
    path = folder / "endless.mkv"
    jump = "setpts=if(lt(N\\,500)\\,PTS\\,PTS+108000/TB)"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=22", "-vf", jump),
        *("-fps_mode", "passthrough", "-enc_time_base", "1:25", "-c:v", "libx264", "-g", "50", str(path)),
    )
    data = bytearray(path.read_bytes())
    told = data.index(_DURATION) + len(_DURATION)
    data[told : told + 8] = struct.pack(">d", 60_000.0)
    path.write_bytes(data)
    return path


async def refused(stack: Stack, path: Path, reason: str) -> Json:
    """Upload what has to be refused, and see that the interface for programs tells why."""
    uploaded = await stack.upload(path, title=f"refused {path.name}")
    video = await stack.wait_status(uploaded["id"], "failed", deadline_s=SOON_S)
    assert video["reason"] == reason
    return video


async def check_pages(visitor: Viewer, video: Json) -> None:
    """People see it where they would have watched it, and in the library."""
    await visitor.open(video["links"]["watch"])
    await expect(visitor.page.locator("#failure")).to_contain_text(video["reason"])
    await visitor.open("/")
    await expect(visitor.page.locator(f"#video-{video['id']}")).to_contain_text(video["reason"])


async def check_letters(behind: Works, videos: Sequence[Json]) -> None:
    """Operators see it in the broker's own interface, soon after the video has failed."""

    async def told() -> dict[str, Json] | None:
        letters = [letter["properties"] for letter in await behind.letters("dead.transcode.first")]
        found = {properties["correlation_id"]: properties["headers"] for properties in letters}
        return found if all(video["id"] in found for video in videos) else None

    headers = await eventually(told, deadline_s=SOON_S, what="each refusal has left a dead letter")
    for video in videos:
        assert headers[video["id"]]["x-error"] == video["reason"]
        assert headers[video["id"]]["x-video-title"] == video["title"]


async def test_a_refusal_is_told_in_the_api_on_the_pages_and_in_the_brokers_own_interface(
    stack: Stack, visitor: Viewer, tmp_path: Path
):
    files = await asyncio.to_thread(songs_and_worse, tmp_path)
    videos = await asyncio.gather(*(refused(stack, path, reason) for path, reason in files.items()))
    for video in videos:
        await check_pages(visitor, video)
    async with works(stack) as behind:
        await check_letters(behind, videos)


async def test_what_turns_out_to_be_a_trap_once_it_plays_is_refused_like_any_other(
    stack: Stack, visitor: Viewer, tmp_path: Path
):
    path = await asyncio.to_thread(endless, tmp_path)
    video = await refused(stack, path, "The video claims to last 30.0 hours; 24 are allowed.")
    assert (video["duration_s"], video["frames"], video["renditions"]) == (None, None, [])
    await visitor.open(video["links"]["watch"])
    await expect(visitor.page.locator("#duration")).to_be_hidden()
    async with works(stack) as behind:
        await check_letters(behind, [video])
