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

from services.shared.video import (
    AAC_FRAME_SAMPLES,
    AAC_FRAMES_PER_SEGMENT,
    AUDIO_RATE_HZ,
    AudioTrack,
    Availability,
    Plan,
    Rendition,
)

AUDIO_CHANNELS: Final = 2
"""Every sound track is mixed to stereo."""

_AAC: Final = "mp4a.40.2"
_AUDIO_BITRATE: Final = 140_000
"""What is announced for sound until it has been measured: 128 kbit/s and the container around it."""


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

    @property
    def frames(self) -> int:
        """Its length: as planned, and as it came out once all of it is there."""
        return self.available.frames if self.available.complete else self.plan.frames

    @property
    def duration(self) -> Fraction:
        """In seconds."""
        return Fraction(self.frames * self.plan.fps.den, self.plan.fps.num)

    def video(self) -> Iterator[tuple[Rendition, Track]]:
        """The renditions that have something to play, from the lowest."""
        for rendition in self.plan.renditions:
            if self.available.video_segments.get(rendition.name):
                yield rendition, self._video_track(rendition)

    def audio(self) -> Iterator[tuple[AudioTrack, Track]]:
        """The sound tracks that have something to play, in their order."""
        for audio in self.plan.audio:
            if self.available.audio_segments.get(audio.name):
                yield audio, self._audio_track(audio)

    def average_bandwidth(self, name: str) -> int | None:
        """Bits per second over the whole track, once it is complete."""
        if not self.available.complete:
            return None
        return round(8 * self.available.tracks[name].size_bytes / self.duration)

    def _video_track(self, rendition: Rendition) -> Track:
        plan, count = self.plan, self.available.video_segments[rendition.name]
        per_frame = plan.timescale * plan.fps.den // plan.fps.num
        frames = [*range(0, count * plan.segment_frames, plan.segment_frames)]
        frames.append(min(count * plan.segment_frames, self.frames))
        return Track(
            name=rendition.name,
            codec=self.available.tracks[rendition.name].codec,
            bandwidth=self._bandwidth(rendition.name, rendition.bitrate),
            timescale=plan.timescale,
            nominal=plan.segment_frames * per_frame,
            bounds=tuple(frame * per_frame for frame in frames),
        )

    def _audio_track(self, audio: AudioTrack) -> Track:
        nominal = AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES
        ends = range(nominal, (self.available.audio_segments[audio.name] + 1) * nominal, nominal)
        return Track(
            name=audio.name,
            codec=_AAC,
            bandwidth=self._bandwidth(audio.name, _AUDIO_BITRATE),
            timescale=AUDIO_RATE_HZ,
            nominal=nominal,
            bounds=(0, *(min(end - AAC_FRAME_SAMPLES, audio.duration_samples) for end in ends)),
        )

    def _bandwidth(self, name: str, announced: int) -> int:
        # Players remember what they were told, so it changes only once, from the cap to what was measured.
        return self.available.tracks[name].peak_bitrate if self.available.complete else announced
