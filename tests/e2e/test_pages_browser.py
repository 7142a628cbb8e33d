"""The pages in real Chromium while the whole stack works: live, and as they look to people.

Screenshots of all of them are left in `artifacts/screenshots`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.harness.holding import in_the_making, workers_held
from tests.harness.numbered import LONG
from tests.harness.sources import BIG_BUCK_BUNNY, BIKES, VTEST, ffmpeg
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Viewer, visiting
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

DEADLINE_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"color_scheme": "light"},
    "desktop-dark": {"color_scheme": "dark"},
    "phone-light": {"color_scheme": "light", **PHONE},
    "phone-dark": {"color_scheme": "dark", **PHONE},
}
OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SHOWS_VIDEO = "document.querySelector('video')?.readyState !== 0"


@pytest_asyncio.fixture(scope="module")
async def footage(stack: Stack, source_folder: Path) -> dict[str, Json]:
    """Videos as people have them: two that are ready, one that failed."""
    damaged = source_folder / "damaged.mp4"
    damaged.write_bytes(LONG.recipe.make(source_folder).read_bytes()[:500_000])
    failed = await stack.upload(damaged, title="A telephone that fell into the water")
    bikes = await stack.upload(BIKES, title="Bikes in town")
    bunny = await stack.upload(BIG_BUCK_BUNNY, title="Big Buck Bunny")

    async def has_failed() -> bool:
        return bool((await stack.video(failed["id"]))["status"] == "failed")

    await eventually(has_failed, what="the damaged file is refused", deadline_s=60)
    return {
        "failed": await stack.video(failed["id"]),
        "bikes": await stack.wait_status(bikes["id"], "ready"),
        "bunny": await stack.wait_status(bunny["id"], "ready"),
    }


async def look_at(visitor: Viewer, path: str, name: str) -> None:
    """Take a picture of a page once its video shows something; nothing may stick out of it."""
    await visitor.open(path)
    await eventually(lambda: visitor.page.evaluate(SHOWS_VIDEO), what=f"{path} shows its video")
    assert await visitor.page.evaluate(OVERHANG) <= 0
    await visitor.screenshot(name)


async def drop(visitor: Viewer, path: Path) -> None:
    """Drag a file from outside the browser into the middle of the page."""
    session = await visitor.page.context.new_cdp_session(visitor.page)
    carried = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 640, "y": 500, "data": carried}
        await session.send("Input.dispatchDragEvent", event)


async def test_a_dropped_file_becomes_a_playable_card_that_lives_on_the_page(
    stack: Stack, visitor: Viewer, source_folder: Path
) -> None:
    await visitor.open("/")
    await visitor.page.evaluate("window.neverReloaded = true")
    with workers_held(stack):
        async with visitor.uploading() as begun:
            await drop(visitor, LONG.recipe.make(source_folder))
        video_id = await begun
        card = visitor.page.locator(f"#video-{video_id}")
        await expect(card).to_contain_text(LONG.name, timeout=DEADLINE_MS)
        await expect(card.locator("[data-percent]")).to_have_text("0 %", timeout=DEADLINE_MS)
        await visitor.screenshot("library-waiting")
    async with in_the_making(stack, video_id):
        await expect(card).to_have_attribute("data-status", "playable", timeout=DEADLINE_MS)
    await expect(card).to_have_attribute("data-status", "ready", timeout=DEADLINE_MS)
    await expect(card.locator(".badge")).to_have_text("0:25")
    await expect(card.locator("img")).to_have_js_property("complete", value=True)
    assert await visitor.page.evaluate("window.neverReloaded")


@pytest.mark.parametrize("look", LOOKS)
async def test_no_page_has_anything_to_complain_about(
    stack: Stack, browser: Browser, footage: dict[str, Json], look: str
) -> None:
    async with visiting(browser, stack.endpoints.web, **LOOKS[look]) as visitor:
        await look_at(visitor, "/", f"library-ready-{look}")
        await look_at(visitor, footage["bunny"]["links"]["watch"], f"watch-ready-{look}")
        await look_at(visitor, footage["bikes"]["links"]["embed"], f"embed-{look}")
        await visitor.open(footage["failed"]["links"]["watch"])
        await expect(visitor.page.locator("#failure")).to_contain_text("damaged")
        await visitor.screenshot(f"watch-failed-{look}")
        await visitor.open("/docs")
        await visitor.screenshot(f"docs-{look}")


async def test_a_video_in_the_making_can_be_watched_on_any_device(
    stack: Stack, browser: Browser, source_folder: Path
) -> None:
    film = source_folder / "campus.avi"
    ffmpeg("-i", str(VTEST), "-t", "30", "-c", "copy", str(film))
    video = await stack.upload(film, title="Campus walk")
    async with in_the_making(stack, video["id"]):
        for look, options in LOOKS.items():
            async with visiting(browser, stack.endpoints.web, **options) as visitor:
                await look_at(visitor, "/", f"library-processing-{look}")
                await look_at(visitor, video["links"]["watch"], f"watch-processing-{look}")
                await expect(visitor.page.locator("#working")).to_contain_text("Playable")
    await stack.wait_status(video["id"], "ready")
