"""Whether AAC in a broadcast changes its form on the way, from the headers of its frames.

Each frame there says how many channels it has, and at which rate (ADTS, ISO/IEC 13818-7). Matroska says so
once for all of them, and what comes in another form would be decoded as rubbish or not at all.
"""

from __future__ import annotations

from typing import Final

from services.transcoder.process import Chunks

_HEADER_BYTES: Final = 7
_SYNC: Final = 0xFFF
"""The twelve bits that a header begins with."""
_LAYER_BITS: Final = 0b110
_LENGTH_BITS: Final = 0x1FFF
_FORM_BITS: Final = 0xFDC0
"""Profile, rate and channels, among the bits of a header's third and fourth byte."""


class AdtsScan:
    """Follows a stream frame by frame. Where it is damaged, it looks for the next header."""

    def __init__(self) -> None:
        self._kept = b""
        self._skipped = 0
        self._first: int | None = None
        self._latest: int | None = None
        self.varies = False
        """Whether two frames at once were of another form than the first; a single one may be damaged."""

    async def consume(self, chunks: Chunks) -> None:
        """Take the stream's bytes."""
        async for chunk in chunks:
            self.feed(chunk)

    def feed(self, chunk: bytes) -> None:
        """Take some of the stream's bytes."""
        data, place = self._kept + chunk, self._skipped
        while place + _HEADER_BYTES <= len(data):
            length = _frame_bytes(data, place)
            if length:
                self._see(int.from_bytes(data[place + 2 : place + 4]) & _FORM_BITS)
            place += length or 1
        self._kept, self._skipped = data[place:], max(0, place - len(data))

    def _see(self, form: int) -> None:
        if self._first is None:
            self._first = form
        self.varies = self.varies or self._first != form == self._latest
        self._latest = form


def _frame_bytes(data: bytes, place: int) -> int:
    """The length of the frame that begins there; 0: none does."""
    head = int.from_bytes(data[place : place + 2])
    if head >> 4 != _SYNC or head & _LAYER_BITS:
        return 0
    length = int.from_bytes(data[place + 3 : place + 6]) >> 5 & _LENGTH_BITS
    return length if length >= _HEADER_BYTES else 0
