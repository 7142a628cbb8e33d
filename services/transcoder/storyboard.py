"""Sheets of small pictures, drawn from one rendition's finished segments: the source is not decoded again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from services.shared.errors import PermanentJobError
from services.shared.storyboard import Storyboard
from services.transcoder import command
from services.transcoder.pictures import JPEG_END
from services.transcoder.process import Chunks, ExitError, Limits, run

_MAX_SHEET_BYTES: Final = 8 << 20

Keep = Callable[[int, bytes], Awaitable[None]]
"""Takes a sheet, by its number."""


async def draw(board: Storyboard, media: Chunks, keep: Keep, *, limits: Limits) -> int:
    """Draw a storyboard, handing the sheets on as they are made; how many bytes they have together.

    Args:
        board: how it is laid out.
        media: the initialisation segment and those segments whose first pictures it shows, one after another.
        keep: gets the sheets.
        limits: bounds of the process.

    Raises:
        PermanentJobError: the segments cannot be decoded, or did not give the right number of sheets.
        TransientJobError: a limit stopped ffmpeg.
        TritonTubeError: whatever `media` or `keep` raised.
    """
    sheets = _Sheets(keep)
    try:
        await run(command.sheets(board), sheets.consume, limits=limits, stdin=media)
    except ExitError as error:
        raise PermanentJobError("Its pictures could not be drawn.", detail=error.stderr) from error
    if sheets.count != board.sheets:
        raise PermanentJobError(f"{sheets.count} sheets were drawn in place of {board.sheets}.")
    return sheets.size_bytes


class _Sheets:
    """Tells JPEG files in a row apart as they arrive."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self.count = 0
        self.size_bytes = 0

    async def consume(self, chunks: Chunks) -> None:
        rest = b""
        async for chunk in chunks:
            # The marker may lie across two chunks, so the whole rest is searched.
            *whole, rest = (rest + chunk).split(JPEG_END)
            for sheet in whole:
                await self._take(sheet + JPEG_END)
            if len(rest) > _MAX_SHEET_BYTES:
                raise PermanentJobError(f"A sheet has more than {_MAX_SHEET_BYTES} bytes.")

    async def _take(self, sheet: bytes) -> None:
        await self._keep(self.count, sheet)
        self.count += 1
        self.size_bytes += len(sheet)
