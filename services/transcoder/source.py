"""What probing found out about a source. Pure records: no I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.shared.plan import Rational
from services.shared.tracks import SoundRole

SEEKABLE_FORMATS: Final = frozenset({"mov", "matroska"})
"""Demuxers that can seek without losing frames. Sources of all others are remuxed first."""

SOUND_MARGIN_S: Final = 0.5
"""Sound that begins so much before the first picture, or ends so much after the last, is cut off: hardly any
recording begins and ends with all its streams at once. Where there is more, the picture stands still."""

UNKNOWN: Final = "unknown"
"""What a source does not say."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a source's first pictures want to be shown. Colours by ffmpeg's names, or `UNKNOWN`."""

    interlaced: bool = False
    """Whether some are woven from two fields."""
    rgb: bool = False
    full_range: bool = False
    primaries: str = UNKNOWN
    transfer: str = UNKNOWN
    matrix: str = UNKNOWN
    peak_nits: float | None = None
    """The brightest light in them, or that their screen could show, in candela per square metre."""


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
    gradual: bool = False
    """Key frames are no whole pictures: each one from there on refreshes a part (x264's intra-refresh)."""
    look: Look = Look()
    open_ended: bool = False
    """The last frame does not tell for how long it is shown, so that its end is a guess."""
    counted: bool = False
    """Its pictures have no times: they are shown as they come out of the decoder, at even distances."""

    @property
    def start_s(self) -> float:
        """`start` in seconds."""
        return self.start * float(self.time_base)

    @property
    def end_s(self) -> float:
        """`end` in seconds."""
        return self.end * float(self.time_base)

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
    layout: str = UNKNOWN
    """Where the channels belong, by ffmpeg's name for it."""
    title: str = ""
    """What the source calls it."""
    default: bool = False
    """Whether the source wants players to begin with it."""
    role: SoundRole = SoundRole.PROGRAMME


@dataclass(frozen=True, kw_only=True)
class TextFacts:
    """One stream of text. `index` counts the source's subtitle streams from 0."""

    index: int
    language: str
    title: str = ""
    """What the source calls it."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of time on the source's own clock, in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """A source that can be transcoded."""

    format_name: str
    """The demuxer's names, as ffprobe prints them and as `-format_whitelist` takes them."""
    video: VideoFacts
    audio: tuple[AudioFacts, ...]
    texts: tuple[TextFacts, ...] = ()
    """Streams that can become captions."""
    sound: Span | None = None
    """From the beginning of the first sound to the end of the last; None: there is none."""


def is_seekable(format_name: str) -> bool:
    """Whether ffmpeg can seek in such a container without losing frames."""
    return not SEEKABLE_FORMATS.isdisjoint(format_name.split(","))
