"""What probing found out about a source. Pure records: no I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.shared.video import Rational, SoundRole

SEEKABLE_FORMATS: Final = frozenset({"mov", "matroska"})
"""Demuxers that can seek without losing frames. Sources of all others are remuxed first."""


@dataclass(frozen=True, kw_only=True)
class KeyFrame:
    """A point where decoding can begin, in ticks of the stream's time base."""

    pts: int
    dts: int


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """The source's main video stream, as its packets describe it. Times are in ticks of `time_base`."""

    codec: str
    width: int
    """Of the displayed picture: rotated as the file asks, with square pixels."""
    height: int
    time_base: Rational
    start: int
    """Presentation time of the first picture that can be decoded: the zero of the frame grid."""
    end: int
    """Where the last presented frame ends."""
    packets: int
    typical_gap: int
    """Median distance between neighbouring frames."""
    key_frames: tuple[KeyFrame, ...]
    """In presentation order."""

    @property
    def duration_s(self) -> float:
        """From the first picture to the end of the last one, in seconds."""
        return (self.end - self.start) * float(self.time_base)


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """One audio stream. `index` counts the source's audio streams from 0."""

    index: int
    codec: str
    channels: int
    language: str
    title: str = ""
    """What the source calls it."""
    default: bool = False
    """Whether the source wants players to begin with it."""
    role: SoundRole = SoundRole.PROGRAMME


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """A source that can be transcoded."""

    format_name: str
    """The demuxer's names, as ffprobe prints them and as `-format_whitelist` takes them."""
    video: VideoFacts
    audio: tuple[AudioFacts, ...]

    @property
    def seekable(self) -> bool:
        """Whether pieces can be cut by seeking; otherwise the source must be remuxed first."""
        return not SEEKABLE_FORMATS.isdisjoint(self.format_name.split(","))
