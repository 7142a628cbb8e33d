"""How a video is cut and encoded, and how much of that can be played. Pure.

A video of `Plan.frames` frames lies on a grid of constant frame rate. The grid is cut into segments of
`Plan.segment_frames` frames (the unit of playback) and into pieces of whole segments (the unit of work). A
piece is encoded for one or more renditions of the ladder from a single decode. Audio is one task of its own.

All times on the grid are integers: frame `n` begins at `n / fps`.
"""

from __future__ import annotations

from pydantic import Field

from services.shared.captions import TextTrack
from services.shared.record import Record
from services.shared.task import Piece, Task, TrackResult
from services.shared.tracks import AudioTrack, Rendition
from services.shared.treatment import Treatment
from services.shared.video import Source


class Rational(Record):
    """An exact positive ratio, `num / den`."""

    num: int = Field(gt=0)
    den: int = Field(gt=0)

    def __float__(self) -> float:
        """The nearest float."""
        return self.num / self.den


class Plan(Record):
    """How a video is cut and encoded. Another plan is another generation; only tracks may be left out."""

    generation: int
    time_base: Rational
    """Of the source's video stream, seconds per tick."""
    start_ticks: int
    """First presentation timestamp, the grid's zero."""
    fps: Rational
    frames: int
    """Expected length on the grid; a damaged source may yield fewer (the last piece tells)."""
    segment_frames: int
    timescale: int
    """Of the output video tracks, ticks per second, a multiple of `fps.num`."""
    renditions: tuple[Rendition, ...]
    """From the lowest to the highest."""
    audio: tuple[AudioTrack, ...] = ()
    """In the order of menus; players begin with the first."""
    texts: tuple[TextTrack, ...] = ()
    """Streams of text in the source, which become captions."""
    input_format: str
    """The only demuxer ffmpeg may use for this source (its `-format_whitelist`)."""
    remuxed: Source | None = None
    """The source in a container that can be cut, where the uploaded one can't."""
    encoder: str
    """Builds of ffmpeg and of the encoders it is meant for, comma separated; pieces of others don't fit."""
    treatment: Treatment = Treatment()
    """What is done to every picture before it is scaled."""
    lead_frames: int = 0
    """At the beginning: the sound is there and the picture not yet, its first one stands still."""
    tail_frames: int = 0
    """At the end: the picture is over and the sound not yet, its last one stands still."""
    counted: Rational | None = None
    """Pictures a second of a source that has no times for them: how many were decoded before one tells when
    it is shown, so that all are one piece. None: they have times."""
    surveyed: bool = True
    """Whether all of the source was looked at. If not, its length is what the header says, and there are
    tasks for its beginning only: the survey, one of them, adds the rest."""
    ladder: tuple[Rendition, ...] = ()
    """All renditions that were planned, where a track has been left out; else empty."""
    sounds: tuple[AudioTrack, ...] = ()
    """Likewise all sound tracks."""
    restoring: str = ""
    """A track that was left out and is being made again: no part of the video before all of it is there."""

    @property
    def tracks(self) -> frozenset[str]:
        """Names of the renditions and sound tracks that are wanted."""
        return frozenset((*(r.name for r in self.renditions), *(sound.name for sound in self.audio)))

    @property
    def full(self) -> Plan:
        """The plan as it was before anything was left out."""
        return self._limited_to(self._planned, restoring=self.restoring)

    @property
    def left_out(self) -> frozenset[str]:
        """Names of the tracks that were planned and are not wanted (any more)."""
        return self._planned - self.tracks

    def without(self, track: str) -> Plan:
        """The plan with a track left out."""
        return self._limited_to(self.tracks - {track}, restoring=self.restoring)

    def restored(self) -> Plan:
        """The plan with the track in its place that was being made again."""
        return self._limited_to(self.tracks | {self.restoring}, restoring="")

    def _limited_to(self, names: frozenset[str], *, restoring: str) -> Plan:
        ladder, sounds = self.ladder or self.renditions, self.sounds or self.audio
        some_missing = not self._planned <= names
        return self.model_copy(
            update={
                "renditions": tuple(rendition for rendition in ladder if rendition.name in names),
                "audio": tuple(sound for sound in sounds if sound.name in names),
                "ladder": ladder if some_missing else (),
                "sounds": sounds if some_missing else (),
                "restoring": restoring,
            }
        )

    @property
    def _planned(self) -> frozenset[str]:
        return self.tracks | {*(r.name for r in self.ladder), *(sound.name for sound in self.sounds)}

    def wanted_of(self, task: Task) -> tuple[str, ...]:
        """The tracks that a task makes, as far as they are still wanted."""
        return tuple(name for name in task.tracks if name in self.tracks)

    def names_of(self, piece: Piece) -> tuple[str, ...]:
        """The renditions of a piece that are still wanted."""
        return tuple(r.name for r in self.renditions if r.name in piece.renditions)

    def profiles_of(self, piece: Piece | None) -> frozenset[str]:
        """The codec profiles that a task encodes pictures with; None: a task without pictures."""
        wanted = self.names_of(piece) if piece else ()
        return frozenset(r.encoding.profile for r in self.renditions if r.name in wanted)

    @property
    def flexible(self) -> bool:
        """Whether pieces may differ in quality."""
        return any(rendition.encoding.stitchable for rendition in self.renditions)

    @property
    def segments(self) -> int:
        """Number of video segments per rendition."""
        return -(-self.frames // self.segment_frames)

    @property
    def duration_s(self) -> float:
        """Length of the video grid in seconds."""
        return self.frames * self.fps.den / self.fps.num


class Availability(Record):
    """How much of each track is in the ring, in leading segments: what the live manifests are made from."""

    video_segments: dict[str, int]
    audio_segments: dict[str, int] = Field(default_factory=dict)
    complete: bool = False
    frames: int = 0
    """The real number of frames, known once `complete`."""
    tracks: dict[str, TrackResult] = Field(default_factory=dict)
    """Totals per track over the finished tasks: codec known from the first, exact when `complete`."""
