"""A video as far as it can be played: its tracks, and when their segments begin and end. Pure.

Times are presentation times. Video segment `n` begins at frame `n * segment_frames`. Sound segments are
shifted by the AAC encoder's delay of one frame, which the edit list in the initialisation segment takes
off: the first one is shorter by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from services.shared.captions import Caption
from services.shared.filenames import init_file, segment_file
from services.shared.languages import distinct_titles
from services.shared.plan import Availability, Plan
from services.shared.storyboard import Storyboard
from services.shared.tracks import (
    AAC_FRAME_SAMPLES,
    AAC_FRAMES_PER_SEGMENT,
    AUDIO_RATE_HZ,
    AudioTrack,
    Rendition,
)

AUDIO_CHANNELS: Final = 2
"""Every sound track is mixed to stereo."""

_AAC: Final = "mp4a.40.2"
_AUDIO_BITRATE: Final = 140_000
"""What is announced for sound until it has been measured: 128 kbit/s and the container around it."""


def sound_title(audio: AudioTrack) -> str:
    """What menus call a sound track: also one that was planned when titles were not yet recorded."""
    return audio.title or f"Sound {audio.index + 1}"


def _acceptable(codec: str) -> str:
    """The codec, with H.264's level 1.1 in place of 1b, which it includes.

    Browsers do not know 1b by the number that it has in High profile; what was made before levels were
    planned may have it.
    """
    return f"{codec[:-2]}0b" if codec.startswith("avc1.") and codec.endswith("09") else codec


@dataclass(frozen=True, kw_only=True)
class Track:
    """A track that has something to play, and when its segments begin and end."""

    name: str
    codec: str
    bandwidth: int
    timescale: int
    nominal: int
    """Duration of an ordinary segment in ticks."""
    bounds: tuple[int, ...]
    """Beginnings of the segments, and the end of the last one, in ticks."""

    @property
    def durations(self) -> list[int]:
        """Of its segments, in ticks."""
        return [end - start for start, end in pairwise(self.bounds)]


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """A video as far as it can be played."""

    plan: Plan
    available: Availability
    captions: tuple[Caption, ...] = ()
    storyboard: Storyboard | None = None

    @property
    def frames(self) -> int:
        """Its length: as planned, and as it came out once all of it is there."""
        return self.available.frames if self.available.complete else self.plan.frames

    @property
    def duration(self) -> Fraction:
        """In seconds."""
        return Fraction(self.frames * self.plan.fps.den, self.plan.fps.num)

    @property
    def begun(self) -> bool:
        """Whether there is something to play: of the lowest rendition, and of the sound that goes with it."""
        lowest = [rendition.name for rendition in self.plan.renditions[:1]]
        sound = [audio.name for audio in self.plan.audio[:1]]
        return bool(lowest) and all(self._there(track) for track in (*lowest, *sound))

    @property
    def playable(self) -> Fraction:
        """How much of it can be played from the beginning, in seconds: as far as each of its tracks goes."""
        if not (self.begun or self.available.complete):
            return Fraction(0)
        tracks = (track for _, track in (*self.video(), *self.audio()))
        return min((Fraction(track.bounds[-1], track.timescale) for track in tracks), default=Fraction(0))

    def texts(self) -> Iterator[tuple[Caption, str]]:
        """The captions, and what menus call them: no two alike."""
        said = [(caption.title, caption.language) for caption in self.captions]
        return zip(self.captions, distinct_titles(said, otherwise="Captions"), strict=True)

    def picture_ticks(self, board: Storyboard) -> int:
        """For how long a picture of the storyboard stands, in ticks of the plan's time scale."""
        plan = self.plan
        return board.stride * plan.segment_frames * (plan.timescale * plan.fps.den // plan.fps.num)

    def segments(self, track: str) -> int:
        """How many segments of a track players are told of.

        All tracks begin together: the first segment of each counts as soon as those that make the video
        playable are there, and whoever asks for one that is still being made is let wait for it. For players
        keep to the tracks that they found at first: hls.js and Safari read the master playlist once, Shaka
        looks for others only in new periods.
        """
        if self.available.complete or not self.begun:
            return self._there(track)
        return max(self._there(track), 1)

    def promised(self) -> frozenset[str]:
        """Names of the files that players are told of before they are there."""
        names = (*(r.name for r in self.plan.renditions), *(a.name for a in self.plan.audio))
        early = [name for name in names if self.segments(name) > self._there(name)]
        generation = self.plan.generation
        first = (segment_file(name, generation, 0) for name in early)
        return frozenset((*first, *(init_file(name, generation) for name in early)))

    def video(self) -> Iterator[tuple[Rendition, Track]]:
        """The renditions that players are told of, from the lowest."""
        for rendition in self.plan.renditions:
            if self.segments(rendition.name):
                yield rendition, self._video_track(rendition)

    def audio(self) -> Iterator[tuple[AudioTrack, Track]]:
        """The sound tracks that players are told of, in their order."""
        for audio in self.plan.audio:
            if self.segments(audio.name):
                yield audio, self._audio_track(audio)

    def average_bandwidth(self, name: str) -> int | None:
        """Bits per second over the whole track, once it is complete."""
        if not self.available.complete:
            return None
        return round(8 * self.available.tracks[name].size_bytes / self.duration)

    def _video_track(self, rendition: Rendition) -> Track:
        plan, count = self.plan, self.segments(rendition.name)
        per_frame = plan.timescale * plan.fps.den // plan.fps.num
        frames = [*range(0, count * plan.segment_frames, plan.segment_frames)]
        frames.append(min(count * plan.segment_frames, self.frames))
        return Track(
            name=rendition.name,
            codec=self._codec(rendition),
            bandwidth=self._bandwidth(rendition.name, rendition.bitrate),
            timescale=plan.timescale,
            nominal=plan.segment_frames * per_frame,
            bounds=tuple(frame * per_frame for frame in frames),
        )

    def _audio_track(self, audio: AudioTrack) -> Track:
        nominal = AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES
        ends = range(nominal, (self.segments(audio.name) + 1) * nominal, nominal)
        return Track(
            name=audio.name,
            codec=_AAC,
            bandwidth=self._bandwidth(audio.name, _AUDIO_BITRATE),
            timescale=AUDIO_RATE_HZ,
            nominal=nominal,
            bounds=(0, *(min(end - AAC_FRAME_SAMPLES, audio.duration_samples) for end in ends)),
        )

    def _there(self, track: str) -> int:
        return self.available.video_segments.get(track, self.available.audio_segments.get(track, 0))

    def _codec(self, rendition: Rendition) -> str:
        """Its codec: what was planned until all of it is there, since players do not look for another one."""
        if rendition.codec and not self.available.complete:
            return rendition.codec
        alike = (one for one in self.plan.renditions if one.encoding == rendition.encoding)
        known = (self.available.tracks.get(one.name) for one in (rendition, *alike))
        return _acceptable(next((track.codec for track in known if track), rendition.codec))

    def _bandwidth(self, name: str, announced: int) -> int:
        # Players remember what they were told, so it changes only once, from the cap to what was measured.
        average = self.average_bandwidth(name)
        # A last segment that is too short to have a rate of its own may be large for its length.
        return announced if average is None else max(average, self.available.tracks[name].peak_bitrate)
