"""Files that are meant to do harm: what ffmpeg is told not to do, and what it could not do if it tried."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from services.shared.errors import TransientJobError, UnsupportedMediaError
from services.transcoder.command import Input
from services.transcoder.probe import inspect
from services.transcoder.process import ExitError, Limits, collect
from services.transcoder.sandbox import OPEN, strongest
from tests.fuzz.digestion import digest
from tests.fuzz.hunt import BOUNDS
from tests.harness.hostile import ASKED, READ, Trap, lists, media, trap
from tests.harness.range_server import range_server
from tests.harness.waiting import eventually, took_no_longer

UNCONFINED: Final = Limits(wall_s=240, silence_s=120, cpu_s=60, memory_bytes=2 << 30, sandbox=OPEN)
"""So that what refuses a file is what ffmpeg was told, and not the walls around it."""
CONFINED: Final = replace(UNCONFINED, sandbox=None)

EVERYTHING: Final = "file,http,tcp,udp,rtp,crypto,data,subfile,concat,cache,async,pipe"
ANY_NAME: Final = ("-allowed_extensions", "ALL")
ANY_PATH: Final = ("-safe", "0")

PROMPT_S: Final = 30.0
"""Seconds on an idle machine are tens on a busy one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def module_trap(folder: Path) -> Iterator[Trap]:
    with trap(folder) as made:
        yield made


@pytest.fixture
def laid(module_trap: Trap) -> Trap:
    module_trap.set()
    return module_trap


@pytest.fixture(scope="module")
def crafted(module_trap: Trap, folder: Path) -> Mapping[str, Path]:
    return media(module_trap, folder)


async def verdict(source: Input, limits: Limits) -> str:
    try:
        await inspect(source, bounds=BOUNDS, limits=limits)
    except UnsupportedMediaError as refusal:
        return str(refusal)
    return "accepted"


async def opened_unasked(path: Path, options: Sequence[str], limits: Limits) -> None:
    """Open a list of files as ffmpeg does if nobody forbids it."""
    given = ("-protocol_whitelist", EVERYTHING, *options, "-i", f"file:{path}")
    try:
        await collect(["ffprobe", "-v", "error", *given], limits=limits, max_bytes=1 << 20)
    except (ExitError, TransientJobError):
        return


async def test_lists_of_other_files_are_refused_at_once_and_nothing_they_name_is_touched(laid, folder):
    texts = lists(laid)
    for name, text in texts.items():
        (folder / f"{name}.mp4").write_text(text)
    with range_server(folder) as address:
        for name in texts:
            began = monotonic()
            said = await verdict(Input(location=f"{address}/{name}.mp4"), UNCONFINED)
            assert "not accepted" in said or "not a video file" in said, name
            took_no_longer(monotonic() - began, PROMPT_S, what=name)
            assert not laid.sprung(), name


@pytest.mark.skipif(not strongest().landlock_abi, reason="needs a kernel with Landlock")
@pytest.mark.parametrize(
    ("file", "options", "harm"),
    [
        ("hls_path.m3u8", ANY_NAME, READ),
        ("hls_http.m3u8", ANY_NAME, ASKED),
        ("hls_key.m3u8", ANY_NAME, ASKED),
        ("concat_path.ffconcat", ANY_PATH, READ),
        ("concat_relative.ffconcat", (), READ),
        ("concat_http.ffconcat", ANY_PATH, ASKED),
    ],
)
async def test_what_a_list_does_to_a_plain_ffmpeg_it_cannot_do_in_the_sandbox(
    file, options, harm, laid, folder
):
    path = folder / file
    path.write_text(lists(laid)[path.stem])
    await opened_unasked(path, options, CONFINED)
    assert not laid.sprung()
    opening = asyncio.create_task(opened_unasked(path, options, UNCONFINED))
    try:
        await eventually(lambda: harm in laid.sprung(), deadline_s=60, what=harm)
    finally:  # the service of the trap never answers
        opening.cancel()
        await asyncio.wait([opening])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("playlist_as_captions.avi", "no video stream"),
        ("picture_elsewhere.mov", "can be decoded"),
        ("many_streams.mkv", "more than 32 streams"),
        ("huge_picture.mov", "can be decoded"),
        ("header_bomb.mov", "no video stream"),
        ("time_bomb.mkv", "claims to last"),
        ("boxes_in_boxes.mp4", "not a video file"),
        ("endless_sync.ts", "not a video file"),
    ],
)
async def test_a_wicked_container_is_refused_at_once_with_a_reason(name, reason, crafted, laid):
    began = monotonic()
    done = await digest(crafted[name], limits=UNCONFINED, bounds=BOUNDS)
    assert reason in done.refusal
    took_no_longer(monotonic() - began, PROMPT_S, what=name)
    assert not laid.sprung()


@pytest.mark.parametrize("name", ["picture_elsewhere_url.mov", "attachments.mkv", "captions_of_files.mkv"])
async def test_what_a_video_names_besides_itself_is_not_looked_at(name, crafted, laid):
    done = await digest(crafted[name], limits=UNCONFINED, bounds=BOUNDS)
    assert (done.frames, done.refusal, done.concessions) == (25, "", ())
    assert not laid.sprung()


async def test_a_header_that_unpacks_beyond_the_memory_allowed_costs_no_more_than_that(crafted):
    little = replace(CONFINED, memory_bytes=128 << 20)
    done = await digest(crafted["header_bomb.mov"], limits=little, bounds=BOUNDS)
    assert "not a video file" in done.refusal
