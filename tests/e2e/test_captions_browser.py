"""Captions and the storyboard as viewers meet them, in real Chromium over the whole stack."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.harness.holding import in_the_making
from tests.harness.media import run
from tests.harness.numbered import LONG
from tests.harness.other_players import open_dashjs, open_hlsjs
from tests.harness.stack import Json, Stack
from tests.harness.subtitled import Words, subtitled
from tests.harness.viewer import Viewer
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_WORDS = Words(language="eng", sentences={1: "Hello there", 20: "Bye"}, title="For all")
_WORDLESS = {"&lrm;", "\u200e"}
_GIVEN = "1\n00:00:02,000 --> 00:00:20,000\nGuten <i>Tag</i>\n"
_SHOW = """title => {
    const { shaka } = tritontube.player;
    shaka.selectTextTrack(shaka.getTextTracks().find((track) => track.label === title));
}"""
_TEXT_AT = """time => {
    const { video } = tritontube.player;
    video.pause();
    if (Math.abs(video.currentTime - time) > 0.1) video.currentTime = time;
    return document.querySelector(".shaka-text-container")?.textContent ?? "";
}"""
_LABELS = "tritontube.player.shaka.getTextTracks().map((track) => track.label).sort()"
_PICTURE = """async time => {
    const { shaka } = tritontube.player;
    const [track] = shaka.getImageTracks();
    const { uris, positionX, positionY, startTime } = await shaka.getThumbnails(track.id, time);
    return [uris[0].replace(/.*\\/|#.*/g, ""), positionX, positionY, startTime];
}"""
_IMAGES = "tritontube.player.shaka.getImageTracks().length"
_DASHJS = """() => {
    const tracks = player.getTracksFor("text");
    player.setTextTrack(0);
    return tracks.map(({ lang, labels }) => [lang, labels[0].text]);
}"""
_DASHJS_PICTURE = """time => new Promise((resolve) => player.provideThumbnail(time,
    (picture) => resolve(picture && [picture.url.replace(/.*\\//, ""), picture.x, picture.y]))
)"""
_HLSJS = """() => {
    player.subtitleDisplay = true;
    player.subtitleTrack = 0;
    return player.subtitleTracks.map(({ lang, name }) => [lang, name]);
}"""
_CUES = """() => [...document.querySelector("video").textTracks].flatMap(
    (track) => [...(track.cues ?? [])].map((cue) => cue.text))"""
_SHEET = ".shaka-player-ui-thumbnail-image-container img"
# As the page itself does it: while Shaka loads, nothing is added to what it had before. The captions are
# chosen beforehand: chosen later, Shaka shows those of HLS only when it has loaded another segment of the
# picture, and once all of those are there, never.
_HLS = """async language => {
    const { player } = tritontube;
    player.late.loaded(null);
    player.shaka.configure("preferredText", [{ language }]);
    await player.shaka.load(player.hls);
}"""


@pytest_asyncio.fixture(scope="module")
async def video(stack: Stack, source_folder: Path) -> Json:
    """Ready, with its storyboard and the captions that were found in its source."""
    uploaded = await stack.upload(subtitled(LONG.recipe.make(source_folder), [_WORDS]))
    await stack.wait_status(uploaded["id"], "ready")

    async def complete() -> Json | None:
        now = await stack.video(uploaded["id"])
        return now if now["links"]["storyboard"] and now["captions"] else None

    return await eventually(complete, deadline_s=60, what="captions and storyboard are there")


async def open_player(visitor: Viewer, video: Json, page: str = "watch") -> None:
    await visitor.open(video["links"][page])
    await eventually(lambda: visitor.page.evaluate("tritontube.player.loaded"), what="the player is there")


async def see(visitor: Viewer, words: str, *, at_s: float, title: str) -> None:
    """Choose captions and wait until the words stand on the picture."""
    await visitor.page.evaluate(_SHOW, title)

    async def seen() -> bool:
        # A player that has just loaded goes to the beginning, perhaps after it was told to go elsewhere.
        said = await visitor.page.evaluate(_TEXT_AT, at_s)
        return words in " ".join(said.split())

    await eventually(seen, deadline_s=60, what=f"{words!r} stands on the picture")


async def test_captions_found_in_the_source_are_shown(visitor: Viewer, video: Json) -> None:
    assert [(caption["name"], caption["given"]) for caption in video["captions"]] == [("en", False)]
    await open_player(visitor, video)
    assert await visitor.page.evaluate(_LABELS) == ["For all"]
    await see(visitor, "Hello there", at_s=1.5, title="For all")
    await visitor.page.locator("#captions li", has_text="For all").wait_for()


@pytest.mark.parametrize("page", ["watch", "embed"])
async def test_the_seek_bar_shows_the_picture_of_each_time(visitor: Viewer, video: Json, page: str) -> None:
    await open_player(visitor, video, page)
    assert await visitor.page.evaluate(_PICTURE, 13.0) == ["storyboard-g0-00000.jpg", 480, 0, 12]
    await visitor.page.locator("#player").hover()
    bar = visitor.page.locator(".shaka-seek-bar-container")
    box = await bar.bounding_box()
    assert box is not None
    await visitor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await visitor.page.locator(_SHEET).wait_for()
    loaded = "path => document.querySelector(path).naturalWidth"
    assert await eventually(lambda: visitor.page.evaluate(loaded, _SHEET), what="the sheet is there") == 800


async def test_hls_has_the_same_captions_and_pictures(visitor: Viewer, video: Json) -> None:
    await open_player(visitor, video, "embed")
    await visitor.page.evaluate(_HLS, "en")
    assert await visitor.page.evaluate(_LABELS) == ["For all"]
    assert await visitor.page.evaluate(_PICTURE, 13.0) == ["storyboard-g0-00000.jpg", 480, 0, 12]
    await see(visitor, "Hello there", at_s=1.5, title="For all")


async def test_captions_given_on_the_page_are_there_at_once_and_go_when_removed(
    stack: Stack, visitor: Viewer, video: Json
) -> None:
    await open_player(visitor, video)
    await visitor.page.fill("#captions-form [name=name]", "ger")
    await visitor.page.set_input_files(
        "#captions-file", {"name": "a.srt", "mimeType": "application/x-subrip", "buffer": _GIVEN.encode()}
    )
    row = visitor.page.locator("#captions li", has_text="Deutsch")
    await row.wait_for()
    await eventually(
        lambda: visitor.page.evaluate(f"{_LABELS}.includes('Deutsch')"), what="the player knows them"
    )
    await see(visitor, "Guten Tag", at_s=3, title="Deutsch")
    await open_player(visitor, video)  # once more, now by the manifest
    await see(visitor, "Guten Tag", at_s=3, title="Deutsch")
    await row.locator("button").click()
    await row.wait_for(state="detached")
    assert [caption["name"] for caption in (await stack.video(video["id"]))["captions"]] == ["en"]


async def test_dashjs_finds_captions_and_pictures_in_the_manifest(visitor: Viewer, video: Json) -> None:
    await open_dashjs(visitor, video)
    await visitor.until(lambda now: now.position_s > 0, what="it plays")
    assert await visitor.page.evaluate(_DASHJS) == [["en", "For all"]]
    await eventually(lambda: visitor.page.evaluate(_DASHJS_PICTURE, 13.0), what="pictures are there")
    assert await visitor.page.evaluate(_DASHJS_PICTURE, 13.0) == ["storyboard-g0-00000.jpg", 480, 0]
    await eventually(lambda: words_of(visitor), what="the words are there")
    assert await words_of(visitor) == ["Hello there", "Bye"]


@pytest.mark.parametrize("link", ["manifest", "hls"])
async def test_ffmpeg_reads_a_video_with_captions_to_its_end(stack: Stack, video: Json, link: str) -> None:
    """It gives up an MPD where its first track ends: captions are over long before the pictures, often."""
    address = stack.endpoints.web + video["links"][link]
    query = ("-count_packets", "-select_streams", "v:0", "-show_entries", "stream=nb_read_packets")
    said = await asyncio.to_thread(run, ["ffprobe", "-v", "error", *query, "-of", "csv=p=0", address])
    assert int(said.split()[0].strip(b",")) == LONG.duration_s * LONG.fps


async def test_captions_that_are_given_last_as_long_as_the_video(stack: Stack, video: Json) -> None:
    async with httpx.AsyncClient(base_url=stack.endpoints.web) as http:
        given = await http.put(f"{video['links']['self']}/captions/sv", content=_GIVEN)
        file = await http.get(given.json()["url"])
        await http.delete(f"{video['links']['self']}/captions/sv")
    assert file.text.endswith(
        f"\n00:00:{LONG.duration_s - 0.001:06.3f} --> 00:00:{LONG.duration_s:06.3f}\n&lrm;\n"
    )


async def test_hlsjs_finds_captions_in_the_playlists(visitor: Viewer, video: Json) -> None:
    await open_hlsjs(visitor, video)
    await visitor.until(lambda now: now.position_s > 0, what="it plays")
    assert await visitor.page.evaluate(_HLSJS) == [["en", "For all"]]
    await eventually(lambda: words_of(visitor), what="the words are there")
    assert await words_of(visitor) == ["Hello there", "Bye"]


async def words_of(visitor: Viewer) -> list[str]:
    """The captions that the browser knows of, and that say something."""
    return [text for text in await visitor.page.evaluate(_CUES) if text not in _WORDLESS]


async def test_captions_given_early_are_shown_by_every_player_while_the_video_grows(
    stack: Stack, visitor: Viewer, source_folder: Path
) -> None:
    uploaded = await stack.upload(LONG.recipe.make(source_folder))
    address = f"{visitor.base_url}/api/videos/{uploaded['id']}/captions/de"
    assert (await visitor.page.request.put(address, data=_GIVEN)).status == 201
    async with in_the_making(stack, uploaded["id"]):
        video = await stack.video(uploaded["id"])
        await open_player(visitor, video)
        await see(visitor, "Guten Tag", at_s=2.5, title="Deutsch")
        for open_in, choose in ((open_dashjs, _DASHJS), (open_hlsjs, _HLSJS)):
            await open_in(visitor, video)
            await visitor.until(lambda now: now.position_s > 0, what="it plays")
            assert await visitor.page.evaluate(choose) == [["de", "Deutsch"]]
            await eventually(lambda: words_of(visitor), what="the words are there")
        await open_player(visitor, video)
        await visitor.page.evaluate(_HLS, "de")
    # After a seek, too, they are there only with another segment of the picture.
    await see(visitor, "Guten Tag", at_s=2.5, title="Deutsch")
    await stack.wait_status(uploaded["id"], "ready")


async def test_pictures_that_come_before_the_player_knows_the_video_to_be_whole_are_shown_then(
    stack: Stack, visitor: Viewer, video: Json, source_folder: Path
) -> None:
    uploaded = await stack.upload(LONG.recipe.make(source_folder))
    await visitor.page.route("**/events", lambda route: route.abort())  # news come from here only
    visitor.expect("Failed to load resource")
    async with in_the_making(stack, uploaded["id"]):
        await open_player(visitor, await stack.video(uploaded["id"]))
        assert await visitor.page.evaluate("tritontube.player.shaka.isInProgress()")
        await visitor.page.evaluate(
            "video => tritontube.player.late.offer(video)", await stack.video(video["id"])
        )
        assert await visitor.page.evaluate(_IMAGES) == 0
    await eventually(lambda: visitor.page.evaluate(_IMAGES), deadline_s=120, what="the seek bar has pictures")


async def test_a_page_that_is_open_gets_pictures_and_the_verdict_without_being_loaded_again(
    stack: Stack, visitor: Viewer, source_folder: Path
) -> None:
    uploaded = await stack.upload(subtitled(LONG.recipe.make(source_folder), [_WORDS]))
    async with in_the_making(stack, uploaded["id"]):
        await open_player(visitor, await stack.video(uploaded["id"]))
        await visitor.page.evaluate("window.sameAsEver = true")
        assert await visitor.page.evaluate(_IMAGES) == 0
        await expect(visitor.page.locator("#verdict")).to_be_hidden()
    await stack.wait_status(uploaded["id"], "ready", deadline_s=240)
    await eventually(lambda: visitor.page.evaluate(_IMAGES), deadline_s=90, what="the seek bar has pictures")
    assert await visitor.page.evaluate(_PICTURE, 13.0) == ["storyboard-g0-00000.jpg", 480, 0, 12]
    await eventually(lambda: visitor.page.evaluate(f"{_LABELS}.length"), what="the captions are there")
    await expect(visitor.page.locator("#verdict")).to_have_text("Checked: all is well.", timeout=90_000)
    assert await visitor.page.evaluate("window.sameAsEver")
    await visitor.screenshot("watch-verdict")
