"""Real Chromium plays what the whole stack made: every picture in its place, in every player, to the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Route

from tests.harness.holding import in_the_making
from tests.harness.media import run
from tests.harness.numbered import LONG, SHORT, SIXTY, NumberedFilm
from tests.harness.other_players import open_dashjs, open_hlsjs
from tests.harness.stack import Json, Stack
from tests.harness.viewer import Playback, Viewer, other_site
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_SEGMENT_FRAMES = 100
_RENDITIONS = {"240p": (426, 240), "360p": (640, 360)}
_SOUND_TOLERANCE_S = 0.05
_CLOCK_TOLERANCE_S = 1e-5
"""Browsers count in whole microseconds: 60 pictures do not always make a second."""

# A test machine that is busy drops pictures; that is not what is tested here.
_STEADY = "tritontube.player.shaka.configure({abr: {droppedFrames: false}, streaming: {bufferingGoal: 600}})"
_HLS = "tritontube.player.shaka.load(tritontube.player.hls).then(() => tritontube.player.video.play())"
_CHOOSE = """height => {
    const { shaka } = tritontube.player;
    shaka.configure({ abr: { enabled: false } });
    shaka.selectVariantTrack(shaka.getVariantTracks().find((track) => track.height === height), true);
}"""


async def open_player(visitor: Viewer, video: Json, page: str = "watch") -> None:
    """Open a page with our player, and wait until it has begun."""
    await visitor.open(video["links"][page])
    await eventually(lambda: visitor.page.evaluate("tritontube.player.loaded"), what="the player is there")
    await visitor.page.evaluate("tritontube.player.video.play()")
    await visitor.until(has_begun, what="the video plays")
    await visitor.page.evaluate(_STEADY)


async def open_hls(visitor: Viewer, video: Json) -> None:
    """Let our player take the HLS playlists."""
    await open_player(visitor, video, "embed")
    await visitor.page.evaluate(_HLS)


def has_begun(now: Playback) -> bool:
    return now.position_s > 0.2


def is_loaded(now: Playback) -> bool:
    return now.buffered == [[0, now.duration_s]]


async def until_size(visitor: Viewer, size: tuple[int, int]) -> None:
    await visitor.until(lambda now: (now.width, now.height) == size, what=f"pictures of {size}")


async def hurry(visitor: Viewer, rate: float = 3) -> None:
    await visitor.page.evaluate("rate => { document.querySelector('video').playbackRate = rate }", rate)


async def assert_ends(visitor: Viewer, film: NumberedFilm) -> None:
    """Wait for the end, which is where the film ends; all of it was there, without a gap."""
    done = await visitor.until(lambda now: now.ended, what="the video ended")
    assert done.position_s == done.duration_s == pytest.approx(film.duration_s, abs=_CLOCK_TOLERANCE_S)
    assert done.buffered == [[0, done.duration_s]]
    assert done.corrupted == 0
    assert not {"error", "stalled"} & {*done.events}
    assert await visitor.page.evaluate("window.errors ?? []") == []


async def assert_pictures_in_place(visitor: Viewer, film: NumberedFilm) -> None:
    """Every picture that was shown is the one that belongs to its time."""
    pictures = await visitor.page.evaluate("viewer.pictures")
    wrong = [p for p in pictures if p["number"] != round(p["time_s"] * film.fps)]
    assert len(pictures) >= film.duration_s
    assert not wrong


@pytest.fixture
def long_video(numbered_videos: dict[str, Json]) -> Json:
    return numbered_videos[LONG.name]


async def test_video_chosen_on_the_page_plays_while_it_is_processed_and_to_its_exact_end(
    stack: Stack, visitor: Viewer, source_folder: Path
) -> None:
    await visitor.open("/")
    async with visitor.uploading() as begun:
        await visitor.page.set_input_files("#file", LONG.recipe.make(source_folder))
    video_id = await begun
    async with in_the_making(stack, video_id):
        await visitor.page.locator(f"#video-{video_id}[data-status=playable] a").click()
        await visitor.until(has_begun, what="the video plays")
        assert (await visitor.playback()).duration_s == LONG.duration_s
    await visitor.page.evaluate(_STEADY)
    await visitor.note_pictures(LONG.duration_s)
    await stack.wait_status(video_id, "ready")
    await hurry(visitor)
    await assert_ends(visitor, LONG)
    await assert_pictures_in_place(visitor, LONG)
    await visitor.page.locator("#working").wait_for(state="hidden")


@pytest.mark.parametrize("open_in", [open_hls, open_dashjs, open_hlsjs])
async def test_other_players_play_a_video_in_the_making_and_on_to_its_end(
    stack: Stack, visitor: Viewer, source_folder: Path, open_in: Callable[[Viewer, Json], Awaitable[None]]
) -> None:
    video = await stack.upload(LONG.recipe.make(source_folder))
    async with in_the_making(stack, video["id"]):
        await open_in(visitor, await stack.video(video["id"]))
        await visitor.until(has_begun, what="it plays")
    await stack.wait_status(video["id"], "ready")
    await hurry(visitor)
    await assert_ends(visitor, LONG)


async def test_every_quality_can_be_chosen_from_the_menu(visitor: Viewer, long_video: Json) -> None:
    await open_player(visitor, long_video)
    await visitor.page.locator("#player").hover()
    await visitor.page.locator(".shaka-overflow-menu-button").click()
    for name, size in _RENDITIONS.items():
        await visitor.page.locator(".shaka-resolution-button").click()
        await visitor.page.locator(".shaka-resolutions button", has_text=name).click()
        await until_size(visitor, size)
    before = await visitor.playback()
    await visitor.until(lambda now: now.position_s > before.position_s + 0.5, what="it plays on")


async def test_a_quality_that_has_not_begun_is_not_chosen(visitor: Viewer, long_video: Json) -> None:
    """The manifest of a video in the making tells of all qualities; first there is only the lowest one."""
    asked: list[str] = []
    told = asyncio.Event()
    visitor.page.on("request", lambda request: asked.append(request.url))
    await visitor.page.route(f"**{long_video['links']['watch']}", _as_it_was_at_first)
    await visitor.page.route("**/events", partial(_once, told))
    await open_player(visitor, long_video)
    await visitor.until(is_loaded, what="everything is loaded")
    assert any("/240p-" in url for url in asked)
    assert not any("/360p-" in url for url in asked)
    told.set()
    limit = "tritontube.player.shaka.getConfiguration().abr.restrictions.maxHeight"
    await eventually(lambda: is_allowed(visitor, limit, 360), what="the better quality may be chosen")


async def _as_it_was_at_first(route: Route) -> None:
    answer = await route.fetch()
    page = (await answer.text()).replace('data-status="ready"', 'data-status="playable"')
    assert 'data-height="360"' in page
    await route.fulfill(response=answer, body=page.replace('data-height="360"', 'data-height="240"'))


async def _once(told: asyncio.Event, route: Route) -> None:
    await told.wait()
    await route.continue_()


async def is_allowed(visitor: Viewer, limit: str, height: int) -> bool:
    return bool(await visitor.page.evaluate(limit) == height)


@pytest.mark.parametrize("size", _RENDITIONS.values(), ids=_RENDITIONS)
async def test_seeking_shows_the_right_picture_on_both_sides_of_every_boundary(
    visitor: Viewer, long_video: Json, size: tuple[int, int]
) -> None:
    await open_player(visitor, long_video, "embed")
    await visitor.page.evaluate(_CHOOSE, size[1])
    await until_size(visitor, size)
    # Our player would skip the 20 ms to a boundary rather than wait for them.
    await visitor.until(is_loaded, what="everything is loaded")
    await visitor.page.evaluate("tritontube.player.video.pause()")
    boundaries = range(_SEGMENT_FRAMES, LONG.frames, _SEGMENT_FRAMES)
    # Backwards, so that each seek leaves what is just being decoded.
    wanted = [frame + step for frame in reversed(boundaries) for step in (0, -1, 1)]
    seek = f"frame => viewer.seek(frame, {LONG.fps})"
    assert [await visitor.page.evaluate(seek, frame) for frame in wanted] == wanted


async def test_sound_is_there_as_long_as_the_picture(visitor: Viewer, long_video: Json) -> None:
    await open_player(visitor, long_video)
    await visitor.until(is_loaded, what="everything is loaded")
    loaded = await visitor.page.evaluate("tritontube.player.shaka.getBufferedInfo()")
    for sound, picture in zip(loaded["audio"], loaded["video"], strict=True):
        assert sound["start"] == pytest.approx(picture["start"], abs=_SOUND_TOLERANCE_S)
        assert sound["end"] == pytest.approx(picture["end"], abs=_SOUND_TOLERANCE_S)


@pytest.mark.parametrize("film", [LONG, *SHORT], ids=lambda film: film.name)
async def test_film_plays_to_its_exact_end_with_every_picture_in_its_place(
    visitor: Viewer, numbered_videos: dict[str, Json], film: NumberedFilm
) -> None:
    await open_player(visitor, numbered_videos[film.name])
    await visitor.note_pictures(film.duration_s)
    await hurry(visitor)
    await assert_ends(visitor, film)
    await assert_pictures_in_place(visitor, film)
    done = await visitor.playback()
    assert (done.width, done.height) == (film.width, film.height)
    assert done.decoded >= film.frames
    statistics = await visitor.page.evaluate("tritontube.player.shaka.getStats()")
    assert statistics["gapsJumped"] == 0


@pytest.mark.parametrize("open_in", [open_hls, open_dashjs, open_hlsjs])
async def test_other_players_play_a_finished_video_to_its_exact_end(
    visitor: Viewer, numbered_videos: dict[str, Json], open_in: Callable[[Viewer, Json], Awaitable[None]]
) -> None:
    await open_in(visitor, numbered_videos[SIXTY.name])
    await visitor.until(has_begun, what="it plays")
    await visitor.note_pictures(SIXTY.duration_s)
    await hurry(visitor)
    await assert_ends(visitor, SIXTY)
    await assert_pictures_in_place(visitor, SIXTY)


@pytest.mark.parametrize("manifest", ["manifest", "hls"])
@pytest.mark.parametrize("index", range(len(_RENDITIONS)))
async def test_ffmpeg_finds_every_picture(stack: Stack, long_video: Json, manifest: str, index: int) -> None:
    # One rendition at a time: ffmpeg ends all of them when the first one has ended.
    address = stack.endpoints.web + long_video["links"][manifest]
    query = ("-count_frames", "-select_streams", f"v:{index}", "-show_entries", "stream=nb_read_frames")
    said = run(["ffprobe", "-v", "error", *query, "-of", "json", address])
    assert json.loads(said)["streams"] == [{"nb_read_frames": str(LONG.frames)}]


async def test_player_works_in_the_frame_of_another_site(visitor: Viewer, long_video: Json) -> None:
    embed = visitor.base_url + long_video["links"]["embed"]
    async with other_site(f'<iframe src="{embed}" allow="autoplay"></iframe>') as address:
        visitor.expect(address)
        await visitor.page.goto(address)
    player = visitor.page.frames[1]
    await eventually(lambda: player.evaluate("tritontube.player.loaded"), what="the player is there")
    await player.evaluate("tritontube.player.video.play()")
    await eventually(lambda: player.evaluate("tritontube.player.video.currentTime > 0.2"), what="it plays")
