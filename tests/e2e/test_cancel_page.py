"""Cancelling on the pages, and what they say of finished videos, over a web process without transcoders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from services.shared.catalog import Catalog, Verifications
from services.shared.verification import Fault, FaultKind, Outcome
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


async def test_a_quality_that_is_made_again_says_how_far_it_is(
    page_visitor: Viewer, web: WebProcess, records: Catalog
):
    page: Page = page_visitor.page
    video = await web.upload(like_a_video(5000), title="More again")
    omission = Omission(rendition="2160p", reason="Its pictures could not be encoded.", progress=0.25)
    await records.change(video["id"], lambda now: now.model_copy(update={"omitted": (omission,)}))
    await page_visitor.open(video["links"]["watch"])
    await expect(page.locator("#omitted")).to_have_text("2160p is being made again: 25 %")
    await records.change(video["id"], lambda now: now.model_copy(update={"omitted": ()}))
    await expect(page.locator("#omitted li")).to_have_count(0)


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([], "Checked: all is well."),
        ([Outcome.MENDED, Outcome.MENDED], "Checked: 2 faults found and mended."),
        ([Outcome.MENDED, Outcome.BEYOND_REPAIR], "Checked: 1 fault could not be mended (240p)."),
    ],
)
async def test_what_came_of_checking_a_video_is_said_where_it_is_watched(
    page_visitor: Viewer, web: WebProcess, storage: StorageCluster, outcomes: list[Outcome], words: str
):
    page: Page = page_visitor.page
    video = await web.upload(like_a_video(5000), title="Looked at")
    record = await Catalog(storage.client).get(video["id"])
    await page_visitor.open(video["links"]["watch"])
    await expect(page.locator("#verdict")).to_be_hidden()
    verifications = Verifications(storage.client)
    await verifications.want(record, mend=True)
    opened = await verifications.open(record)
    faults = [
        Fault(kind=FaultKind.MISSING, file=f"240p-g0-{number:05d}.m4s", track="240p", outcome=outcome)
        for number, outcome in enumerate(outcomes)
    ]
    concluded = opened.record.noting(faults).concluded(now_ms=opened.record.requested_at_ms + 1)
    await verifications.conclude(opened, concluded)
    await expect(page.locator("#verdict")).to_have_text(words)
    await page.reload()
    await expect(page.locator("#verdict")).to_have_text(words)
