"""A video's records: what it is, how it is cut, what is done. Pure data and pure rules, no I/O.

A video of `Plan.frames` frames lies on a grid of constant frame rate. The grid is cut into segments of
`Plan.segment_frames` frames (the unit of playback) and into pieces of whole segments (the unit of work). A
piece is encoded for one or more renditions of the ladder from a single decode. Audio is one task of its own.

All times on the grid are integers: frame `n` begins at `n / fps`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pydantic import Field

from services.shared.captions import Caption, Captioning, TextTrack
from services.shared.encoding import Encoding
from services.shared.errors import ConflictError, InvalidRequestError
from services.shared.record import Record as Record  # noqa: PLC0414  known by this name here, too
from services.shared.storyboard import Storyboard
from services.shared.treatment import Treatment

_ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH: Final = 16
_ID_TIME_CHARS: Final = 9
_BITS_PER_CHAR: Final = 5
_ID_TIME_END_MS: Final = (1 << _ID_TIME_CHARS * _BITS_PER_CHAR) - 1
"""Ids count down to this moment (in the year 3084), so that etcd lists the newest video first."""

AUDIO_RATE_HZ: Final = 48_000
AAC_FRAME_SAMPLES: Final = 1024
AAC_FRAMES_PER_SEGMENT: Final = 188
"""188 AAC frames of 1024 samples at 48 kHz are 4.0107 s, the audio's segment length."""


def new_video_id(now_s: float | None = None) -> str:
    """A URL-safe id of 16 characters: newer ids sort first, and 35 random bits make it hard to guess."""
    value = _ID_TIME_END_MS - int((time.time() if now_s is None else now_s) * 1000)
    stamp = "".join(
        _ID_ALPHABET[value >> shift & 31]
        for shift in range(_BITS_PER_CHAR * (_ID_TIME_CHARS - 1), -1, -_BITS_PER_CHAR)
    )
    return stamp + "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH - _ID_TIME_CHARS))


def check_video_id(video_id: str) -> str:
    """Return the id if it has the form of one.

    Raises:
        InvalidRequestError: it does not.
    """
    if len(video_id) != _ID_LENGTH or not set(video_id) <= set(_ID_ALPHABET):
        raise InvalidRequestError("A video id is 16 lower-case letters and digits.")
    return video_id


class Status(StrEnum):
    """Where a video is in its life."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    PLAYABLE = "playable"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.UPLOADING: frozenset({Status.UPLOADED, Status.FAILED, Status.DELETED}),
    Status.UPLOADED: frozenset({Status.PROCESSING, Status.FAILED, Status.DELETED}),
    Status.PROCESSING: frozenset(
        {Status.UPLOADED, Status.PLAYABLE, Status.READY, Status.FAILED, Status.DELETED}
    ),
    Status.PLAYABLE: frozenset({Status.UPLOADED, Status.READY, Status.FAILED, Status.DELETED}),
    Status.READY: frozenset({Status.DELETED}),
    Status.FAILED: frozenset({Status.UPLOADED, Status.PROCESSING, Status.DELETED}),
    Status.DELETED: frozenset(),
}
"""Allowed status changes. Back to `uploaded` means: start over under the next generation; from `failed` to
`processing`: go on with what is left to do."""

ACTIVE: Final = frozenset({Status.UPLOADED, Status.PROCESSING, Status.PLAYABLE})
"""Statuses in which work remains: the sweeper looks at these."""

PLAYABLE: Final = frozenset({Status.PLAYABLE, Status.READY})


class Rational(Record):
    """An exact positive ratio, `num / den`."""

    num: int = Field(gt=0)
    den: int = Field(gt=0)

    def __float__(self) -> float:
        """The nearest float."""
        return self.num / self.den


class Source(Record):
    """A file in the ring that is cut into `parts` files of `part_bytes` (the last one shorter)."""

    stem: str = "source"
    """What the names of its parts begin with."""
    size_bytes: int
    sha256: str
    part_bytes: int
    parts: int

    def part_file(self, number: int) -> str:
        """File name of a part. `number` counts from 0."""
        return source_part_file(number, stem=self.stem)


class Rendition(Record):
    """One rung of the ladder."""

    name: str
    width: int
    height: int
    bitrate: int
    """Bits per second: the cap while encoding; the measured peak segment rate once the video is ready."""
    codec: str = ""
    """RFC 6381, e.g. `avc1.64001f`: that of small pictures by the same encoder until the video is ready.
    Empty in plans made before there was a choice."""
    encoding: Encoding = Encoding()


class SoundRole(StrEnum):
    """What a sound track is for."""

    PROGRAMME = "programme"
    """The video's own sound, in one of its languages."""
    COMMENTARY = "commentary"
    DESCRIPTION = "description"
    """With words for people who cannot see the pictures."""


class AudioTrack(Record):
    """One audio stream of the source. `index` counts the source's audio streams from 0."""

    index: int
    language: str = "und"
    """A tag as manifests and browsers want it, see `services.shared.languages`."""
    title: str = ""
    """For menus; no two tracks of a video have the same one."""
    role: SoundRole = SoundRole.PROGRAMME
    duration_samples: int
    """Length on the 48 kHz output timeline, in samples per channel."""

    @property
    def name(self) -> str:
        """Its name in file names and playlists."""
        return f"a{self.index}"


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
    surveyed: bool = True
    """Whether all of the source was looked at. If not, its length is what the header says, and there are
    tasks for its beginning only: the survey, one of them, adds the rest."""

    def wanted_of(self, task: Task) -> tuple[str, ...]:
        """The tracks that a task makes, as far as they are still wanted."""
        names = {*(r.name for r in self.renditions), *(sound.name for sound in self.audio)}
        return tuple(name for name in task.tracks if name in names)

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


class Piece(Record):
    """Frames `first_frame` to `end_frame` (exclusive; None: the end) of some renditions, from one decode."""

    index: int
    first_frame: int
    end_frame: int | None
    first_segment: int
    segments: int
    renditions: tuple[str, ...]
    seeks_s: tuple[float | None, ...]
    """Where to seek in the source, best first, the fall-backs behind; None: read from the beginning."""
    relief: int = 0
    """By how many steps coarser than planned it is encoded, because more would not be seen."""


class TaskKind(StrEnum):
    """What a task makes."""

    VIDEO = "piece"
    AUDIO = "audio"
    PICTURES = "pictures"
    STORYBOARD = "storyboard"
    CAPTIONS = "captions"
    SAMPLES = "samples"
    SURVEY = "survey"


EXTRAS: Final = frozenset({TaskKind.PICTURES, TaskKind.STORYBOARD, TaskKind.CAPTIONS, TaskKind.SAMPLES})
"""Kinds of tasks that a video is ready without, and goes without if they fail."""

AFTERWARDS: Final = frozenset({TaskKind.STORYBOARD})
"""Kinds of tasks that need the finished tracks."""


class TrackResult(Record):
    """What a task produced for one rendition or audio track."""

    segments: int
    size_bytes: int
    peak_bitrate: int
    """Bits per second of the largest segment over its duration."""
    codec: str
    init_sha256: str
    """All pieces of a track must agree on it."""


class TaskResult(Record):
    """What a finished task reports."""

    worker: str
    frames: int = 0
    """Video frames (per rendition) or AAC frames, as counted in the output."""
    tracks: dict[str, TrackResult] = Field(default_factory=dict)
    captions: tuple[Caption, ...] = ()
    storyboard: Storyboard | None = None
    elapsed_s: float = 0.0


class Task(Record):
    """One unit of work of a plan, stored under `tasks/<video>/<generation>/<name>`."""

    name: str
    kind: TaskKind
    order: int = 0
    """Place in the order in which a plan's tasks should start."""
    urgent: bool = False
    """Goes through `transcode.first`: the video isn't playable without it."""
    piece: Piece | None = None
    audio: AudioTrack | None = None
    leading: int | None = None
    """Of a sound track: only so many segments, for a beginning without delay; another task makes it whole."""
    segments_done: int = 0
    """Leading segments already in the ring (audio reports while it goes)."""
    published_at_ms: int = 0
    result: TaskResult | None = None

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the renditions, or of the sound track, that it makes."""
        if self.piece is not None:
            return self.piece.renditions
        return (self.audio.name,) if self.audio is not None else ()

    @property
    def done(self) -> bool:
        """Whether its result has been accepted."""
        return self.result is not None


def tracks_complete(tasks: Iterable[Task]) -> bool:
    """Whether all that a video cannot do without is done."""
    return all(task.done for task in tasks if task.kind not in EXTRAS)


def due(tasks: Iterable[Task]) -> list[Task]:
    """What there is to do now, in the order in which it should start."""
    tasks = [*tasks]
    waiting = frozenset() if tracks_complete(tasks) else AFTERWARDS
    undone = [task for task in tasks if not task.done and task.kind not in waiting]
    return sorted(undone, key=lambda task: task.order)


class Omission(Record):
    """A rendition, or one of several sound tracks, that a video goes without."""

    rendition: str
    """The track's name."""
    title: str = ""
    """What people know it by; empty: its name."""
    reason: str


class Verdict(StrEnum):
    """What came of looking at a finished video as a whole."""

    SOUND = "sound"
    FAULTY = "faulty"
    UNCERTAIN = "uncertain"
    """Nothing wrong was seen, and not everything could be looked at."""


class Video(Record):
    """The catalogue's record of one video, stored under `videos/<id>`."""

    id: str
    title: str
    status: Status
    reason: str | None = None
    created_at_ms: int
    updated_at_ms: int
    generation: int = 0
    whole: bool = False
    """Encode in a single piece: cutting this source did not yield exact pieces."""
    careful: bool = False
    """Plan it only after all of its source was looked at: a first look had been misleading."""
    refused: bool = False
    """It failed because the source is no video that can be played; the source has been purged."""
    source: Source
    original_dropped: bool = False
    """The source was purged when the video was ready: nothing can be made from it any more."""
    progress: float = 0.0
    playable_s: float = 0.0
    """How much of it can be played from the beginning."""
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    renditions: tuple[Rendition, ...] = ()
    audio: tuple[AudioTrack, ...] = ()
    """In the order of menus."""
    omitted: tuple[Omission, ...] = ()
    """Tracks that were planned and could not be encoded."""
    poster: bool = False
    storyboard: Storyboard | None = None
    captions: Captioning = Captioning()
    extras_due: bool = False
    """It is ready, and some of its extras are still to be made."""
    verdict: Verdict | None = None
    """Of its last verification (`verifications/<id>`); None: it has not been verified yet."""

    @property
    def retryable(self) -> bool:
        """Whether it failed in a way that trying again may mend."""
        return self.status is Status.FAILED and not self.refused

    @property
    def work_remains(self) -> bool:
        """Whether sweepers look after it."""
        return self.status in ACTIVE or (self.status is Status.READY and self.extras_due)

    def moved_to(self, status: Status, *, now_ms: int, **changes: object) -> Video:
        """The record after a status change, other fields replaced by `changes`.

        Raises:
            ConflictError: the table of transitions does not allow it.
        """
        if status is not self.status and status not in TRANSITIONS[self.status]:
            raise ConflictError(f"A video that is {self.status} cannot become {status}.")
        return self.model_copy(update={"status": status, "updated_at_ms": now_ms, **changes})


class Availability(Record):
    """How much of each track is in the ring, in leading segments: what the live manifests are made from."""

    video_segments: dict[str, int]
    audio_segments: dict[str, int] = Field(default_factory=dict)
    complete: bool = False
    frames: int = 0
    """The real number of frames, known once `complete`."""
    tracks: dict[str, TrackResult] = Field(default_factory=dict)
    """Totals per track over the finished tasks: codec known from the first, exact when `complete`."""


def segment_file(track: str, generation: int, number: int) -> str:
    """File name of a media segment. `number` counts from 0."""
    return f"{track}-g{generation}-{number:05d}.m4s"


def segment_template(track: str, generation: int) -> str:
    """What `segment_file` says, as a DASH template that players fill in."""
    return f"{track}-g{generation}-$Number%05d$.m4s"


def init_file(track: str, generation: int) -> str:
    """File name of a track's initialisation segment."""
    return f"{track}-g{generation}-init.mp4"


PART_SUFFIX: Final = ".part"
"""What the names of the parts of originals end with, in whatever form."""


def source_part_file(number: int, *, stem: str = "source") -> str:
    """File name of a part of a source. `number` counts from 0."""
    return f"{stem}-{number:05d}{PART_SUFFIX}"


def poster_file(generation: int) -> str:
    """File name of the still picture shown before playback."""
    return f"poster-g{generation}.jpg"


MPD_FILE: Final = "manifest.mpd"
HLS_FILE: Final = "master.m3u8"
"""What players ask for. The ring is write-once, so the files in it carry the generation: `final_file`."""


def playlist_file(track: str) -> str:
    """File name of a track's HLS media playlist, as players ask for it."""
    return f"{track}.m3u8"


def final_file(name: str, generation: int) -> str:
    """Name in the ring of the final manifest or playlist that players know as `name`."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-g{generation}.{suffix}"
