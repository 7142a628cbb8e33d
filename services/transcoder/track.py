"""One track on its way out of an encoder: each segment is checked, handed on, and counted."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from services.shared.errors import InvalidRequestError, UnfitPieceError
from services.shared.task import TrackResult
from services.transcoder.fragments import FragmentParser, InitSegment, MediaSegment
from services.transcoder.process import Chunks


class SegmentSink(Protocol):
    """Where finished files of tracks go. Those of one track arrive in order; tracks run side by side."""

    async def init(self, track: str, data: bytes) -> None:
        """Take a track's initialisation segment."""

    async def segment(self, track: str, number: int, data: bytes) -> None:
        """Take a media segment; `number` counts from the beginning of the video."""


class MismatchError(Exception):
    """The encoder made something other than planned; starting elsewhere in the source may help."""


class OnceSink:
    """Passes every file on once, however many attempts make it."""

    def __init__(self, sink: SegmentSink) -> None:
        self._sink = sink
        self._sent: dict[tuple[str, int | None], bytes] = {}

    async def init(self, track: str, data: bytes) -> None:
        """Pass on an initialisation segment.

        Raises:
            UnfitPieceError: an earlier attempt made other bytes for it.
        """
        if self._is_new((track, None), data):
            await self._sink.init(track, data)

    async def segment(self, track: str, number: int, data: bytes) -> None:
        """Pass on a media segment.

        Raises:
            UnfitPieceError: an earlier attempt made other bytes for it.
        """
        if self._is_new((track, number), data):
            await self._sink.segment(track, number, data)

    def _is_new(self, file: tuple[str, int | None], data: bytes) -> bool:
        digest = sha256(data).digest()
        before = self._sent.setdefault(file, digest)
        if before != digest:
            raise UnfitPieceError(f"A second attempt at {file} came out differently.")
        return before is digest


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the segments of a track look like. Only the last one of the whole track may be shorter."""

    first: int
    """Number of the first segment."""
    count: int | None
    """How many there must be; None: as many as come, for the run that reaches the end."""
    samples: int
    """In a segment."""
    ticks: int
    """A segment's duration in the track's ticks."""
    init_sha256: str | None = None
    """Of the initialisation segment that other runs made, if any did."""


class Track:
    """Takes one output of an encoder and passes its segments on, as long as they have the wanted shape."""

    def __init__(self, name: str, shape: Shape, sink: SegmentSink) -> None:
        self._name = name
        self._shape = shape
        self._sink = sink
        self._parser = FragmentParser()
        self._init: InitSegment | None = None
        self._sizes: list[tuple[int, int]] = []
        self.samples = 0
        """Frames seen so far."""

    async def consume(self, chunks: Chunks) -> None:
        """Check and pass on the segments in the encoder's output.

        Raises:
            MismatchError: one is not as it should be. Nothing of it was passed on.
        """
        async for chunk in chunks:
            try:
                for item in self._parser.feed(chunk):
                    await self._take(item)
            except InvalidRequestError as error:
                raise MismatchError(f"{self._name}: {error}") from error

    def result(self) -> TrackResult:
        """The account of a finished run.

        Raises:
            MismatchError: something is missing at the end.
        """
        self._parser.close()
        if self._init is None or not self._sizes:
            raise MismatchError(f"{self._name}: nothing was encoded.")
        if self._shape.count not in {None, len(self._sizes)}:
            raise MismatchError(f"{self._name}: {len(self._sizes)} segments, not {self._shape.count}.")
        return TrackResult(
            segments=len(self._sizes),
            size_bytes=sum(size for size, _ in self._sizes),
            peak_bitrate=self._peak_bitrate(self._init.timescale),
            codec=self._init.codec,
            init_sha256=sha256(self._init.data).hexdigest(),
        )

    async def _take(self, item: InitSegment | MediaSegment) -> None:
        if isinstance(item, InitSegment):
            self._check_init(item)
            self._init = item
            await self._sink.init(self._name, item.data)
        else:
            number = self._shape.first + len(self._sizes)
            self._check_segment(item, number)
            self._sizes.append((len(item.data), item.duration))
            self.samples += item.samples
            await self._sink.segment(self._name, number, item.data)

    def _check_init(self, item: InitSegment) -> None:
        wanted = self._shape.init_sha256
        if wanted and sha256(item.data).hexdigest() != wanted:
            raise MismatchError(f"{self._name}: the decoder configuration differs from the other pieces'.")

    def _check_segment(self, item: MediaSegment, number: int) -> None:
        shape, where = self._shape, f"{self._name}, segment {number}"
        if item.decode_time != number * shape.ticks:
            raise MismatchError(f"{where}: begins at {item.decode_time}, not {number * shape.ticks}.")
        if self.samples != len(self._sizes) * shape.samples:
            raise MismatchError(f"{where}: the one before was too short.")
        longest = item.samples <= shape.samples
        if not longest or (shape.count is not None and item.samples != shape.samples):
            raise MismatchError(f"{where}: {item.samples} frames, not {shape.samples}.")
        self._check_duration(item, where)

    def _check_duration(self, item: MediaSegment, where: str) -> None:
        # Where a track ends, its last frame may be cut short; that it does not end there, the next one tells.
        frame = self._shape.ticks // self._shape.samples
        slack = frame if self._shape.count is None else 1
        if self._sizes and self._sizes[-1][1] != self._shape.ticks:
            raise MismatchError(f"{where}: the one before lasts {self._sizes[-1][1]} ticks.")
        if abs(item.duration - item.samples * frame) >= slack:
            raise MismatchError(f"{where}: lasts {item.duration} ticks, not {item.samples * frame}.")

    def _peak_bitrate(self, timescale: int) -> int:
        # A last segment of a few frames would say nothing: a key frame over almost no time.
        full = [pair for pair in self._sizes if 2 * pair[1] >= self._shape.ticks] or self._sizes
        return max(-(-8 * size * timescale // max(ticks, 1)) for size, ticks in full)
