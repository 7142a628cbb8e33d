"""A stream's packets, as ffprobe lists them, digested to what planning needs."""

from __future__ import annotations

import contextlib
from array import array
from itertools import pairwise
from statistics import median
from typing import Final

from services.shared.errors import UnsupportedMediaError
from services.transcoder.process import Chunks, lines_of
from services.transcoder.source import KeyFrame

_GAP_SAMPLE: Final = 10_000
"""Packets at the beginning from which the typical distance between frames is taken."""
_PLACEHOLDER_BYTES: Final = 8
"""No picture that stands for itself is so small. In AVI, MPEG-4 may have two pictures in one packet and then
an empty one in place of the second, and some programs mark that as a key frame where the first two are."""

_BEFORE_ALL: Final = -(1 << 63)
"""ffmpeg's time stamps have 64 bits, and all of a stream's may be negative."""


class PacketScan:
    """Digests the list of packets line by line, keeping only what planning needs."""

    def __init__(self, max_packets: int) -> None:
        self._max_packets = max_packets
        self._early = array("q")
        self._first: int | None = None
        self._start: int | None = None
        self._key_frames: list[KeyFrame] = []
        self._last = _BEFORE_ALL
        self._told_end = _BEFORE_ALL
        self.packets = 0
        """Pictures that are shown."""

    async def consume(self, chunks: Chunks) -> None:
        """Take ffprobe's output."""
        async for line in lines_of(chunks):
            pts, dts, duration, size, flags, *_ = [*line.split(","), "", "", "", "", ""]
            time = _ticks(dts if pts == "N/A" else pts)
            if time is not None:
                key = "K" in flags and (_ticks(size) or 0) > _PLACEHOLDER_BYTES
                # D: an edit list discards the picture. It is decoded, perhaps because those after it need it,
                # and not shown.
                self._take(time, _ticks(dts), _ticks(duration) or 0, key=key, shown="D" not in flags)

    def _take(self, pts: int, dts: int | None, duration: int, *, key: bool, shown: bool) -> None:
        if key and (shown or not self._key_frames):
            self._key_frames.append(KeyFrame(pts=pts, dts=pts if dts is None else dts))
        if shown:
            self._show(pts, duration)

    def _show(self, pts: int, duration: int) -> None:
        self.packets += 1
        if self.packets > self._max_packets:
            raise UnsupportedMediaError(f"The video has more than {self._max_packets} frames.")
        self._first = pts if self._first is None else min(self._first, pts)
        # Pictures before the first key frame lean on some that are not in the file.
        if self._key_frames and pts >= self._key_frames[0].pts:
            self._start = pts if self._start is None else min(self._start, pts)
        self._last = max(self._last, pts)
        self._told_end = max(self._told_end, pts + duration)
        if len(self._early) < _GAP_SAMPLE:
            self._early.append(pts)

    @property
    def start(self) -> int:
        """When the first picture that can be decoded is shown, in ticks."""
        start = self._first if self._start is None else self._start
        assert start is not None
        return start

    @property
    def end(self) -> int:
        """When the last picture ends, in ticks; one that does not tell for how long is shown as long as most.

        Of MP4 with B-frames and a varying rate, ffprobe tells it of none.
        """
        return self._last + self.typical_gap if self.open_ended else self._told_end

    @property
    def open_ended(self) -> bool:
        """Whether the last picture does not tell for how long it is shown."""
        return self._told_end <= self._last

    @property
    def key_frames(self) -> tuple[KeyFrame, ...]:
        """Where decoding can begin: at least at the beginning, for streams refreshed by intra blocks."""
        found = sorted(self._key_frames, key=lambda key: key.pts)
        return tuple(found or [KeyFrame(pts=self.start, dts=self.start)])

    @property
    def typical_gap(self) -> int:
        """Median distance of neighbouring frames at the beginning, in ticks; 0 for a single frame."""
        times = sorted(self._early)
        gaps = [after - before for before, after in pairwise(times) if after > before]
        return int(median(gaps)) if gaps else 0


class LatestEnd:
    """Finds when the last of some packets ends, from lines `pts_time,duration_time` in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def consume(self, chunks: Chunks) -> None:
        """Take ffprobe's output."""
        async for line in lines_of(chunks):
            start, duration, *_ = [*line.split(","), "", ""]
            with contextlib.suppress(ValueError):  # N/A, or a line of another kind
                self.seconds = max(self.seconds, float(start) + _seconds(duration))


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _ticks(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # N/A, or a line of another kind
        return None
