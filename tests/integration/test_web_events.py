"""Server-sent events: pages hear of changes, wherever they were made, and though news may be lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from httpx import ASGITransport, AsyncClient

from services.admin.status import cluster_status
from services.shared.broker import Broker
from services.shared.catalog import Catalog
from services.shared.content import ContentStore
from services.shared.settings import WebSettings, load
from services.web.app import Backing, WebApp
from services.web.news import MAX_SUBSCRIBERS
from tests.harness.admins import idle_admin
from tests.harness.fixtures_web import StartWeb
from tests.harness.rabbitmq import VirtualHost
from tests.harness.storage import StorageCluster
from tests.harness.waiting import within
from tests.harness.web import Json, WebProcess, like_a_video

Event = tuple[str, Json]
_DEADLINE_S = 60.0


class Listener:
    """Reads one stream of events."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def connected(self) -> None:
        """Wait for the first sign of life."""
        async with within(_DEADLINE_S, what="a sign of life"):
            assert (await anext(self._lines)).startswith(":")

    async def next(self) -> Event:
        """The next event."""
        async with within(_DEADLINE_S, what="the next event"):
            while not (line := await anext(self._lines)).startswith("event: "):
                pass
            return line.removeprefix("event: "), json.loads((await anext(self._lines)).removeprefix("data: "))

    async def until(self, name: str, **fields: object) -> Json:
        """The first event of that name whose data has these values."""
        while True:
            event, data = await self.next()
            if event == name and all(data.get(key) == value for key, value in fields.items()):
                return data


@asynccontextmanager
async def listening(web: WebProcess, path: str = "/api/events") -> AsyncIterator[Listener]:
    async with web.client() as http, http.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Listener(answer.aiter_lines())


async def test_the_stream_of_one_video_begins_with_what_it_is_and_goes_on_with_what_it_becomes(
    web: WebProcess,
):
    video = await web.upload(like_a_video(5000), title="Before")
    async with listening(web, f"/api/videos/{video['id']}/events") as page, web.client() as http:
        name, first = await page.next()
        assert (name, first) == ("video", (await http.get(video["links"]["self"])).json())
        await http.patch(video["links"]["self"], json={"title": "After"})
        await page.until("video", title="After")
        await http.delete(video["links"]["self"])
        assert await page.until("deleted") == {"id": video["id"]}


async def test_the_stream_of_one_video_is_silent_about_others(web: WebProcess):
    mine, other = [await web.upload(like_a_video(5000)) for _ in range(2)]
    async with listening(web, f"/api/videos/{mine['id']}/events") as page, web.client() as http:
        await page.next()
        await http.patch(other["links"]["self"], json={"title": "Other"})
        await http.patch(mine["links"]["self"], json={"title": "Mine"})
        assert (await page.until("video"))["id"] == mine["id"]


async def test_a_page_hears_what_happens_at_another_web_process(start_web: StartWeb):
    here, there = await start_web(name="here"), await start_web(name="there")
    async with listening(here) as page:
        await page.connected()
        video = await there.upload(like_a_video(5000), title="New")
        await page.until("video", id=video["id"], status="uploaded")
        async with there.client() as http:
            await http.delete(video["links"]["self"])
        await page.until("deleted", id=video["id"])


async def test_what_was_missed_while_the_broker_was_away_is_found_by_looking(
    start_web: StartWeb, catalog: Catalog, vhost: VirtualHost
):
    web = await start_web()
    video = await web.upload(like_a_video(5000))
    async with listening(web) as page:
        await page.connected()
        await page.until("video", id=video["id"])
        vhost.rabbit.freeze()
        await catalog.rename(video["id"], "Changed without a word")
        await page.until("video", title="Changed without a word")
        vhost.rabbit.thaw()


async def test_a_page_that_listens_does_not_keep_a_process_from_stopping(start_web: StartWeb):
    web = await start_web()
    async with listening(web) as page:
        await page.connected()
        assert await asyncio.to_thread(web.server.stop) == 0


async def test_a_page_too_many_is_told_to_come_back(
    storage: StorageCluster, content: ContentStore, vhost: VirtualHost
):
    async with (
        Broker.connect(vhost.url, app_id="web", instance="full", connect_timeout_s=None) as broker,
        idle_admin(storage.etcd) as instance,
    ):
        app = WebApp(
            Backing(
                settings=load(WebSettings),
                etcd=storage.client,
                store=content,
                broker=broker,
                status=partial(cluster_status, instance.admin),
                checks={},
            )
        )
        with ExitStack() as pages:
            for _ in range(MAX_SUBSCRIBERS):
                pages.enter_context(app.newsroom.subscribe())
            async with AsyncClient(transport=ASGITransport(app), base_url="http://web") as http:
                answer = await http.get("/api/events")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"].startswith("Too many")


async def test_many_pages_hear_the_same(web: WebProcess):
    video = await web.upload(like_a_video(5000))
    path = f"/api/videos/{video['id']}/events"

    async def hears(told: asyncio.Barrier) -> None:
        async with listening(web, path) as page:
            await page.next()
            await told.wait()
            await page.until("video", title="For all")

    told = asyncio.Barrier(21)
    async with asyncio.TaskGroup() as pages, web.client() as http:
        for _ in range(20):
            pages.create_task(hears(told))
        await told.wait()
        await http.patch(video["links"]["self"], json={"title": "For all"})
