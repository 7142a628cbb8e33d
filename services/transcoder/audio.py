"""Encode a sound track, whole and once: cut into pieces it would click at every join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.shared.errors import PermanentJobError, TransientJobError
from services.shared.plan import Plan
from services.shared.tracks import AAC_FRAME_SAMPLES, AAC_FRAMES_PER_SEGMENT, AUDIO_RATE_HZ, AudioTrack
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.encode import Encoded, finished
from services.transcoder.piping import piped
from services.transcoder.process import USUAL, ExitError, Limits, Progress, run_ffmpeg
from services.transcoder.track import MismatchError, SegmentSink, Shape, Track

_MARGIN_SAMPLES: Final = AUDIO_RATE_HZ
"""Encoded beyond leading segments and thrown away, so that the last of them does not end like a track."""

SHAPE: Final = Shape(
    first=0, count=None, samples=AAC_FRAMES_PER_SEGMENT, ticks=AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES
)
"""Segments of a sound track."""


class _Withheld(SegmentSink):
    """Keeps the last segment back: what is stored stays, and only a run's end tells whether it is right."""

    def __init__(self, sink: SegmentSink, *, segments: int) -> None:
        self._sink = sink
        self._segments = segments
        self._last: tuple[str, int, bytes] | None = None

    async def init(self, track: str, data: bytes) -> None:
        await self._sink.init(track, data)

    async def segment(self, track: str, number: int, data: bytes) -> None:
        if number >= self._segments:
            raise TransientJobError(f"The sound did not end after {self._segments} segments.")
        await self.release()
        self._last = (track, number, data)

    async def release(self) -> None:
        """Pass on what was kept back."""
        if self._last:
            await self._sink.segment(*self._last)
        self._last = None


class _Leading(SegmentSink):
    """Lets the first few segments pass."""

    def __init__(self, sink: SegmentSink, segments: int) -> None:
        self._sink = sink
        self._segments = segments

    async def init(self, track: str, data: bytes) -> None:
        await self._sink.init(track, data)

    async def segment(self, track: str, number: int, data: bytes) -> None:
        if number < self._segments:
            await self._sink.segment(track, number, data)


async def encode_audio(
    source: Input,
    plan: Plan,
    track: AudioTrack,
    sink: SegmentSink,
    *,
    leading: int | None = None,
    limits: Limits = USUAL,
    on_progress: Callable[[Progress], None] | None = None,
) -> Encoded:
    """Encode one sound track to exactly the video's length, passing its segments to `sink` as they come.

    With `leading`, only so many segments from the beginning. They are the very ones that the whole track
    begins with: the encoder looks ahead by no more than a frame. `limits` are those of a usual piece of
    work; a long track gets more time.

    Raises:
        PermanentJobError: this stream cannot be decoded.
        TransientJobError: a limit stopped ffmpeg, or it made less or more than it was told to.
        TritonTubeError: whatever the sink raised.
    """
    until = None if leading is None else leading * SHAPE.ticks + _MARGIN_SAMPLES
    samples = until or track.duration_samples
    limits = limits.for_sound(samples / AUDIO_RATE_HZ)
    frames = _frames_of(samples)
    kept = sink if leading is None else _Leading(sink, leading)
    withheld = _Withheld(kept, segments=-(-frames // AAC_FRAMES_PER_SEGMENT))
    output = Track(track.name, SHAPE, withheld)

    try:
        await _run(_Run(source=source, plan=plan, track=track, until=until), output, limits, on_progress)
        encoded = finished({track.name: output})
    except ExitError as error:
        raise PermanentJobError(f"Its sound could not be decoded. {error}") from error
    except MismatchError as error:
        raise PermanentJobError("Its sound could not be decoded.") from error
    if encoded.frames != frames:
        raise TransientJobError(f"The sound came out {_length(encoded.frames)} long, not {_length(frames)}.")
    await withheld.release()
    return encoded if leading is None else _shortened(encoded, leading)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What is to be encoded."""

    source: Input
    plan: Plan
    track: AudioTrack
    until: int | None

    def straight(self, urls: Sequence[str]) -> list[str]:
        """The command that encodes it from its source."""
        return command.audio(self.source, self.plan, self.track, target=urls[0], until_samples=self.until)

    def from_steadied(self, urls: Sequence[str]) -> list[str]:
        """The command that encodes it from what another one has decoded."""
        return command.audio_of_steadied(self.track, target=urls[0], until_samples=self.until)


async def _run(
    run: _Run, output: Track, limits: Limits, on_progress: Callable[[Progress], None] | None
) -> None:
    outputs = [output.consume]
    if not run.track.may_vary:
        await run_ffmpeg(run.straight, outputs, limits=limits, on_progress=on_progress)
        return
    decoding = command.steadied(run.source, run.plan, run.track)
    async with piped(decoding, limits=limits) as decoded:
        await run_ffmpeg(run.from_steadied, outputs, limits=limits, on_progress=on_progress, stdin=decoded)


def _frames_of(samples: int) -> int:
    """How many frames the encoder makes of so many samples: it puts one before them."""
    return -(-samples // AAC_FRAME_SAMPLES) + 1


def _length(frames: int) -> str:
    return f"{frames * AAC_FRAME_SAMPLES / AUDIO_RATE_HZ:.2f} s"


def _shortened(encoded: Encoded, segments: int) -> Encoded:
    """The account of a run of which only so many segments were kept."""
    tracks = {name: made.model_copy(update={"segments": segments}) for name, made in encoded.tracks.items()}
    return Encoded(frames=segments * AAC_FRAMES_PER_SEGMENT, tracks=tracks)
