"""Sheets of small pictures are drawn from finished segments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.shared.errors import PermanentJobError, UnavailableError
from services.shared.storyboard import Storyboard, storyboard_of
from services.transcoder.process import Limits
from services.transcoder.storyboard import draw
from tests.harness.media import Transcoded, run, transcode
from tests.harness.numbered import BOARDED, number_of

LIMITS = Limits(wall_s=60)
SEGMENT_FRAMES = 4 * BOARDED.fps


@pytest_asyncio.fixture(scope="module")
async def film(source_folder: Path) -> Transcoded:
    return await transcode(BOARDED.recipe.make(source_folder))


def board_of(film: Transcoded) -> Storyboard:
    lowest = film.plan.renditions[0]
    return storyboard_of(segments=film.plan.segments, width=lowest.width, height=lowest.height)


async def media(film: Transcoded, board: Storyboard) -> AsyncIterator[bytes]:
    track = film.plan.renditions[0].name
    yield film.collector.inits[track]
    for sheet in range(board.sheets):
        for number in board.segments_of(sheet):
            yield film.collector.segments[track, number]


async def drawn(chunks: AsyncIterator[bytes], board: Storyboard) -> dict[int, bytes]:
    sheets: dict[int, bytes] = {}

    async def keep(number: int, sheet: bytes) -> None:
        sheets[number] = sheet

    size_bytes = await draw(board, chunks, keep, limits=LIMITS)
    assert size_bytes == sum(map(len, sheets.values()))
    return sheets


def tiles(sheet: bytes, board: Storyboard, folder: Path) -> list[bytes]:
    """The pictures of a sheet as brightness, row by row."""
    path = folder / "sheet.jpg"
    path.write_bytes(sheet)
    width, height = board.tile_width, board.tile_height
    pictures = []
    for place in range(board.per_sheet):
        row, column = divmod(place, board.columns)
        crop = f"crop={width}:{height}:{column * width}:{row * height}:exact=1,format=gray"
        pictures.append(run(["ffmpeg", "-v", "error", "-i", str(path), "-vf", crop, "-f", "rawvideo", "-"]))
    return pictures


async def test_every_picture_is_the_first_of_its_segment(film, tmp_path):
    board = board_of(film)
    sheets = await drawn(media(film, board), board)
    assert (board.pictures, sorted(sheets)) == (29, [0, 1])
    shown = [picture for number in sorted(sheets) for picture in tiles(sheets[number], board, tmp_path)]
    numbers = [number_of(picture, board.tile_width, board.tile_height) for picture in shown]
    assert numbers[: board.pictures] == [n * SEGMENT_FRAMES for n in range(board.pictures)]
    assert not any(max(picture) > 40 for picture in shown[board.pictures :]), "the rest is black"


async def test_a_segment_that_cannot_be_decoded_costs_the_storyboard_rather_than_shifting_it(film):
    board = board_of(film)

    async def broken() -> AsyncIterator[bytes]:
        number = 0
        async for segment in media(film, board):
            damaged = segment[:-2000] + bytes(2000) if number == 3 else segment
            number += 1
            yield damaged[: len(damaged) // 2] if number == 7 else damaged

    with pytest.raises(PermanentJobError, match="drawn"):
        await drawn(broken(), board)


async def test_segments_that_cannot_be_read_now_are_no_lasting_fault(film):
    board = board_of(film)

    async def interrupted() -> AsyncIterator[bytes]:
        async for segment in media(film, board):
            yield segment
            raise UnavailableError("The ring is away.")

    with pytest.raises(UnavailableError):
        await drawn(interrupted(), board)
