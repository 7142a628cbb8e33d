"""Jobs of a video that are no tasks of its plan: one worker at a time does them, while they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from services.shared.catalog import Catalog, Errand, WorkBook, keys
from services.shared.etcd import Compare
from services.shared.messages import Job
from services.transcoder.session import Session
from services.transcoder.vigil import Vigil
from services.transcoder.wanted import wanted

T = TypeVar("T")


class Solo:
    """This worker's right to such jobs."""

    def __init__(self, *, catalog: Catalog, book: WorkBook, session: Session, vigil: Vigil) -> None:
        self._catalog = catalog
        self._book = book
        self._session = session
        self._vigil = vigil

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self._session.instance

    async def do(
        self, name: str, job: Job, work: Callable[[Compare], Coroutine[Any, Any, T]], *, errand: Errand
    ) -> T:
        """Do a job as the only one, and stop when the video is gone or has moved on.

        Args:
            name: of the job, in claims.
            job: which one.
            work: does it, given what holds while the right to do it is ours.
            errand: the message that asks for it.

        Raises:
            FencedError: somebody else does it, or it is no longer wanted.
            UnavailableError: etcd is away.
        """
        async with self._book.doing(
            name,
            job.video_id,
            job.generation,
            worker=self._session.instance,
            lease_id=self._session.lease_id,
            errand=errand,
        ) as held:
            return await self._vigil.over(
                work(held), key=keys.video(job.video_id), check=lambda: wanted(self._catalog, job)
            )
