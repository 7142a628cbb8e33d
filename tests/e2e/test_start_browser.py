"""Watching what is still being made: it starts soon, says what is not there yet, and goes before the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from services.shared.broker import Broker
from services.shared.filenames import poster_file
from services.shared.messages import WATCHED_QUEUE
from services.shared.task import TaskKind
from tests.harness.holding import in_the_making, workers_held
from tests.harness.jobs import Works, works
from tests.harness.numbered import MINUTE
from tests.harness.sources import SLOWING
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Viewer
from tests.harness.waiting import DeadlineError, eventually

pytestmark = pytest.mark.timeout(600)

_BEGUN = frozenset({"playable", "ready"})
_UPDATE_S = 1.0
_PATIENTLY = "tritontube.player.shaka.configure({abr: {droppedFrames: false}})"


@pytest.fixture
def film(source_folder: Path) -> Path:
    return MINUTE.recipe.make(source_folder)


async def until_begun(stack: Stack, videos: list[Json]) -> list[str]:
    """Wait until all of them can be watched; what each is by then."""

    async def begun() -> list[str] | None:
        now = [str((await stack.video(video["id"]))["status"]) for video in videos]
        return now if {*now} <= _BEGUN else None

    return await eventually(begun, deadline_s=180, what="all can be watched")


async def until_surveyed(behind: Works, videos: list[Json]) -> None:
    """Wait until it is known what there is to do for all of them, beyond their beginnings."""

    async def surveyed() -> bool:
        tasks = [await behind.book.tasks(video["id"], 0) for video in videos]
        return all(any(task.kind is TaskKind.SURVEY and task.done for task in each) for each in tasks)

    await eventually(surveyed, deadline_s=180, what="all are surveyed")


async def remove(stack: Stack, videos: list[Json]) -> None:
    """Delete videos that a test is done with, so that nobody has to wait for their processing."""
    async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False) as http:
        for video in videos:
            (await http.delete(f"/api/videos/{video['id']}")).raise_for_status()


@asynccontextmanager
async def watched(stack: Stack, video: Json) -> AsyncIterator[None]:
    """Somebody's player asks for the manifest meanwhile, as it does while a video is being made."""

    over = asyncio.Event()

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False, timeout=60.0) as http:
            while not over.is_set():
                (await http.get(video["links"]["manifest"])).raise_for_status()
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), _UPDATE_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        try:
            yield
        finally:
            over.set()


async def test_seeking_into_what_is_not_there_yet_says_so_and_goes_on_when_it_comes(
    stack: Stack, visitor: Viewer, film: Path
) -> None:
    video = await stack.upload(film)
    notice = visitor.page.locator("#not-yet")
    async with in_the_making(stack, video["id"]):
        await visitor.open(video["links"]["watch"])
        await visitor.until(lambda now: now.position_s > 0, what="it plays")
        assert await notice.is_hidden()
        await visitor.page.evaluate(f"{_PATIENTLY}, tritontube.player.video.currentTime = 50.02")
        await notice.wait_for(state="visible")
        assert "not ready yet" in await notice.inner_text()
        assert "of 1:04 can be watched so far" in await notice.inner_text()
    await visitor.until(lambda now: now.position_s > 50.5, what="it goes on by itself", deadline_s=120)
    await notice.wait_for(state="hidden")
    picture = await visitor.page.evaluate("viewer.picture()")
    assert picture["number"] == round(picture["time_s"] * MINUTE.fps)


async def test_a_video_whose_beginning_was_misleading_is_planned_anew(
    stack: Stack, source_folder: Path
) -> None:
    video = await stack.upload(SLOWING.make(source_folder))
    ready = await stack.wait_status(video["id"], "ready", deadline_s=180)
    assert ready["frames"] == pytest.approx(5 * SLOWING.duration_s, abs=2)
    assert ready["links"]["poster"].endswith(poster_file(1))


async def test_of_several_uploads_each_can_be_watched_before_any_is_finished(
    stack: Stack, film: Path
) -> None:
    with workers_held(stack):
        videos = [await stack.upload(film, title=f"Number {number}") for number in range(3)]

    assert "ready" not in await until_begun(stack, videos)
    await remove(stack, videos)


async def test_what_somebody_watches_is_finished_before_what_was_uploaded_earlier(
    stack: Stack, film: Path
) -> None:
    with workers_held(stack):
        videos = [await stack.upload(film, title=title) for title in ("Earlier", "Later, and watched")]

    async with works(stack) as behind:
        await until_begun(stack, videos)
        await until_surveyed(behind, videos)
        async with watched(stack, videos[1]):
            with workers_held(stack):
                await _until_hastened(stack)
                if (await stack.video(videos[0]["id"]))["status"] == "ready":
                    raise DeadlineError("the earlier one was finished before anybody watched the other")
            await stack.wait_status(videos[1]["id"], "ready")
            assert (await stack.video(videos[0]["id"]))["status"] == "playable"
    await remove(stack, videos)


async def _until_hastened(stack: Stack) -> None:
    amqp = stack.endpoints.rabbitmq.amqp
    async with Broker.connect(amqp, app_id="test", instance="test-start") as broker:

        async def waiting() -> int:
            return await broker.depth(WATCHED_QUEUE)

        await eventually(waiting, deadline_s=90, what="tasks of the watched video wait to go first")
