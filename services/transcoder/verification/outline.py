"""What the tracks of a finished video must look like, segment by segment, as its records say. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.shared.errors import InvalidRequestError
from services.shared.filenames import init_file, segment_file
from services.shared.manifest.presentation import Presentation, Track
from services.shared.tracks import AAC_FRAME_SAMPLES
from services.transcoder.fragments import FragmentParser, InitSegment, MediaSegment

_SOUND_PIXELS: Final = 1
"""Sound is weighed like pictures of one pixel: decoding it costs next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A track's form. Times are in its ticks."""

    track: Track
    """When its segments are presented."""
    generation: int
    ticks_per_frame: int
    """Frames are pictures, or the encoder's blocks of sound."""
    frames: int
    """In an ordinary segment."""
    delay: int
    """From presentation to decode time: what the encoder puts before the first sample."""
    pixels: int
    """Of a frame: what decoding one costs."""
    init_sha256: str

    @property
    def name(self) -> str:
        """The track's name."""
        return self.track.name

    @property
    def segments(self) -> int:
        """How many there are."""
        return len(self.track.bounds) - 1

    @property
    def init_file(self) -> str:
        """Name of its initialisation segment."""
        return init_file(self.name, self.generation)

    def segment_file(self, number: int) -> str:
        """Name of a media segment."""
        return segment_file(self.name, self.generation, number)

    def objection_to_init(self, data: bytes, sha256: str) -> str:
        """What is wrong with an initialisation segment, in a sentence; empty: nothing."""
        try:
            item = _only_item(data)
        except InvalidRequestError as error:
            return str(error)
        if not isinstance(item, InitSegment):
            return "It is no initialisation segment."
        if item.timescale != self.track.timescale:
            return f"It counts {item.timescale} ticks a second, not {self.track.timescale}."
        if sha256 != self.init_sha256:
            return "It is not the one that the segments were made with."
        return ""

    def objection_to(self, number: int, data: bytes) -> str:
        """What is wrong with a media segment in its place, in a sentence; empty: nothing."""
        try:
            item = _only_item(data)
        except InvalidRequestError as error:
            return str(error)
        if not isinstance(item, MediaSegment):
            return "It is no media segment."
        return self._objection(number, item)

    def frames_of(self, number: int) -> int:
        """How many frames a segment has: only the last one has fewer than the others."""
        return -(-self._ticks_of(number) // self.ticks_per_frame)

    def _objection(self, number: int, segment: MediaSegment) -> str:
        begins = number * self.frames * self.ticks_per_frame
        if segment.decode_time != begins:
            return f"It begins at {segment.decode_time}, not {begins} (ticks)."
        if segment.samples != self.frames_of(number):
            return f"It has {segment.samples} frames, not {self.frames_of(number)}."
        if not 0 <= segment.duration - self._ticks_of(number) < self._slack(number):
            return f"It lasts {segment.duration}, not {self._ticks_of(number)} (ticks)."
        return ""

    def _ticks_of(self, number: int) -> int:
        if number < self.segments - 1:
            return self.frames * self.ticks_per_frame
        return self.track.bounds[-1] + self.delay - number * self.frames * self.ticks_per_frame

    def _slack(self, number: int) -> int:
        # The last block of sound is a whole one, however little of it is to be heard.
        return self.ticks_per_frame if self.delay and number == self.segments - 1 else 1


def outlines(shown: Presentation) -> list[Outline]:
    """The form of each track of a video that is complete."""
    return [*_pictures(shown), *_sound(shown)]


def _pictures(shown: Presentation) -> Iterator[Outline]:
    plan = shown.plan
    for rendition, track in shown.video():
        yield Outline(
            track=track,
            generation=plan.generation,
            ticks_per_frame=plan.timescale * plan.fps.den // plan.fps.num,
            frames=plan.segment_frames,
            delay=0,
            pixels=rendition.width * rendition.height,
            init_sha256=shown.available.tracks[track.name].init_sha256,
        )


def _sound(shown: Presentation) -> Iterator[Outline]:
    for _, track in shown.audio():
        yield Outline(
            track=track,
            generation=shown.plan.generation,
            ticks_per_frame=AAC_FRAME_SAMPLES,
            frames=track.nominal // AAC_FRAME_SAMPLES,
            delay=AAC_FRAME_SAMPLES,
            pixels=_SOUND_PIXELS,
            init_sha256=shown.available.tracks[track.name].init_sha256,
        )


def _only_item(data: bytes) -> InitSegment | MediaSegment:
    """The one segment in a file.

    Raises:
        InvalidRequestError: there is another number of them, or something else.
    """
    parser = FragmentParser()
    items = [*parser.feed(data)]
    parser.close()
    if len(items) != 1:
        raise InvalidRequestError(f"There are {len(items)} segments in the file.")
    return items[0]
