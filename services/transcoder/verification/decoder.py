"""Decode what was stored, as a player would, and count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.transcoder import command
from services.transcoder.process import Chunks, ExitError, Limits, run

_MAX_ANSWER_BYTES = 100


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What came out of a decoder."""

    frames: int
    complaint: str
    """The first thing that it said; empty: nothing."""


async def decode(segments: Iterable[bytes], *, limits: Limits) -> Decoded:
    """Decode an initialisation segment and the media segments that follow it.

    Raises:
        TransientJobError: a limit stopped the decoder.
    """
    answer = bytearray()

    async def keep(chunks: Chunks) -> None:
        async for chunk in chunks:
            answer.extend(chunk[:_MAX_ANSWER_BYTES])

    # Nothing is heard before the end, so silence is no sign of a fault here.
    limits = replace(limits, silence_s=limits.wall_s)
    try:
        said = await run(command.count_frames(), keep, limits=limits, stdin=_stream(segments))
    except ExitError as error:
        return Decoded(frames=0, complaint=_first_line(error.stderr) or str(error))
    count = bytes(answer).strip().rstrip(b",")
    return Decoded(frames=int(count) if count.isdigit() else 0, complaint=_first_line(said))


async def _stream(segments: Iterable[bytes]) -> Chunks:
    for data in segments:
        yield data


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")
