"""Several sound tracks in the players' menus, and downloads, in real Chromium and out of the whole stack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.harness.media import run
from tests.harness.numbered import SIXTY
from tests.harness.sources import ffmpeg
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Playback, Viewer, other_site
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_TITLES = ["Director's cut", "Deutsch"]
_HLS = "tritontube.player.shaka.load(tritontube.player.hls).then(() => tritontube.player.video.play())"
_ACTIVE = "tritontube.player.shaka.getVariantTracks().find((track) => track.active)"


@pytest_asyncio.fixture(scope="module")
async def video(stack: Stack, source_folder: Path) -> Json:
    """A film with two sound tracks, of which the second is meant to be heard first."""
    plain, path = SIXTY.recipe.make(source_folder), source_folder / "two_sounds.mkv"
    streams = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy")
    languages = ("-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng")
    first = ("-metadata:s:a:1", f"title={_TITLES[0]}", "-disposition:a:0", "0", "-disposition:a:1", "default")
    ffmpeg("-i", str(plain), *streams, *languages, *first, str(path))
    uploaded = await stack.upload(path, title="Two sounds")
    return await stack.wait_status(uploaded["id"], "ready", deadline_s=240)


async def as_dash(_: Viewer) -> None:
    """What our player begins with."""


async def as_hls(visitor: Viewer) -> None:
    """Let our player take the HLS playlists."""
    await visitor.page.evaluate(_HLS)


def has_begun(now: Playback) -> bool:
    return now.position_s > 0.2


@pytest.mark.parametrize("take", [as_dash, as_hls])
async def test_every_sound_track_has_its_name_in_the_menu_and_can_be_chosen(
    visitor: Viewer, video: Json, take: Callable[[Viewer], Awaitable[None]]
) -> None:
    page = visitor.page
    await visitor.open(video["links"]["watch"])
    await eventually(lambda: page.evaluate("tritontube.player.loaded"), what="the player is there")
    await take(visitor)
    await visitor.until(has_begun, what="the video plays")
    assert await page.evaluate(f"{_ACTIVE}.language") == "en"
    await page.locator("#player").hover()
    await page.locator(".shaka-overflow-menu-button").click()
    await page.locator(".shaka-language-button").click()
    entries = page.locator(".shaka-audio-languages [role=menuitemradio] span")
    await expect(entries).to_have_text(_TITLES)
    await entries.nth(1).click()
    await eventually(lambda: page.evaluate(f"{_ACTIVE}?.language === 'de'"), what="the other track is chosen")
    before = await visitor.playback()
    await page.evaluate("tritontube.player.video.play()")
    await visitor.until(lambda now: now.ended or now.position_s > before.position_s + 0.5, what="it plays on")


async def test_the_watch_page_lists_the_sound_tracks(visitor: Viewer, video: Json) -> None:
    await visitor.open(video["links"]["watch"])
    await expect(visitor.page.locator("#sounds li")).to_have_text([f"en{_TITLES[0]}", f"de{_TITLES[1]}"])
    await visitor.screenshot("watch-sounds")


@pytest.mark.parametrize(
    ("link", "name"), [("#ladder a", "Two sounds (180p).mp4"), ("#original", "Two sounds.mkv")]
)
async def test_a_click_downloads_the_whole_video(
    visitor: Viewer, video: Json, tmp_path: Path, link: str, name: str
) -> None:
    await visitor.open(video["links"]["watch"])
    async with visitor.page.expect_download() as started:
        await visitor.page.locator(link).click()
    download = await started.value
    assert download.suggested_filename == name
    path = tmp_path / "download"
    await download.save_as(path)
    entries = ["-show_entries", "format=duration:stream=codec_type", "-of", "csv=p=0"]
    said = run(["ffprobe", "-v", "error", *entries, str(path)]).decode().split()
    assert said[:3] == ["video", "audio", "audio"]
    assert float(said[3]) == pytest.approx(SIXTY.duration_s, abs=0.05)


async def test_a_downloaded_rendition_plays_in_a_plain_video_element(visitor: Viewer, video: Json) -> None:
    [rung] = video["renditions"]
    address = visitor.base_url.rstrip("/") + rung["download"]
    async with other_site(f'<video muted crossorigin src="{address}"></video>') as site:
        visitor.expect(site)
        await visitor.page.goto(site)
        # Seeking before it is all there asks for ranges.
        wanted = [SIXTY.frames - 1, 240, 239, 480, 1]
        await visitor.until(lambda now: now.width > 0, what="it knows its size")
        assert (await visitor.playback()).duration_s == SIXTY.duration_s
        seek = f"frame => viewer.seek(frame, {SIXTY.fps})"
        assert [await visitor.page.evaluate(seek, frame) for frame in wanted] == wanted
        await visitor.page.evaluate("video => video.play()", await visitor.page.query_selector("video"))
        await visitor.page.evaluate("document.querySelector('video').playbackRate = 3")
        done = await visitor.until(lambda now: now.ended, what="it ended")
    assert done.position_s == done.duration_s
    assert done.corrupted == 0
