"""Does one task of a plan: claims it, encodes, pushes the segments, records the result."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from time import monotonic
from typing import Final

from services.shared.broker import Turn
from services.shared.catalog import NO_ERRAND, NOT_KEPT, Catalog, Claim, Errand, WorkBook
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.errors import (
    ConflictError,
    ElsewhereError,
    FencedError,
    ForeignEncoderError,
    JobError,
    NotFoundError,
    PermanentJobError,
    TransientJobError,
    UnavailableError,
    UnfitPieceError,
    UnsupportedMediaError,
)
from services.shared.messages import TaskJob
from services.shared.plan import Plan
from services.shared.task import AFTERWARDS, EXTRAS, TaskKind, TaskResult
from services.shared.video import Status, Video
from services.transcoder.audio import encode_audio
from services.transcoder.command import Input
from services.transcoder.encode import Encoded, PieceJob, encode_piece
from services.transcoder.encoders import Encoders, fits
from services.transcoder.extras import Extras
from services.transcoder.feed import OfferedSource, SourceFeed
from services.transcoder.foresight import Foresight
from services.transcoder.process import Limits
from services.transcoder.progress import Progress
from services.transcoder.pusher import SegmentPusher
from services.transcoder.session import Session
from services.transcoder.survey import MisledError, Surveyor
from services.transcoder.titles import Titles
from services.transcoder.track import SegmentSink
from services.transcoder.vigil import Vigil
from services.transcoder.wanted import wanted

log = logging.getLogger(__name__)

_REPORT_INTERVAL_S: Final = 2.0
_MAX_GENERATION: Final = 20
"""A source that cannot be encoded is not started over for ever."""


@dataclass(frozen=True, kw_only=True)
class _Assignment:
    """A claimed task and what belongs to it."""

    video: Video
    plan: Plan
    claim: Claim
    job: TaskJob
    turn: Turn

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the tracks to make, unless there is a plan without them by now."""
        names = self.plan.wanted_of(self.claim.task)
        return tuple(name for name in names if not self.job.tracks or name in self.job.tracks)


class TaskRunner:
    """Handles the tasks of plans. Doing one twice has the effect of doing it once."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        content: ContentStore,
        dispatcher: Dispatcher,
        progress: Progress,
        feed: SourceFeed,
        session: Session,
        vigil: Vigil,
        surveyor: Surveyor,
        encoders: Encoders,
        limits: Limits,
    ) -> None:
        self._catalog = catalog
        self._book = book
        self._content = content
        self._dispatcher = dispatcher
        self._progress = progress
        self._feed = feed
        self._session = session
        self._vigil = vigil
        self._surveyor = surveyor
        self._encoders = encoders
        self._limits = limits
        self._titles = Titles(book=book, limits=limits)
        self._extras = Extras(book=book, content=content, limits=limits)

    async def run(self, job: TaskJob, *, errand: Errand = NO_ERRAND, turn: Turn | None = None) -> None:
        """Do a task.

        Args:
            job: which one.
            errand: the message that asks for it, if one does.
            turn: ended when the encoder is about to be done.

        Raises:
            FencedError: it is done, or in other hands, or the video has moved on.
            PermanentJobError: the source is to blame.
            TransientJobError: something passing is to blame.
            ElsewhereError: this worker lacks an encoder that another one has.
            UnavailableError: a backing service is away.
        """
        video, plan = await self._current(job)
        claim = await self._claim(job, errand=errand)
        try:
            result = await self._done(
                _Assignment(video=video, plan=plan, claim=claim, job=job, turn=turn or Turn())
            )
        except UnfitPieceError as error:
            await self._current(job)  # the ring refuses what belongs to a video that was given up
            if job.redo:
                raise
            await self._start_over(video, error)
            return
        except MisledError as error:
            log.warning("%s Planning it anew.", error)
            await self._dispatcher.plan(await self._restarted(video, careful=True))
            return
        except UnsupportedMediaError as error:
            # As in planning: nobody watches over the job any more, who would take this for other news.
            await self._catalog.refuse(video.id, video.generation, str(error))
            raise PermanentJobError(str(error)) from error
        log.info("video %s: %s done in %.1f s", video.id, job.task, result.elapsed_s)
        await self._progress.advance(video.id, video.generation)

    async def _done(self, given: _Assignment) -> TaskResult:
        """Do a claimed task and record its result; failing that, give the claim back."""
        claim = given.claim
        try:
            if given.job.redo:  # a track that was to come back may have been given up before we had the claim
                await self._current(given.job)
            await self._check_encoders(given.plan, claim)
            result = await self._vigil.over(
                self._do(given), key=claim.key, check=lambda: self._check(given.job, claim)
            )
            await self._book.finish(claim, result)
        except BaseException:
            await self._give_back(claim)
            raise
        return result

    async def _current(self, job: TaskJob) -> tuple[Video, Plan]:
        video = await wanted(self._catalog, job)
        plan = await self._book.plan(job.video_id, job.generation)
        if plan is None:
            raise FencedError(f"Video {video.id} has moved on.")
        return video, _serving(job, plan)

    async def _check_encoders(self, plan: Plan, claim: Claim) -> None:
        """See that this worker's encoders fit to the plan."""
        try:
            await self._encoders.check(plan.encoder, plan.profiles_of(claim.task.piece))
        except ForeignEncoderError as error:
            offers = await self._book.encoders()
            if any(fits(plan.encoder, offered) for offered in offers):
                raise ElsewhereError(str(error), detail=error.detail) from error
            raise

    async def _check(self, job: TaskJob, claim: Claim) -> None:
        """Go on only while nobody else has the task, and the video wants it."""
        if not await self._book.check(claim):
            await self._current(job)

    async def _claim(self, job: TaskJob, *, errand: Errand) -> Claim:
        try:
            return await self._book.claim(
                job.video_id,
                job.generation,
                job.task,
                worker=self._session.instance,
                lease_id=self._session.lease_id,
                errand=errand,
                redo=job.redo,
            )
        except NotFoundError as error:
            raise FencedError(str(error)) from error

    async def _give_back(self, claim: Claim) -> None:
        with contextlib.suppress(UnavailableError):  # then the lease gives it back
            await asyncio.shield(self._book.release(claim))

    async def _do(self, given: _Assignment) -> TaskResult:
        began, video, task = monotonic(), given.video, given.claim.task
        if video.original_dropped and task.kind not in AFTERWARDS:
            raise PermanentJobError(NOT_KEPT)
        async with self._feed.offer(video.id, given.plan.remuxed or video.source) as source:
            try:
                encoded = await self._encode(given, source)
            except (JobError, UnsupportedMediaError):
                source.check()  # a reason to give it up counts only if all of it could be read
                raise
            source.check()
        return TaskResult(
            worker=self._session.instance,
            frames=encoded.frames,
            tracks={**(task.result.tracks if task.result else {}), **encoded.tracks},
            captions=encoded.captions,
            storyboard=encoded.storyboard,
            elapsed_s=round(monotonic() - began, 3),
        )

    async def _encode(self, given: _Assignment, source: OfferedSource) -> Encoded:
        plan, claim = given.plan, given.claim
        opened = Input(location=source.url, formats=plan.input_format)
        if claim.task.kind is TaskKind.SURVEY:
            await self._surveyor.survey(given.video, plan, claim, opened, check=source.check)
            return Encoded(frames=0, tracks={})
        if claim.task.kind is TaskKind.SAMPLES:
            return await self._titles.ease(plan, claim, opened)
        if claim.task.kind in EXTRAS:
            return await self._extras.make(plan, claim, opened)
        try:
            async with SegmentPusher(
                self._content, video_id=claim.video_id, generation=claim.generation
            ) as pusher:
                encoded = await self._tracks(given, opened, pusher)
                given.turn.end()  # what is on its way to the ring needs no processor
        except ConflictError as error:
            if plan.restoring in given.job.tracks:  # nodes may not know yet that the track may come back
                raise TransientJobError("What was left of this track earlier is in the way.") from error
            raise UnfitPieceError("Another attempt at this piece came out differently.") from error
        return encoded

    async def _tracks(self, given: _Assignment, opened: Input, pusher: SegmentPusher) -> Encoded:
        plan, claim, wanted = given.plan, given.claim, given.wanted
        if not wanted:
            return Encoded(frames=0, tracks={})
        limits = self._limits.sooner() if claim.task.urgent else self._limits
        if claim.task.audio is not None:
            sink = _Reporting(pusher, self._book, self._progress, claim)
            leading = claim.task.leading
            return await encode_audio(opened, plan, claim.task.audio, sink, leading=leading, limits=limits)
        assert claim.task.piece is not None
        agreed = await self._agreed_inits(claim)
        piece = claim.task.piece.model_copy(update={"renditions": wanted})
        job = PieceJob(source=opened, plan=plan, piece=piece, init_sha256=agreed)
        foresight = Foresight(job.frames, given.turn.end)
        return await encode_piece(job, pusher, limits=limits, on_progress=foresight.see)

    async def _agreed_inits(self, claim: Claim) -> dict[str, str]:
        """Hashes of the initialisation segments that finished pieces have made, by rendition."""
        tasks = await self._book.tasks(claim.video_id, claim.generation)
        results = [task.result for task in tasks if task.result and task.piece]
        return {name: track.init_sha256 for result in results for name, track in result.tracks.items()}

    async def _start_over(self, video: Video, error: UnfitPieceError) -> None:
        if video.whole or video.generation >= _MAX_GENERATION:
            raise PermanentJobError("Its pictures could not be encoded.", detail=error.detail) from error
        again = await self._restarted(video, whole=True)
        log.warning("video %s: %s Encoding it as a single piece.", video.id, error)
        await self._dispatcher.plan(again)

    async def _restarted(self, video: Video, *, whole: bool = False, careful: bool = False) -> Video:
        try:
            again = await self._catalog.restart(video.id, video.generation, whole=whole, careful=careful)
        except NotFoundError as error:
            raise FencedError("The video was deleted.") from error
        if again.status is not Status.UPLOADED:
            raise FencedError(f"Video {video.id} has moved on.")
        return again


def _serving(job: TaskJob, plan: Plan) -> Plan:
    """The plan with the tracks that a job names, one of which may only be about to come back.

    Raises:
        FencedError: one of them has been left out, for now or for good.
    """
    out = plan.left_out.intersection(job.tracks)
    if out - {plan.restoring}:
        raise FencedError(f"Video {job.video_id} goes without {', '.join(sorted(out))}.")
    return plan.full if out else plan


class _Reporting(SegmentSink):
    """Reports how far the sound has come while it is being encoded, so that it need not be waited for."""

    def __init__(self, pusher: SegmentPusher, book: WorkBook, progress: Progress, claim: Claim) -> None:
        self._pusher = pusher
        self._book = book
        self._progress = progress
        self._claim = claim
        self._reported_at = 0.0

    async def init(self, track: str, data: bytes) -> None:
        await self._pusher.init(track, data)

    async def segment(self, track: str, number: int, data: bytes) -> None:
        await self._pusher.segment(track, number, data)
        if monotonic() - self._reported_at < _REPORT_INTERVAL_S:
            return
        await self._pusher.settled()
        await self._book.report(self._claim, segments_done=number + 1)
        await self._progress.advance(self._claim.video_id, self._claim.generation)
        self._reported_at = monotonic()
