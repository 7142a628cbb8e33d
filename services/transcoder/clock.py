"""Whether the clock of a broadcast can be believed, from the time stamps of its packets.

Where two recordings meet, the clock leaps or falls back. Ffmpeg then moves all streams, as soon as the time
stamps of *one* take a step that is large enough. But a step forward may as well be a hole: pictures that stay
away while the sound goes on must not be moved together. A leap is one if nothing else fills it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from services.transcoder.process import Chunks, lines_of

LEAP_S: Final = 10.0
"""A gap of so much in all streams is a leap of the clock: ffmpeg's own threshold for that."""
_LEAP_ALONE_S: Final = 60.0
"""With no stream beside it that could fill a gap, more of them are taken for holes."""
_FALL_S: Final = 0.1
"""Time stamps that fall back by less are merely inexact: again as ffmpeg sees it."""
_LEAST_S: Final = 1.0


class ClockScan:
    """Follows a file's streams packet by packet, in the order of the file."""

    def __init__(self, streams: Collection[int]) -> None:
        self._streams = frozenset(streams)
        self._latest: dict[int, float] = {}
        self._reached: float | None = None
        self._leaps = False
        self._least_fall_s: float | None = None

    async def consume(self, chunks: Chunks) -> None:
        """Take ffprobe's output: lines `stream,dts,duration`, in seconds."""
        async for line in lines_of(chunks):
            stream, dts, duration, *_ = [*line.split(","), "", "", ""]
            time_s = _seconds(dts)
            if time_s is not None and stream.isdigit():
                self.take(int(stream), time_s, _seconds(duration) or 0.0)

    def take(self, stream: int, time_s: float, duration_s: float) -> None:
        """The next packet of the file."""
        if stream not in self._streams:
            return
        fall_s = self._latest.get(stream, time_s) - time_s
        if fall_s > _FALL_S:
            self._least_fall_s = min(fall_s, self._least_fall_s or fall_s)
        leap_s = LEAP_S if len(self._streams) > 1 else _LEAP_ALONE_S
        reached = time_s if self._reached is None else self._reached
        self._leaps = self._leaps or time_s - reached > leap_s
        self._reached = max(reached, time_s + duration_s)
        self._latest[stream] = time_s

    @property
    def leap_s(self) -> float | None:
        """The least step of one stream that is to be taken for a leap of the clock; None: it never leaps.

        Where the clock falls back, what was still to come of one stream seems to be ahead by the same step,
        and has to be told, too.
        """
        if self._least_fall_s is not None:
            return min(LEAP_S, max(_LEAST_S, self._least_fall_s / 2))
        return LEAP_S if self._leaps else None


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # N/A, or a line of another kind
        return None
