"""Cancelling on the pages, over a web process without transcoders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from services.shared.catalog import Catalog
from services.shared.video import Omission
from tests.harness.storage import StorageCluster
from tests.harness.viewer import Viewer, visiting
from tests.harness.web import WebProcess, like_a_video

expect.set_options(timeout=60_000)


@pytest_asyncio.fixture
async def page_visitor(browser: Browser, web: WebProcess) -> AsyncIterator[Viewer]:
    """A viewer of the shared web process."""
    async with visiting(browser, web.url) as visitor:
        yield visitor


@pytest.fixture
def records(storage: StorageCluster) -> Catalog:
    return Catalog(storage.client)


async def test_processing_is_cancelled_where_the_video_is_watched_and_taken_up_again(
    page_visitor: Viewer, web: WebProcess
):
    page: Page = page_visitor.page
    video = await web.upload(like_a_video(5000), title="Never mind")
    await page_visitor.open(video["links"]["watch"])
    await page.locator("#cancel").click()
    await expect(page.locator("#failure")).to_contain_text("Processing was cancelled.")
    await expect(page.locator("#working")).to_be_hidden()
    await page_visitor.screenshot("watch-cancelled")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#cancel")).to_be_visible()


async def test_processing_is_cancelled_in_the_library(page_visitor: Viewer, web: WebProcess):
    page: Page = page_visitor.page
    title = f"Never mind {uuid4().hex[:8]}"
    await web.upload(like_a_video(5000), title=title)
    await page_visitor.open("/")
    card = page.locator(".card", has_text=title)
    await card.get_by_role("button", name="Cancel processing").click()
    await expect(card).to_contain_text("Processing was cancelled.")
    await expect(card.get_by_role("button", name="Cancel processing")).to_have_count(0)
    await expect(card.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_quality_that_is_missing_is_named_with_the_reason(
    page_visitor: Viewer, web: WebProcess, records: Catalog
):
    page: Page = page_visitor.page
    video = await web.upload(like_a_video(5000), title="Less")
    await page_visitor.open(video["links"]["watch"])
    omission = Omission(rendition="2160p", reason="Its pictures could not be encoded.")
    await records.change(video["id"], lambda now: now.model_copy(update={"omitted": (omission,)}))
    await expect(page.locator("#omitted")).to_have_text(
        "2160p could not be made: Its pictures could not be encoded."
    )
    await page.reload()
    await expect(page.locator("#omitted")).to_contain_text("2160p could not be made")
