from __future__ import annotations

import asyncio

import pytest

from services.shared.errors import NotFoundError
from services.web.cache import Content, ContentCache
from services.web.patience import Patience


class Ring:
    """Files that come when they are told to, and what manifests promise of them."""

    def __init__(self) -> None:
        self.files: dict[str, Content] = {}
        self.promises: set[str] = set()
        self.asked = asyncio.Event()

    async def load(self, key: str) -> Content:
        if key not in self.files:
            raise NotFoundError("There is no such file.")
        return self.files[key]

    async def is_promised(self, video_id: str, name: str) -> bool:
        self.asked.set()
        return f"{video_id}/{name}" in self.promises

    def patience(self, *, patience_s: float = 60.0) -> Patience:
        cache = ContentCache(limit_bytes=1 << 20, load=self.load)
        return Patience(cache, self.is_promised, patience_s=patience_s)


FILE = Content(size_bytes=3, etag='"e"', data=b"abc")


async def test_a_file_that_is_there_is_given_at_once():
    ring = Ring()
    ring.files["v/a.m4s"] = FILE
    assert await ring.patience().get("v", "a.m4s") is FILE


async def test_a_file_that_nobody_promised_is_missing_at_once():
    with pytest.raises(NotFoundError):
        await Ring().patience().get("v", "a.m4s")


async def test_a_promised_file_is_given_when_it_comes():
    ring = Ring()
    ring.promises.add("v/a.m4s")
    asked = asyncio.create_task(ring.patience().get("v", "a.m4s"))
    await ring.asked.wait()
    ring.files["v/a.m4s"] = FILE
    assert await asked is FILE


async def test_a_file_that_came_as_its_promise_ended_is_given():
    ring = Ring()
    ring.promises.add("v/a.m4s")
    asked = asyncio.create_task(ring.patience().get("v", "a.m4s"))
    await ring.asked.wait()
    ring.promises.clear()
    ring.files["v/a.m4s"] = FILE
    assert await asked is FILE


@pytest.mark.parametrize("still_promised", [True, False])
async def test_patience_ends_with_its_time_and_with_the_promise(still_promised):
    ring = Ring()
    ring.promises.add("v/a.m4s")
    asked = asyncio.create_task(ring.patience(patience_s=0 if still_promised else 60).get("v", "a.m4s"))
    await ring.asked.wait()
    if not still_promised:
        ring.promises.clear()
    with pytest.raises(NotFoundError):
        await asked
