"""Browsers for tests, and films in the stack for them to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.harness.numbered import LONG, SHORT
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Viewer, chromium, visiting

# For all tests, whichever of them are run together: where others keep the machine busy, 5 s are soon over.
expect.set_options(timeout=60_000)


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the whole run."""
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture
async def visitor(browser: Browser, stack: Stack) -> AsyncIterator[Viewer]:
    """A viewer of the stack's first web process, who must have no complaints."""
    async with visiting(browser, stack.endpoints.web) as visitor:
        yield visitor


@pytest_asyncio.fixture(scope="session")
async def numbered_videos(stack: Stack, source_folder: Path) -> dict[str, Json]:
    """The numbered films, uploaded and ready, by name."""
    films = (LONG, *SHORT)
    uploaded = [await stack.upload(film.recipe.make(source_folder)) for film in films]
    return {
        film.name: await stack.wait_status(video["id"], "ready")
        for film, video in zip(films, uploaded, strict=True)
    }
