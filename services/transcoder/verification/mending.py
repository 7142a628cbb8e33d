"""Having lost files made again: from the original, by the task that made them; manifests from the records."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from services.shared.content import ContentStore
from services.shared.errors import FencedError, NotFoundError, PermanentJobError
from services.shared.messages import TaskJob
from services.shared.task import AFTERWARDS
from services.shared.verification import Fault, FaultKind, Outcome, Verification
from services.transcoder.progress import Progress
from services.transcoder.runner import TaskRunner
from services.transcoder.verification.case import Case

log = logging.getLogger(__name__)

_NO_MAKER = "Nothing that this installation has can make it again."
_OTHER_CONTENT = "What is stored is never replaced by other content: only uploading the video again helps."
_CONTENTS = frozenset({FaultKind.TIMELINE, FaultKind.MANIFEST, FaultKind.UNDECODABLE})


@dataclass(kw_only=True)
class Order:
    """Something to be made again."""

    task: str
    """A task's name; empty: the manifests."""
    tracks: tuple[str, ...] = ()
    """Of the task's piece; empty: all."""
    original: bool = False
    """Whether it takes the original."""
    files: set[str] = field(default_factory=set)
    """What is missing of it."""


def orders(case: Case, faults: Iterable[Fault]) -> list[Order]:
    """What to make again, so that missing files come back: as little as possible, in an order that works."""
    found: dict[tuple[str, str], Order] = {}
    for fault in faults:
        if fault.kind is not FaultKind.MISSING or fault.outcome is not Outcome.OPEN:
            continue
        task = case.makers.get(fault.file)
        if task:
            tracks = (fault.track,) if task.piece else ()
            order = Order(task=task.name, tracks=tracks, original=task.kind not in AFTERWARDS)
        elif fault.file in case.manifests:
            order = Order(task="")
        else:
            continue
        found.setdefault((order.task, fault.track), order).files.add(fault.file)
    return sorted(found.values(), key=lambda order: bool(order.task) and not order.original)


def given_up(record: Verification) -> Verification:
    """The record, with the faults told apart that nothing will mend by itself."""
    return record.model_copy(update={"faults": tuple(map(_resigned, record.faults))})


def _resigned(fault: Fault) -> Fault:
    if fault.outcome is not Outcome.OPEN:
        return fault
    if fault.kind in _CONTENTS:
        return fault.ended(Outcome.BEYOND_REPAIR, _OTHER_CONTENT)
    if fault.kind is FaultKind.MISSING:
        return fault.ended(Outcome.BEYOND_REPAIR, _NO_MAKER)
    return fault  # the owners go on trying to get a copy


class Mending:
    """Carries orders out, for one video."""

    def __init__(self, case: Case, content: ContentStore, runner: TaskRunner, progress: Progress) -> None:
        self._case = case
        self._content = content
        self._runner = runner
        self._progress = progress

    async def carry_out(self, order: Order, record: Verification) -> Verification:
        """Make something again; the record with what became of the faults.

        Raises:
            TransientJobError: something passing is to blame.
            UnavailableError: a backing service is away.
        """
        if order.original and self._original_is_lost(record):
            why = "It cannot be made again, since parts of the original are missing, too."
        else:
            why = await self._made(order)
        back = {file for file in order.files if await self._is_there(file)}
        faults = tuple(_after(fault, order.files, back, why) for fault in record.faults)
        return record.model_copy(update={"faults": faults})

    def _original_is_lost(self, record: Verification) -> bool:
        missing = {fault.file for fault in record.faults if fault.kind is FaultKind.MISSING}
        return not missing.isdisjoint(self._case.originals)

    async def _made(self, order: Order) -> str:
        """Make something again; why that failed, empty: it did not."""
        log.info("video %s: making %s again", self._case.video.id, order.task or "manifests")
        try:
            await self._make(order)
        except (PermanentJobError, NotFoundError) as error:
            return f"It could not be made again: {error}"
        except FencedError as error:
            return f"Somebody else may be making it again: {error}"
        return ""

    async def _make(self, order: Order) -> None:
        video_id, generation = self._case.video.id, self._case.video.generation
        if not order.task:
            await self._progress.restore_manifests(video_id, generation)
            return
        job = TaskJob(
            video_id=video_id, generation=generation, task=order.task, redo=True, tracks=order.tracks
        )
        await self._runner.run(job)

    async def _is_there(self, file: str) -> bool:
        try:
            await self._content.stat(f"{self._case.video.id}/{file}")
        except NotFoundError:
            return False
        return True


def _after(fault: Fault, wanted: Collection[str], back: Collection[str], why: str) -> Fault:
    if fault.kind is not FaultKind.MISSING or fault.file not in wanted:
        return fault
    if fault.file in back:
        return fault.ended(Outcome.MENDED)
    return fault.ended(Outcome.BEYOND_REPAIR, why or "It was made again, and is not there.")
