"""Uploads from the library page that stop and go on: paused, reloaded, cut off."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from services.shared.settings import MIB
from tests.harness.fixtures_web import StartWeb
from tests.harness.sources import BIG_BUCK_BUNNY
from tests.harness.stack import Stack
from tests.harness.tus import TUS
from tests.harness.viewer import Viewer, slow_uploads, visiting
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess, like_a_video

pytestmark = pytest.mark.timeout(300)

DEADLINE_MS = 60_000
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SLOW_BYTES_PER_S = 64 * 1024
REMEMBERED = """
    Object.entries(localStorage).filter(([key]) => key.startsWith("tus::"))
        .map(([_, text]) => JSON.parse(text)).filter(({ metadata }) => metadata.filename === name)
        .map(({ uploadUrl }) => uploadUrl)
"""


def transfer(page: Page, name: str) -> Locator:
    return page.locator(".transfer", has_text=name)


async def shows(row: Locator, text: str) -> None:
    await expect(row).to_contain_text(text, timeout=DEADLINE_MS)


async def remembered(page: Page, name: str) -> list[str]:
    """Addresses of the uploads of a file that the browser knows."""
    found: list[str] = await page.evaluate(f"name => {REMEMBERED}", name)
    return found


async def head(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.head(url, headers=TUS)


async def some_arrived(page: Page, name: str) -> str:
    """The address of a file's upload, once the server has some of it for good."""

    async def arrived() -> str | None:
        for url in await remembered(page, name):
            if int((await head(url)).headers.get("upload-offset", "0")):
                return url
        return None

    return await eventually(arrived, deadline_s=60, what=f"some of {name} has arrived")


async def choose_again(row: Locator, file: Path) -> None:
    async with row.page.expect_file_chooser() as chooser:
        await row.get_by_role("button", name="Choose it again").click()
    await (await chooser.value).set_files(file)


def offsets(page: Page) -> list[int]:
    """Where the requests begin, from now on."""
    found: list[int] = []
    page.on(
        "request",
        lambda request: (
            found.append(int(request.headers["upload-offset"])) if request.method == "PATCH" else None
        ),
    )
    return found


async def under_way(row: Locator) -> None:
    """Wait until some of a file was sent."""

    async def sent() -> bool:
        return bool(await row.locator("progress").evaluate("bar => bar.value > 0.05"))

    await eventually(sent, deadline_s=60, what="some of the file is sent")
    await shows(row, "left")


async def begin_and_pause(visitor: Viewer, file: Path) -> tuple[Locator, str]:
    """Upload some of a file; its row, and the upload's address."""
    await visitor.open("/")
    await slow_uploads(visitor.page, SLOW_BYTES_PER_S)
    await visitor.page.set_input_files("#file", file)
    row = transfer(visitor.page, file.name)
    await under_way(row)
    await row.get_by_role("button", name="Pause").click()
    await shows(row, "Paused")
    return row, await some_arrived(visitor.page, file.name)


async def test_a_paused_upload_goes_on_also_after_a_reload_and_becomes_a_video(
    visitor: Viewer, stack: Stack, tmp_path: Path
):
    file = tmp_path / f"bunny {uuid4().hex[:8]}.mp4"
    shutil.copy(BIG_BUCK_BUNNY, file)
    visitor.expect("423", "409")  # where the server has not noticed yet that the page was left
    row, url = await begin_and_pause(visitor, file)
    await visitor.screenshot("library-paused")
    await row.get_by_role("button", name="Go on").click()
    await shows(row, "left")
    await visitor.page.reload()
    await slow_uploads(visitor.page, -1)
    row, began = transfer(visitor.page, file.name), offsets(visitor.page)
    await shows(row, "has arrived")
    await visitor.screenshot("library-unfinished")
    await choose_again(row, file)
    await shows(row, "Uploaded")
    assert began[0] > 0
    assert await remembered(visitor.page, file.name) == []
    await stack.wait_status(url.rpartition("/")[2], "playable")


async def test_an_upload_survives_the_death_of_the_server(
    browser: Browser, start_web: StartWeb, tmp_path: Path
):
    web = await start_web("--part-bytes", str(MIB))
    file = tmp_path / f"clip {uuid4().hex[:8]}.mp4"
    file.write_bytes(like_a_video(3 * MIB))
    async with visiting(browser, web.url) as visitor:
        visitor.expect("ERR_", "423", "409")
        await visitor.open("/")
        await slow_uploads(visitor.page, 4 * SLOW_BYTES_PER_S)
        await visitor.page.set_input_files("#file", file)
        row, began = transfer(visitor.page, file.name), offsets(visitor.page)
        url = await some_arrived(visitor.page, file.name)
        web.server.kill()
        await shows(row, "The connection is lost. Trying again")
        await slow_uploads(visitor.page, -1)
        web.server.start()
        await shows(row, "Uploaded")
    assert began[-1] >= MIB
    async with web.client() as http:
        answer = await http.get(f"/content/{url.rpartition('/')[2]}/download/original")
    assert answer.content == file.read_bytes()


async def test_what_is_left_wants_the_same_file_and_can_be_given_up(
    browser: Browser, web: WebProcess, tmp_path: Path
):
    file, other = (tmp_path / f"{name} {uuid4().hex[:8]}.mp4" for name in ("clip", "other"))
    for path in (file, other):
        path.write_bytes(like_a_video(MIB))
    async with visiting(browser, web.url, **PHONE) as visitor:
        _, url = await begin_and_pause(visitor, file)
        await visitor.page.reload()
        row = transfer(visitor.page, file.name)
        await shows(row, "has arrived")
        await visitor.screenshot("library-unfinished-phone")
        assert await visitor.page.evaluate(OVERHANG) <= 0
        await choose_again(row, other)
        await shows(row, "That is another file")
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_have_count(0)

        async def given_up() -> bool:
            return (await head(url)).status_code == httpx.codes.GONE

        await eventually(given_up, deadline_s=60, what="the server has forgotten it")
        assert await remembered(visitor.page, file.name) == []


async def test_another_tab_leaves_a_running_upload_alone(browser: Browser, web: WebProcess, tmp_path: Path):
    file = tmp_path / f"clip {uuid4().hex[:8]}.mp4"
    file.write_bytes(like_a_video(MIB))
    async with visiting(browser, web.url) as visitor:
        row, _ = await begin_and_pause(visitor, file)
        second = await visitor.page.context.new_page()
        answered = second.expect_event("console", lambda message: message.text == "asked")
        await second.add_init_script(
            "new BroadcastChannel('uploads').onmessage = ({ data }) => data.held && console.info('asked')"
        )
        async with answered:
            await second.goto(web.url)
        await expect(transfer(second, file.name)).to_have_count(0)
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_have_count(0)
