"""Movies of the videos that are being downloaded: made from the heads of their segments, kept for a while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from services.shared.content import ContentStore
from services.shared.filenames import init_file, segment_file
from services.shared.plan import Availability, Plan
from services.shared.tracks import AudioTrack, Rendition
from services.web.download.movie import Movie, MovieBuilder
from services.web.download.samples import HEAD_BYTES, samples_of
from services.web.download.tracks import TrackHead
from services.web.flight import SingleFlight

_MAX_HELD_BYTES: Final = 64 << 20
"""Of the heads of movies; that of two hours has about 4 MB. One that is larger than this is not kept."""

_MAX_BUILDS: Final = 2
"""At a time: each reads the beginnings of all segments."""

_MAX_READS: Final = 16
"""At a time, of one build."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which movie is wanted: a rendition of a video that is complete, with all its sound tracks."""

    video_id: str
    plan: Plan
    available: Availability
    rendition: Rendition

    @property
    def key(self) -> str:
        """What tells it from others. A sound track that was left out may come back at any time."""
        sounds = "+".join(sound.name for sound in self.plan.audio)
        return f"{self.video_id}/{self.plan.generation}/{self.rendition.name}/{sounds}"


class Movies:
    """Movies by what is wanted; a thousand people who want the same cause one build."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._held: OrderedDict[str, Movie] = OrderedDict()
        self._flights = SingleFlight[Movie]()
        self._builds = asyncio.Semaphore(_MAX_BUILDS)

    async def get(self, wanted: Wanted) -> Movie:
        """The movie, held or made.

        Raises:
            NotFoundError: a segment is missing.
            UnavailableError: the ring could not be asked.
            CorruptFileError: a segment is not as the workers make them.
        """
        movie = self._held.get(wanted.key)
        if movie is None:
            return await self._flights.do(wanted.key, lambda: self._make(wanted))
        self._held.move_to_end(wanted.key)
        return movie

    def forget(self, video_id: str) -> None:
        """Let go of a video's movies."""
        for key in [key for key in self._held if key.startswith(f"{video_id}/")]:
            del self._held[key]

    async def _make(self, wanted: Wanted) -> Movie:
        async with self._builds:
            movie = await self._build(wanted)
        self._held[wanted.key] = movie
        while sum(len(held.head) for held in self._held.values()) > _MAX_HELD_BYTES:
            self._held.popitem(last=False)
        return movie

    async def _build(self, wanted: Wanted) -> Movie:
        plan, available = wanted.plan, wanted.available
        tracks = {wanted.rendition.name: available.video_segments[wanted.rendition.name]}
        tracks |= {sound.name: available.audio_segments[sound.name] for sound in plan.audio}
        inits = [await self._init(wanted, name) for name in tracks]
        sounds = [_sound(init, sound) for init, sound in zip(inits[1:], plan.audio, strict=True)]
        builder = MovieBuilder([TrackHead(init=inits[0]), *sounds])
        for number, (name, segments) in enumerate(tracks.items()):
            files = [segment_file(name, plan.generation, n) for n in range(segments)]
            async for file, head in self._heads(wanted.video_id, files):
                builder.add(number, file, samples_of(head))
        return await asyncio.to_thread(builder.movie)  # for a long video it takes a while

    async def _init(self, wanted: Wanted, track: str) -> bytes:
        return await self._store.get_bytes(f"{wanted.video_id}/{init_file(track, wanted.plan.generation)}")

    async def _heads(self, video_id: str, files: list[str]) -> AsyncIterator[tuple[str, bytes]]:
        """The beginnings of files, in their order."""
        for start in range(0, len(files), _MAX_READS):
            batch = files[start : start + _MAX_READS]
            reads = (self._store.get_bytes(f"{video_id}/{file}", length=HEAD_BYTES) for file in batch)
            for file, head in zip(batch, await asyncio.gather(*reads), strict=True):
                yield file, head


def _sound(init: bytes, sound: AudioTrack) -> TrackHead:
    return TrackHead(
        init=init, language=sound.language, title=sound.title, longest_ticks=sound.duration_samples
    )
