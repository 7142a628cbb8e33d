"""Jobs that are put aside: their messages wait in the broker, and are not lost."""

from __future__ import annotations

from services.shared.catalog import Catalog, Verifications, WorkBook, now_ms
from services.shared.messages import Job, PlanJob, TaskJob, VerifyJob


class Aside:
    """Notes that jobs are about to be asked for again.

    A message that waits for long, or again and again, would be taken for lost by the sweeper, which knows
    only when it last heard of the job.
    """

    def __init__(self, *, catalog: Catalog, book: WorkBook, verifications: Verifications) -> None:
        self._catalog = catalog
        self._book = book
        self._verifications = verifications

    async def note(self, job: Job) -> None:
        """A message for this job is about to be sent.

        Raises:
            NotFoundError: its video was deleted.
            UnavailableError: etcd is away.
        """
        now = now_ms()
        if isinstance(job, PlanJob):
            await self._catalog.touch(job.video_id, before_ms=now)
        elif isinstance(job, VerifyJob):
            await self._verifications.touch(job.video_id, before_ms=now)
        elif isinstance(job, TaskJob):
            name = (job.video_id, job.generation, job.task)
            await self._book.republishable(*name, before_ms=now, redo=job.redo)
