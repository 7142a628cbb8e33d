"""Somebody watches a video in real Chromium while a process is killed: it goes on to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.numbered import LONG
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Playback, Viewer
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

PROCESSES = ("web-1", "storage-1", "storage-2", "storage-3", "transcoder-1", "rabbitmq", "etcd-1", "etcd-2")
FROM_HAND_TO_MOUTH = "tritontube.player.shaka.configure({ streaming: { bufferingGoal: 4 } })"


@pytest_asyncio.fixture
async def video(stack: Stack, source_folder: Path) -> Json:
    """A video that nobody has watched yet: nothing of it is in a cache."""
    uploaded = await stack.upload(LONG.recipe.make(source_folder))
    return await stack.wait_status(uploaded["id"], "ready")


def has_begun(now: Playback) -> bool:
    return now.position_s > 0.2


@pytest.mark.parametrize("name", PROCESSES)
async def test_killing_any_process_does_not_stop_the_viewer(
    stack: Stack, visitor: Viewer, video: Json, name: str
) -> None:
    visitor.expect("ERR_", "status of 50")
    await visitor.open(video["links"]["watch"])
    await eventually(lambda: visitor.page.evaluate("tritontube.player.loaded"), what="the player is there")
    await visitor.page.evaluate(FROM_HAND_TO_MOUTH)
    begun = await visitor.until(has_begun, what="it plays")
    killed = stack.kill(name)
    assert begun.buffered[-1][1] < LONG.duration_s / 2, "too much had been fetched before"
    done = await visitor.until(lambda now: now.ended, what=f"it plays to its end without {name}")
    assert done.position_s == pytest.approx(LONG.duration_s, abs=1e-5)
    assert not await visitor.page.locator("#notice").is_visible()
    await stack.wait_restarted(name, killed)
