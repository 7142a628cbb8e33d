"""The library and the watch page in a real browser, over a web process without transcoders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from services.shared.catalog import Catalog, keys
from services.shared.settings import MIB
from tests.harness.fixtures_web import StartWeb
from tests.harness.storage import StorageCluster
from tests.harness.viewer import Viewer, slow_uploads, visiting
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess, like_a_video

DEADLINE_MS = 60_000
expect.set_options(timeout=DEADLINE_MS)

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SLOW_BYTES_PER_S = 256 * 1024


@pytest_asyncio.fixture
async def visitor(browser: Browser, web: WebProcess) -> AsyncIterator[Viewer]:
    """A viewer of the shared web process."""
    async with visiting(browser, web.url) as visitor:
        yield visitor


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file with a name that no other test has."""
    return film(tmp_path)


def film(folder: Path, size_bytes: int = 200_000) -> Path:
    path = folder / f"clip {uuid4().hex[:8]}.mp4"
    path.write_bytes(like_a_video(size_bytes))
    return path


def card(page: Page, title: str) -> Locator:
    return page.locator(".card", has_text=title)


def transfer(page: Page, name: str) -> Locator:
    return page.locator(".transfer", has_text=name)


# ---- uploading ----


async def test_a_chosen_file_is_uploaded_and_its_card_appears_by_itself(visitor: Viewer, clip: Path):
    await visitor.open("/")
    await visitor.page.set_input_files("#file", clip)
    await expect(transfer(visitor.page, clip.name)).to_contain_text("Uploaded")
    await expect(card(visitor.page, clip.stem)).to_contain_text("Waiting")
    await expect(visitor.page.locator(".card").first).to_contain_text(clip.stem)
    await visitor.screenshot("library-upload")


async def test_several_files_are_uploaded_one_after_the_other(visitor: Viewer, tmp_path: Path):
    clips = [film(tmp_path) for _ in range(5)]
    await visitor.open("/")
    await visitor.page.set_input_files("#file", clips)
    for clip in clips:
        await expect(card(visitor.page, clip.stem)).to_be_visible()


async def test_files_can_be_dropped_anywhere_on_the_page(visitor: Viewer):
    name = f"dropped {uuid4().hex[:8]}"
    await visitor.open("/")
    carried = await visitor.page.evaluate_handle(
        """name => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(5000).map((_, n) => n % 7)], `${name}.mov`));
            return carried;
        }""",
        name,
    )
    await visitor.page.dispatch_event("footer", "dragenter", {"dataTransfer": carried})
    await expect(visitor.page.locator("#drop-cover")).to_be_visible()
    await visitor.page.dispatch_event("footer", "drop", {"dataTransfer": carried})
    await expect(visitor.page.locator("#drop-cover")).to_be_hidden()
    await expect(card(visitor.page, name)).to_be_visible()


async def test_a_file_that_is_no_video_gets_the_sentence_of_the_server(visitor: Viewer, tmp_path: Path):
    path = tmp_path / "notes.mp4"
    path.write_text("not a video\n" * 1000)
    visitor.expect("415")
    await visitor.open("/")
    await visitor.page.set_input_files("#file", path)
    row = transfer(visitor.page, path.name)
    await expect(row).to_contain_text("This is not a video but text.")
    await row.get_by_role("button", name="Dismiss").click()
    await expect(row).to_have_count(0)


async def test_a_file_over_the_limit_is_not_even_sent(browser: Browser, start_web: StartWeb, tmp_path: Path):
    web, path = await start_web("--max-upload-bytes", str(MIB)), film(tmp_path, 2 * MIB)
    async with visiting(browser, web.url) as visitor:
        await visitor.open("/")
        await visitor.page.set_input_files("#file", path)
        await expect(transfer(visitor.page, path.name)).to_contain_text("takes up to 1 MiB")


async def test_a_running_upload_shows_how_far_it_is_and_can_be_cancelled(
    visitor: Viewer, storage: StorageCluster, tmp_path: Path
):
    path = film(tmp_path, 8 * MIB)
    await visitor.open("/")
    await slow_uploads(visitor.page, SLOW_BYTES_PER_S)
    await visitor.page.set_input_files("#file", path)
    row = transfer(visitor.page, path.name)
    await expect(row).to_contain_text("left")
    await visitor.screenshot("library-uploading")
    await row.get_by_role("button", name="Cancel").click()
    await expect(row).to_have_count(0)

    async def given_up() -> bool:
        uploads = [kv.value async for kv in storage.client.range(keys.RESUMABLE)]
        return not any(path.stem.encode() in upload for upload in uploads)

    await eventually(given_up, deadline_s=60, what="the upload is given up")


async def test_without_script_the_form_still_uploads(browser: Browser, web: WebProcess, clip: Path):
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(web.url)
    title = f"By hand {uuid4().hex[:8]}"
    await page.set_input_files("#file", clip)
    await page.fill(".drop input[name=title]", title)
    await page.click(".drop button")
    await expect(card(page, title)).to_be_visible()
    await context.close()


# ---- the catalogue on the page ----


async def test_a_video_is_deleted_only_after_asking_and_on_every_open_page(
    visitor: Viewer, browser: Browser, web: WebProcess
):
    title = f"To go {uuid4().hex[:8]}"
    video = await web.upload(like_a_video(5000), title=title)
    async with visiting(browser, web.url) as other:
        await other.open("/")
        await expect(card(other.page, title)).to_be_visible()
        await visitor.open("/")
        await ask_to_delete(visitor, title)
        await visitor.screenshot("library-delete")
        await visitor.page.get_by_role("button", name="Keep it").click()
        await expect(card(visitor.page, title)).to_be_visible()
        await ask_to_delete(visitor, title)
        await visitor.page.locator("#delete-dialog").get_by_role("button", name="Delete", exact=True).click()
        await expect(card(visitor.page, title)).to_have_count(0)
        await expect(card(other.page, title)).to_have_count(0)
    async with web.client() as http:
        assert (await http.get(video["links"]["self"])).status_code == 404


async def ask_to_delete(visitor: Viewer, title: str) -> None:
    await card(visitor.page, title).hover()
    await visitor.page.get_by_role("button", name=f"Delete: {title}").click()
    await expect(visitor.page.locator("#delete-dialog")).to_contain_text(title)


async def test_a_failure_appears_with_its_reason_and_can_be_tried_again(
    visitor: Viewer, web: WebProcess, catalog: Catalog
):
    title = f"Unlucky {uuid4().hex[:8]}"
    await visitor.open("/")
    video = await web.upload(like_a_video(5000), title=title)
    await expect(card(visitor.page, title)).to_contain_text("Waiting")
    await catalog.fail(video["id"], 0, "The moon was in the wrong place.")
    await expect(card(visitor.page, title)).to_contain_text("The moon was in the wrong place.")
    await visitor.page.get_by_role("button", name=f"Try again: {title}").click()
    await expect(card(visitor.page, title)).to_contain_text("Waiting")
    await expect(card(visitor.page, title)).not_to_contain_text("moon")


async def test_searching_and_paging_lead_to_every_video(visitor: Viewer, web: WebProcess):
    word = uuid4().hex[:8]
    for number in range(26):
        await web.upload(like_a_video(2000), title=f"{word} no. {number}")
    await visitor.open("/")
    await visitor.page.get_by_role("searchbox").fill(word)
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.locator(".card")).to_have_count(24)
    await visitor.page.get_by_role("link", name="Older videos").click()
    await expect(visitor.page.locator(".card")).to_have_count(2)
    await expect(card(visitor.page, f"{word} no. 0")).to_be_visible()
    await visitor.page.get_by_role("link", name="Clear search").click()
    await expect(visitor.page.locator("#upload-form")).to_be_visible()


async def test_a_search_for_nothing_says_so(visitor: Viewer):
    await visitor.open(f"/?q={uuid4().hex}")
    await expect(visitor.page.get_by_text("No video has that in its title.")).to_be_visible()


# ---- the watch page ----


async def test_a_title_is_changed_in_place_and_is_never_taken_for_markup(visitor: Viewer, web: WebProcess):
    video = await web.upload(like_a_video(5000), title="Before")
    title = f'<img src=x onerror="alert(1)"> {uuid4().hex[:8]}'
    await visitor.open(video["links"]["watch"])
    await visitor.page.get_by_role("button", name="Change the title").click()
    await visitor.page.get_by_role("textbox", name="Title").fill(title)
    await visitor.page.keyboard.press("Enter")
    heading = visitor.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text(title)
    await visitor.page.reload()
    await expect(heading).to_have_text(title)
    await visitor.open("/")
    await expect(card(visitor.page, title)).to_be_visible()


async def test_a_video_that_waits_says_so_and_one_that_failed_says_why(
    visitor: Viewer, web: WebProcess, catalog: Catalog
):
    video = await web.upload(like_a_video(5000), title="Patience")
    await visitor.open(video["links"]["watch"])
    await expect(visitor.page.locator("#notice")).to_contain_text("Getting your video ready")
    await expect(visitor.page.locator("#working")).to_contain_text("Waiting")
    await visitor.screenshot("watch-waiting")
    await catalog.fail(video["id"], 0, "The moon was in the wrong place.")
    await expect(visitor.page.locator("#failure")).to_contain_text("The moon was in the wrong place.")
    await visitor.screenshot("watch-failed")
    await visitor.page.get_by_role("button", name="Try again").click()
    await expect(visitor.page.locator("#working")).to_be_visible()
    await expect(visitor.page.locator("#failure")).to_be_hidden()


async def test_a_video_can_be_deleted_where_it_is_watched(visitor: Viewer, web: WebProcess):
    title = f"Watched {uuid4().hex[:8]}"
    video = await web.upload(like_a_video(5000), title=title)
    await visitor.open(video["links"]["watch"])
    await visitor.page.get_by_role("button", name="Delete").click()
    await visitor.page.locator("#delete-dialog").get_by_role("button", name="Delete", exact=True).click()
    await expect(visitor.page.locator("#videos")).to_be_visible()
    await expect(card(visitor.page, title)).to_have_count(0)


async def test_an_unknown_video_is_a_page_that_leads_back(visitor: Viewer):
    visitor.expect("404")
    await visitor.open("/videos/0000000000000000")
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Not Found")
    await visitor.page.get_by_role("link", name="To the library", exact=True).click()
    await expect(visitor.page.locator("#videos")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_nothing_sticks_out_of_the_page_on_any_device(
    browser: Browser, web: WebProcess, scheme: str, device: str
):
    long_title = "Averyveryverylongwordwithoutanyspaces" * 5
    video = await web.upload(like_a_video(5000), title=long_title)
    options = PHONE if device == "phone" else {}
    async with visiting(browser, web.url, color_scheme=scheme, **options) as visitor:
        for name, path in (("library", "/"), ("watch", video["links"]["watch"]), ("docs", "/docs")):
            await visitor.open(path)
            await visitor.page.evaluate(
                "document.querySelectorAll('details').forEach(d => { d.open = true; })"
            )
            overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await visitor.page.evaluate(overhang) <= 0, (name, scheme, device)
            await visitor.screenshot(f"{name}-{device}-{scheme}")


async def test_everything_can_be_reached_by_keyboard(visitor: Viewer, web: WebProcess):
    await web.upload(like_a_video(5000))
    await visitor.open("/")
    reached: set[str] = set()
    for _ in range(14):
        await visitor.page.keyboard.press("Tab")
        reached.add(
            await visitor.page.evaluate(
                "(e => e.id || e.dataset.action || e.name || e.className)(document.activeElement)"
            )
        )
    assert {"skip", "brand", "q", "file", "card-link", "delete"} <= reached
