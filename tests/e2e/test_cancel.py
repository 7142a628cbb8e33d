"""Cancelling and deleting while workers are busy: the work stops at once, and nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.shared.messages import VideoEvent
from services.shared.video import Status
from tests.harness.jobs import Works, works
from tests.harness.sources import Recipe, x264
from tests.harness.stack import running_stack
from tests.harness.waiting import eventually, took_no_longer

pytestmark = pytest.mark.timeout(600)

_STOPPED_WITHIN_S = 2.0
_FILM = Recipe(
    name="long-film",
    size="854x480",
    rate="30",
    duration_s=32,
    sound="sine=440:beep_factor=4",
    video=x264("-g", "60"),
)


@pytest.fixture(scope="module")
def film(source_folder: Path) -> Path:
    return _FILM.make(source_folder)


@pytest_asyncio.fixture(scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Works]:
    """Behind the scenes of a stack with two workers."""
    folder = tmp_path_factory.mktemp("cancel") / "data"
    async with running_stack(folder, "--etcd-nodes", "1") as stack, works(stack) as behind:
        yield behind


async def call(behind: Works, method: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=behind.stack.endpoints.web, trust_env=False, timeout=30) as http:
        return await http.request(method, path)


async def uploaded(behind: Works, film: Path) -> dict[str, Any]:
    """A video that both workers are encoding."""
    video = await behind.stack.upload(film)
    await behind.busy(video["id"], workers=2)
    return video


async def assert_stops(behind: Works, since: float) -> None:
    await eventually(lambda: not behind.encoders, deadline_s=30, what="ffmpeg is gone everywhere")
    took_no_longer(monotonic() - since, _STOPPED_WITHIN_S, what="the work stops")
    await eventually(behind.idle, deadline_s=60, what="its messages are dropped")


async def test_cancelling_stops_all_workers_at_once_and_leaves_the_original_alone(behind: Works, film: Path):
    video = await uploaded(behind, film)
    answer = await call(behind, "POST", f"/api/videos/{video['id']}/cancel")
    since = monotonic()
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["reason"]) == ("failed", "Processing was cancelled.")
    await assert_stops(behind, since)
    await only_the_original_is_left(behind, video["id"])

    assert (await call(behind, "POST", f"/api/videos/{video['id']}/retry")).json()["status"] == "uploaded"
    await behind.busy(video["id"], workers=2)
    await late_news_stop_nobody(behind, video["id"])
    assert (await call(behind, "POST", f"/api/videos/{video['id']}/cancel")).status_code == 200
    await only_the_original_is_left(behind, video["id"])


async def late_news_stop_nobody(behind: Works, video_id: str) -> None:
    """The news that it was cancelled, when it has been started over already."""
    stopped = behind.logged("stopping:")
    news = VideoEvent(video_id=video_id, status=Status.FAILED)
    await behind.publish("video.cancelled", body=news.encode().decode(), exchange="tritontube.events")
    await behind.stack.wait_status(video_id, "playable", deadline_s=240)
    assert behind.logged("stopping:") == stopped


async def test_deleting_stops_all_workers_at_once_and_leaves_nothing(behind: Works, film: Path):
    video = await uploaded(behind, film)
    assert (await call(behind, "DELETE", f"/api/videos/{video['id']}")).status_code == 204
    since = monotonic()
    await assert_stops(behind, since)
    await nothing_is_left(behind, video["id"])


async def test_work_stops_as_quickly_when_the_broker_tells_nobody(behind: Works, film: Path):
    """The records are all that changes here; no event is ever published."""
    cancelled = await uploaded(behind, film)
    await behind.catalog.cancel(cancelled["id"])
    since = monotonic()
    await assert_stops(behind, since)
    await only_the_original_is_left(behind, cancelled["id"])

    deleted = await uploaded(behind, film)
    await behind.catalog.delete(deleted["id"])
    since = monotonic()
    await assert_stops(behind, since)
    await nothing_is_left(behind, deleted["id"])


async def only_the_original_is_left(behind: Works, video_id: str) -> None:
    async def purged() -> bool:
        files = await behind.files(video_id)
        return bool(files) and all(name.startswith("source-") for name in files)

    await eventually(purged, deadline_s=60, what="only the original's parts are left")
    await eventually(lambda: has_only(behind, video_id, {"videos"}), deadline_s=60, what="records are gone")
    assert await behind.scratch() == []


async def nothing_is_left(behind: Works, video_id: str) -> None:
    async def purged() -> bool:
        return not await behind.files(video_id)

    await eventually(purged, deadline_s=60, what="all files are gone")
    await eventually(lambda: has_only(behind, video_id, set()), deadline_s=60, what="records are gone")
    assert await behind.buried(video_id)
    assert await behind.scratch() == []


async def has_only(behind: Works, video_id: str, kinds: set[str]) -> bool:
    return await behind.records(video_id) == kinds and not await behind.queues()


async def test_a_cancelled_video_can_be_processed_to_its_end(behind: Works, source_folder: Path):
    short = Recipe(name="short-film", size="640x360", rate="30", duration_s=12, video=x264("-g", "60"))
    video = await behind.stack.upload(await asyncio.to_thread(short.make, source_folder))
    answer = await call(behind, "POST", f"/api/videos/{video['id']}/cancel")
    assert answer.status_code in {200, 409}
    if answer.status_code == 200:
        await call(behind, "POST", f"/api/videos/{video['id']}/retry")
    ready = await behind.stack.wait_status(video["id"], "ready", deadline_s=240)
    assert ready["frames"] == 360
