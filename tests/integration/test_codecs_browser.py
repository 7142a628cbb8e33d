"""Real Chromium plays VP9 and AV1 made in pieces, alone and beside H.264, in three players."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from services.transcoder.ladder import Ladder, Rungs
from tests.harness.media import transcode
from tests.harness.numbered import BRIEF
from tests.harness.other_players import open_dashjs, open_hlsjs
from tests.harness.site import site, write_site
from tests.harness.sources import Recipe
from tests.harness.viewer import Viewer, visiting

FILM = BRIEF
CODECS = ("h264", "vp9", "av1")
LADDER = Ladder(codec=tuple(Rungs(profile=profile, lines=(FILM.height,)) for profile in CODECS))
OFFERS = {"vp9": ("vp9",), "av1": ("av1",), "mixed": CODECS}
SHAKA = Path("services/web/static/vendor/shaka/shaka-player.ui.js").absolute()
PLAY_SHAKA = """async manifest => {
    const video = document.querySelector("video");
    window.player = new shaka.Player();
    await player.attach(video);
    await player.load(manifest);
    await video.play();
}"""
FAST = "() => { document.querySelector('video').playbackRate = 4 }"


@pytest.fixture(scope="module")
async def films(source_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with all that players ask for, with one codec and with several."""
    folder = tmp_path_factory.mktemp("films")
    made = await transcode(FILM.recipe.make(source_folder), LADDER)
    for name, profiles in OFFERS.items():
        offered = tuple(r for r in made.plan.renditions if r.encoding.profile in profiles)
        (folder / name).mkdir()
        write_site(replace(made, plan=made.plan.model_copy(update={"renditions": offered})), folder / name)
    return folder


@pytest.fixture
async def visitor(browser: Browser, films: Path) -> AsyncIterator[Viewer]:
    with site(films) as address:
        async with visiting(browser, address) as visitor:
            yield visitor


def links(name: str) -> dict[str, Any]:
    return {"links": {"manifest": f"/{name}/manifest.mpd", "hls": f"/{name}/master.m3u8"}}


async def open_shaka(visitor: Viewer, video: dict[str, Any]) -> None:
    manifest = video["links"]["manifest"]
    await visitor.open(str(Path(manifest).with_name("index.html")))
    await visitor.page.add_script_tag(path=SHAKA)
    await visitor.page.evaluate(PLAY_SHAKA, manifest)


async def assert_plays_to_the_end(visitor: Viewer) -> None:
    """To its exact end, without a gap, and every picture that was shown is the one of its time."""
    await visitor.until(lambda now: now.position_s > 0, what="it plays")
    await visitor.note_pictures(FILM.duration_s)
    await visitor.page.evaluate(FAST)
    done = await visitor.until(lambda now: now.ended, what="the film ended")
    assert done.position_s == pytest.approx(FILM.duration_s, abs=1e-4)
    assert done.buffered == [[0, pytest.approx(FILM.duration_s, abs=1e-4)]]
    assert (done.width, done.height, done.corrupted) == (FILM.width, FILM.height, 0)
    pictures = await visitor.page.evaluate("viewer.pictures")
    assert len(pictures) >= FILM.duration_s
    assert not [p for p in pictures if p["number"] != round(p["time_s"] * FILM.fps)]


async def test_the_smallest_pictures_are_of_a_codec_that_browsers_know(browser, source_folder, tmp_path):
    small = Recipe(name="tiny", size="160x96", rate="10", duration_s=5)
    write_site(await transcode(small.make(source_folder)), tmp_path)
    with site(tmp_path) as address:
        async with visiting(browser, address) as visitor:
            await open_shaka(visitor, {"links": {"manifest": "/manifest.mpd"}})
            await visitor.until(lambda now: now.position_s > 0, what="it plays")


@pytest.mark.parametrize(
    ("name", "open_in"),
    [("vp9", open_shaka), ("av1", open_shaka), ("vp9", open_hlsjs), ("mixed", open_hlsjs)],
)
async def test_films_play_to_their_end_with_every_picture_in_its_place(visitor, name, open_in):
    await open_in(visitor, links(name))
    await assert_plays_to_the_end(visitor)


async def test_of_several_codecs_dashjs_takes_the_thriftiest_and_plays_it_to_the_end(visitor):
    await open_dashjs(visitor, links("mixed"))
    await assert_plays_to_the_end(visitor)
    assert "av01" in await visitor.page.evaluate("player.getCurrentTrackFor('video').codec")


async def test_shaka_can_be_told_which_codec_to_take(visitor):
    await open_shaka(visitor, links("mixed"))
    await visitor.until(lambda now: now.position_s > 0, what="it plays")
    for codec in ("av01", "vp09", "avc1"):
        await visitor.page.evaluate("codec => player.configure({ preferredVideo: [{ codec }] })", codec)
        await visitor.page.evaluate("manifest => player.load(manifest)", links("mixed")["links"]["manifest"])
        tracks = await visitor.page.evaluate("player.getVariantTracks()")
        assert {track["videoCodec"].partition(".")[0] for track in tracks} == {codec}
        await visitor.until(lambda now: now.decoded > 0, what=f"it plays {codec}")
