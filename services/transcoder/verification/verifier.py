"""The job `transcode.verify`: goes through the steps of a verification, mends, and records the verdict.

It yields: between two steps it looks whether any other work waits, and if so it notes how far it has come and
sends itself back to its queue. A worker that is killed loses one step.
"""

from __future__ import annotations

import logging
from typing import Final

from services.shared.broker import Broker, Dead
from services.shared.catalog import (
    VERIFY,
    Catalog,
    Errand,
    OpenVerification,
    Verifications,
    WorkBook,
    now_ms,
)
from services.shared.content import ContentStore
from services.shared.content.holders import Holders
from services.shared.dispatch import Dispatcher
from services.shared.errors import FencedError, NotFoundError, UnavailableError
from services.shared.messages import JOB_QUEUES, LATE_QUEUE, VerifyJob
from services.shared.telemetry import Counter
from services.shared.topology import Topology
from services.shared.verification import Verification
from services.shared.video import Status, Verdict, Video
from services.transcoder.process import Limits
from services.transcoder.progress import Progress
from services.transcoder.runner import TaskRunner
from services.transcoder.solo import Solo
from services.transcoder.verification.case import Case
from services.transcoder.verification.copies import Copies
from services.transcoder.verification.course import Course, OthersFirst
from services.transcoder.verification.examination import Examination
from services.transcoder.verification.mending import Mending, given_up, orders
from services.transcoder.wanted import wanted

log = logging.getLogger(__name__)

_VERDICTS: Final = Counter("tritontube_verifications_total", "Videos verified, by verdict", ["verdict"])
_FAULTS: Final = Counter(
    "tritontube_verification_faults_total", "Faults found in finished videos", ["kind", "outcome"]
)


class Verifier:
    """Handles `transcode.verify`. Doing it twice has the effect of doing it once."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        verifications: Verifications,
        topology: Topology,
        holders: Holders,
        content: ContentStore,
        broker: Broker,
        dispatcher: Dispatcher,
        progress: Progress,
        runner: TaskRunner,
        solo: Solo,
        limits: Limits,
        keep_original: bool,
    ) -> None:
        self._catalog = catalog
        self._book = book
        self._verifications = verifications
        self._topology = topology
        self._holders = holders
        self._content = content
        self._broker = broker
        self._dispatcher = dispatcher
        self._progress = progress
        self._runner = runner
        self._solo = solo
        self._limits = limits
        self._keep_original = keep_original

    async def verify(self, job: VerifyJob, *, errand: Errand) -> None:
        """Verify a video, or go on with that.

        Args:
            job: which one.
            errand: the message that asks for it.

        Raises:
            FencedError: it has been done, or is in other hands, or the video is gone.
            TransientJobError: something passing is to blame.
            UnavailableError: a backing service is away, or too little of the ring answers.
        """
        video = await self._finished(job)
        opened = await self._verifications.open(video)
        done = await self._solo.do(VERIFY, job, lambda _: self._go(video, opened), errand=errand)
        if not done:  # asked for only now: whoever gets the message must find the claim given back
            await self._dispatcher.verification(video)

    async def give_up(self, job: VerifyJob, why: Dead) -> None:
        """Record that a video could not be verified, and why. Where that passes, it is looked at again later.

        Raises:
            UnavailableError: etcd is away; ask again.
        """
        try:
            opened = await self._verifications.open(await self._catalog.get(job.video_id))
            cut_short = isinstance(why.cause, UnavailableError)
            concluded = opened.record.concluded(now_ms=now_ms(), reason=why.reason, cut_short=cut_short)
            await self._conclude(opened, concluded)
        except (NotFoundError, FencedError):
            return

    async def _finished(self, job: VerifyJob) -> Video:
        video = await wanted(self._catalog, job)
        if video.status is not Status.READY:
            raise FencedError(f"Video {video.id} is not finished.")
        return video

    async def _go(self, video: Video, opened: OpenVerification) -> bool:
        """Do as many steps as there is time for; whether that was all."""
        case = await self._case(video)
        course = Course(self._verifications, opened, others_wait=self._others_wait)
        await course.begin(steps=1 + len(case.stretches), worker=self._solo.worker)
        try:
            await self._examine(case, course)
            record = await self._mended(case, course) if course.record.mend else course.record
        except OthersFirst:
            return False
        await self._conclude(course.opened, record.concluded(now_ms=now_ms()))
        return True

    async def _case(self, video: Video) -> Case:
        plan = await self._book.plan(video.id, video.generation)
        if plan is None:
            raise FencedError(f"Video {video.id} has moved on.")
        return Case(video=video, plan=plan, tasks=await self._book.tasks(video.id, video.generation))

    async def _examine(self, case: Case, course: Course) -> None:
        copies = self._copies(case)
        examination = Examination(case, copies, self._content, mend=course.record.mend, limits=self._limits)
        while course.record.steps_done < course.record.steps:
            found = await examination.step(course.record.steps_done)
            await course.note(found, silent=copies.silent)

    async def _mended(self, case: Case, course: Course) -> Verification:
        mending = Mending(case, self._content, self._runner, self._progress)
        for order in orders(case, course.record.faults):
            await course.save(await mending.carry_out(order, course.record))
        faults = await self._copies(case).mend(course.record.faults)
        return given_up(course.record.model_copy(update={"faults": tuple(faults)}))

    def _copies(self, case: Case) -> Copies:
        return Copies(topology=self._topology, holders=self._holders, video_id=case.video.id)

    async def _conclude(self, opened: OpenVerification, concluded: Verification) -> None:
        video = await self._verifications.conclude(opened, concluded, keep_original=self._keep_original)
        _tell(video, concluded)
        await self._dispatcher.news(video)

    async def _others_wait(self) -> bool:
        for queue in JOB_QUEUES:
            if queue != LATE_QUEUE and await self._broker.depth(queue):
                return True
        return False


def _tell(video: Video, concluded: Verification) -> None:
    verdict = concluded.verdict or Verdict.UNCERTAIN
    _VERDICTS.labels(verdict).inc()
    for fault in concluded.faults:
        _FAULTS.labels(fault.kind, fault.outcome).inc()
    if verdict is Verdict.SOUND and not concluded.faults:
        log.info("video %s verified: %d files, all is well", video.id, concluded.files)
    else:
        log.warning("video %s verified: %s, %s", video.id, verdict, _summary(concluded))


def _summary(concluded: Verification) -> str:
    told = [f"{fault.kind} {fault.file} ({fault.outcome})" for fault in concluded.faults[:10]]
    return concluded.reason or ", ".join(told) or f"no answer from {', '.join(concluded.unreachable)}"
