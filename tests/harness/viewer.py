"""Headless Chromium as a viewer uses it: what it shows, and everything it complains about."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright

from tests.harness.waiting import eventually

ARTIFACTS: Final = Path(__file__).parents[2] / "artifacts"
"""Where screenshots are left for people to look at. Not under version control."""

_SCRIPT: Final = Path(__file__).with_name("viewer.js")
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
_DEADLINE_S: Final = 60.0
_COMPLAINTS: Final = frozenset({"error", "warning"})
_LOCAL_SCHEMES: Final = frozenset({"blob", "data"})

Json = dict[str, Any]


def _begins_upload(response: Response) -> bool:
    return response.request.method == "POST" and urlsplit(response.url).path == "/uploads"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium, without a window."""
    path = shutil.which("chromium")
    assert path, "Chromium is not installed: run scripts/setup --test"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*_FLAGS])
        yield browser
        await browser.close()


@dataclass(frozen=True, kw_only=True)
class Playback:
    """A video element at one moment."""

    position_s: float
    duration_s: float
    """NaN: not known yet."""
    ended: bool
    width: int
    height: int
    buffered: list[list[float]]
    decoded: int
    """Pictures decoded so far, shown or not."""
    corrupted: int
    error: str | None
    events: list[str]
    """What happened to it, in order."""


@dataclass(kw_only=True)
class Viewer:
    """One page, and what was wrong with it so far."""

    page: Page
    base_url: str
    complaints: list[str] = field(default_factory=list)
    _expected: tuple[str, ...] = ()

    async def open(self, path: str) -> None:
        """Go to a page of the web process."""
        await self.page.goto(urljoin(self.base_url, path))

    def expect(self, *parts: str) -> None:
        """Complaints that contain one of these texts are part of the test."""
        self._expected += parts

    async def playback(self) -> Playback:
        """What the video is doing now."""
        return Playback(**await self.page.evaluate("viewer.state()"))

    async def until(
        self, reached: Callable[[Playback], bool], *, what: str, deadline_s: float = _DEADLINE_S
    ) -> Playback:
        """Wait until playback is in some state."""

        async def look() -> Playback | None:
            now = await self.playback()
            assert now.error is None, now.error
            return now if reached(now) else None

        return await eventually(look, deadline_s=deadline_s, what=what)

    async def note_pictures(self, count: int) -> None:
        """Note which pictures are shown from now on, and wait for so many: a busy machine shows few."""
        await self.page.evaluate("viewer.notePictures()")

        async def enough() -> bool:
            return bool(await self.page.evaluate("viewer.pictures.length") >= count)

        await eventually(enough, deadline_s=_DEADLINE_S, what=f"{count} pictures are shown")

    async def check(self) -> None:
        """Fail if anything was amiss: errors and warnings of scripts, the content policy, strangers asked."""
        violations = await self.page.evaluate("window.viewer?.violations ?? []")
        complaints = [*self.complaints, *violations]
        unexpected = [text for text in complaints if not any(part in text for part in self._expected)]
        assert not unexpected, unexpected

    @asynccontextmanager
    async def uploading(self) -> AsyncIterator[asyncio.Future[str]]:
        """Let the page begin an upload meanwhile; afterwards this has its id, also that of the video."""
        identified: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with self.page.expect_response(_begins_upload) as answered:
            yield identified
        identified.set_result((await (await answered.value).all_headers())["location"].rpartition("/")[2])

    async def screenshot(self, name: str) -> None:
        """Leave a picture of the whole page for people to look at."""
        await self.page.screenshot(path=ARTIFACTS / "screenshots" / f"{name}.png", full_page=True)

    def listen(self) -> None:
        """Note complaints from now on."""
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("request", self._note_request)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in _COMPLAINTS:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _note_request(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme not in _LOCAL_SCHEMES and asked.netloc != urlsplit(self.base_url).netloc:
            self.complaints.append(f"request to a stranger: {request.url}")


@asynccontextmanager
async def visiting(browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Viewer]:
    """A viewer of their own (`options`: window, language, light or dark …), who must have no complaints.

    Raises:
        AssertionError: at the end, naming what was amiss.
    """
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    page = await context.new_page()
    await page.add_init_script(path=_SCRIPT)
    visitor = Viewer(page=page, base_url=base_url)
    visitor.listen()
    try:
        yield visitor
        await visitor.check()
    finally:
        await context.close()


async def slow_uploads(page: Page, bytes_per_s: int) -> None:
    """Let a page send no faster than that (-1: as fast as it can)."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s},
    )


@asynccontextmanager
async def other_site(body: str) -> AsyncIterator[str]:
    """The address of a page of another site (another port is another origin) while the context is open."""
    page = f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">{body}'.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + page)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
