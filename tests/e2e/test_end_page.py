"""What ends for good on the page is said there at once, and stays said: videos deleted, codecs not known."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.async_api import Route, expect

from tests.harness.holding import in_the_making
from tests.harness.numbered import LONG, SIXTY
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Viewer
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

DEADLINE_MS = 60_000
NOTICE = "#notice [data-notice-title]"
DELETED = "This video was deleted"


async def playing(visitor: Viewer, video: Json) -> None:
    await visitor.open(video["links"]["watch"])
    await visitor.until(lambda now: now.position_s > 0, what="the video plays")


async def deleted(stack: Stack, video: Json) -> None:
    async with httpx.AsyncClient(base_url=stack.endpoints.web) as client:
        (await client.delete(video["links"]["self"])).raise_for_status()


async def assert_over(visitor: Viewer) -> None:
    """It is said, nothing more can be done, nothing is fetched again, and nothing plays."""
    page = visitor.page
    await expect(page.locator(NOTICE)).to_have_text(DELETED, timeout=DEADLINE_MS)
    for thing in (".actions", ".facts", "#working", "#rename"):
        await expect(page.locator(thing)).to_be_hidden()
    # An attempt that was under way, or comes late, changes nothing.
    await page.evaluate("tritontube.player.resume()")
    await page.evaluate("tritontube.player.failed({ severity: 2, code: 1001, data: ['', 404] })")
    await expect(page.locator(NOTICE)).to_have_text(DELETED)
    assert await page.evaluate("tritontube.player.video.paused && !tritontube.player.shaka.getManifest()")


async def test_a_video_that_is_deleted_in_the_making_is_over(
    stack: Stack, visitor: Viewer, source_folder: Path
) -> None:
    visitor.expect("404", "player")
    video = await stack.upload(LONG.recipe.make(source_folder), title="Gone in the making")
    async with in_the_making(stack, video["id"]):
        await playing(visitor, video)
        await deleted(stack, video)
        await assert_over(visitor)


async def test_a_finished_video_is_over_when_the_player_finds_nothing_any_more(
    stack: Stack, visitor: Viewer, source_folder: Path
) -> None:
    """Its page has heard all there is to hear, and listens no longer."""
    visitor.expect("404", "player")
    video = await stack.upload(SIXTY.recipe.make(source_folder), title="Gone afterwards")

    async def verified() -> bool:
        return bool((await stack.video(video["id"]))["verdict"])

    await eventually(verified, what="it is finished and verified", deadline_s=240)
    await playing(visitor, video)
    await deleted(stack, video)
    await visitor.page.evaluate("tritontube.player.resume()")
    await assert_over(visitor)


async def test_a_codec_that_the_browser_does_not_know_is_said_without_any_more_attempts(
    visitor: Viewer, numbered_videos: dict[str, Json]
) -> None:
    visitor.expect("player", "codec")
    fetched: list[str] = []

    async def with_a_codec_of_tomorrow(route: Route) -> None:
        fetched.append(route.request.url)
        answer = await route.fetch()
        text = (await answer.text()).replace("avc1.", "hvc1.9.9.L").replace("mp4a.40.2", "mp4a.99.99")
        await route.fulfill(response=answer, body=text)

    await visitor.page.route("**/manifest.mpd", with_a_codec_of_tomorrow)
    await visitor.open(numbered_videos[SIXTY.name]["links"]["watch"])
    await expect(visitor.page.locator(NOTICE)).to_have_text("This browser cannot play the video")
    assert await visitor.page.evaluate("tritontube.player.retries") == 0
    assert len(fetched) == 1
