"""Hostile files on a whole stack: each fails for a reason that people understand, and no worker notices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.harness.hostile import lists, media, trap
from tests.harness.sources import Recipe
from tests.harness.stack import Stack

pytestmark = pytest.mark.timeout(600)

LISTS = ("hls_http", "concat_relative", "dash_file")
NO_TEXT = b"\n\0\xff"
"""Text is turned away at the door already."""
WICKED = {
    "playlist_as_captions.avi": "no video stream",
    "huge_picture.mov": "can be decoded",
    "many_streams.mkv": "more than 32 streams",
    "time_bomb.mkv": "has only 6 pictures",
    "boxes_in_boxes.mp4": "not a video file",
}


def workers(stack: Stack) -> dict[str, tuple[int | None, int]]:
    return {
        name: (child.pid, child.restarts)
        for name, child in stack.children.items()
        if name.startswith("transcoder")
    }


async def refused(stack: Stack, file: Path, reason: str) -> str:
    """Upload what has to fail; its id."""
    video = await stack.upload(file, title=f"hostile {file.name}")
    found = await stack.wait_status(video["id"], "failed", deadline_s=180)
    assert reason in found["reason"], (file.name, found["reason"])
    return str(video["id"])


async def test_hostile_uploads_fail_with_a_reason_and_touch_nothing_and_no_worker(stack: Stack, tmp_path):
    before = workers(stack)
    with trap(tmp_path) as laid:
        wicked = await asyncio.to_thread(media, laid, tmp_path)
        files = {wicked[name]: reason for name, reason in WICKED.items()}
        for name in LISTS:
            path = tmp_path / f"{name}.mp4"
            path.write_bytes(lists(laid)[name].encode() + NO_TEXT)
            files[path] = "not a"
        ids = await asyncio.gather(*(refused(stack, path, reason) for path, reason in files.items()))
        assert not laid.sprung()
        clip = await stack.upload(Recipe(name="harmless", duration_s=2).make(tmp_path), title="harmless")
        await stack.wait_status(clip["id"], "ready", deadline_s=180)
    assert workers(stack) == before
    async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False, timeout=60) as http:
        for video_id in (*ids, clip["id"]):
            (await http.delete(f"/api/videos/{video_id}")).raise_for_status()
