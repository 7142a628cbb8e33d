"""Hold a stack's workers still, to look at a video that is half done for as long as it takes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx

from services.shared.filenames import segment_file
from tests.harness.plain_http import NO_TLS
from tests.harness.stack import Json, Stack
from tests.harness.waiting import DeadlineError, eventually

_BEGUN = frozenset({"playable", "ready", "failed"})


@asynccontextmanager
async def in_the_making(stack: Stack, video_id: str) -> AsyncIterator[None]:
    """Hold all workers once every track of the video has begun, and before it is ready.

    Raises:
        DeadlineError: it was processed before the workers could be held.
    """

    async def begun() -> Json | None:
        video = await stack.video(video_id)
        return video if video["status"] in _BEGUN else None

    video = await eventually(begun, what="there is something to play", deadline_s=120)
    highest = video["renditions"][-1]["name"]
    await asyncio.to_thread(_fetch, stack, f"/content/{video_id}/{segment_file(highest, 0, 0)}")
    with workers_held(stack):
        found = await begun()
        assert found is not None
        assert found["status"] != "failed", found
        if found["status"] == "ready":
            raise DeadlineError("processed faster than it could be held")
        yield


@contextmanager
def workers_held(stack: Stack) -> Iterator[None]:
    """No worker does anything meanwhile; the launcher does not mind."""
    workers = [name for name in stack.children if name.startswith("transcoder")]
    for name in workers:
        stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in workers:
            stack.kill(name, signal.SIGCONT)


def _fetch(stack: Stack, path: str) -> None:
    """Get a file; of a track that players are told of already, the server waits until it is there."""
    httpx.get(stack.endpoints.web + path, trust_env=False, timeout=60.0, verify=NO_TLS).raise_for_status()
