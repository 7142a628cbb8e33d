"""What a video is ready without, and nicer with: its poster, its storyboard, captions found in its source."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from services.shared.captions import Caption, TextTrack, found_file
from services.shared.catalog import Claim, WorkBook
from services.shared.content import ContentStore
from services.shared.errors import ConflictError, NotFoundError, PermanentJobError
from services.shared.filenames import init_file, poster_file, segment_file
from services.shared.plan import Plan
from services.shared.storyboard import Storyboard, index, index_file, sheet_file, storyboard_of
from services.shared.task import TaskKind
from services.transcoder.availability import availability
from services.transcoder.captions import take_captions
from services.transcoder.command import Input
from services.transcoder.encode import Encoded
from services.transcoder.pictures import make_poster
from services.transcoder.process import Limits
from services.transcoder.storyboard import draw

log = logging.getLogger(__name__)


class Extras:
    """Makes them, and puts them into the ring. Making one twice has the effect of making it once."""

    def __init__(self, *, book: WorkBook, content: ContentStore, limits: Limits) -> None:
        self._book = book
        self._content = content
        self._limits = limits

    async def make(self, plan: Plan, claim: Claim, source: Input) -> Encoded:
        """Do the task that was claimed.

        Raises:
            PermanentJobError: it cannot be done: the video goes without.
            TransientJobError: a limit stopped ffmpeg.
            UnavailableError: etcd or the ring is away.
        """
        if claim.task.kind is TaskKind.STORYBOARD:
            return await self._storyboard(plan, claim)
        if claim.task.kind is TaskKind.CAPTIONS:
            return await self._captions(plan, claim, source)
        return await self._poster(plan, claim, source)

    async def _poster(self, plan: Plan, claim: Claim, source: Input) -> Encoded:
        try:
            poster = await make_poster(source, plan, limits=self._limits)
        except PermanentJobError as error:
            log.warning("video %s goes without a poster: %s", claim.video_id, error)
            return Encoded(frames=0, tracks={})
        await self._put(claim, poster_file(claim.generation), poster)
        return Encoded(frames=1, tracks={})

    async def _captions(self, plan: Plan, claim: Claim, source: Input) -> Encoded:
        captions = []
        for track, text in (await take_captions(source, plan, limits=self._limits)).items():
            captions.append(_caption(track, claim.generation, len(text)))
            await self._put(claim, captions[-1].file, text)
        return Encoded(frames=0, tracks={}, captions=tuple(captions))

    async def _storyboard(self, plan: Plan, claim: Claim) -> Encoded:
        lowest = plan.renditions[0]
        tasks = await self._book.tasks(claim.video_id, claim.generation)
        available = availability(plan, tasks)
        board = storyboard_of(
            segments=available.video_segments[lowest.name], width=lowest.width, height=lowest.height
        )

        async def keep(number: int, sheet: bytes) -> None:
            await self._put(claim, sheet_file(claim.generation, number), sheet)

        media = self._key_segments(claim, lowest.name, board)
        size_bytes = await draw(board, media, keep, limits=self._limits)
        board = board.model_copy(update={"size_bytes": size_bytes})
        frame_s = plan.fps.den / plan.fps.num
        picture_s = board.stride * plan.segment_frames * frame_s
        listed = index(board, claim.generation, picture_s=picture_s, duration_s=available.frames * frame_s)
        await self._put(claim, index_file(claim.generation), listed)
        return Encoded(frames=board.pictures, tracks={}, storyboard=board)

    async def _key_segments(self, claim: Claim, track: str, board: Storyboard) -> AsyncIterator[bytes]:
        """The segments that the storyboard shows, behind the one that tells how to decode them.

        Raises:
            PermanentJobError: one of them is lost.
            UnavailableError: the ring is away.
        """
        numbers = (number for sheet in range(board.sheets) for number in board.segments_of(sheet))
        files = (segment_file(track, claim.generation, number) for number in numbers)
        for name in (init_file(track, claim.generation), *files):
            try:
                reader = await self._content.open(f"{claim.video_id}/{name}")
            except NotFoundError as error:
                raise PermanentJobError(f"The segment {name} is lost.") from error
            async with reader:
                async for chunk in reader:
                    yield chunk

    async def _put(self, claim: Claim, name: str, data: bytes) -> None:
        key = f"{claim.video_id}/{name}"
        try:
            await self._content.put(key, data)
        except ConflictError:
            # Another attempt was here first, perhaps with another build of ffmpeg: either will do.
            log.info("%s is there already", key)


def _caption(track: TextTrack, generation: int, size_bytes: int) -> Caption:
    return Caption(
        name=track.name,
        language=track.language,
        title=track.title,
        track=track.track,
        file=found_file(track, generation),
        size_bytes=size_bytes,
    )
