"""Hold a stack's workers still, to look at a video that is half done for as long as it takes."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.harness.stack import Stack
from tests.harness.waiting import eventually

_BEGUN = frozenset({"playable", "ready", "failed"})


@asynccontextmanager
async def in_the_making(stack: Stack, video_id: str) -> AsyncIterator[None]:
    """Hold all workers once the video can be played, and before it is ready."""

    async def begun() -> str | None:
        status = str((await stack.video(video_id))["status"])
        return status if status in _BEGUN else None

    assert await eventually(begun, what="there is something to play", deadline_s=120) == "playable"
    with workers_held(stack):
        assert await begun() == "playable", "processed faster than it could be held"
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
