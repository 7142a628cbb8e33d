"""The calls about jobs over gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.admin.jobs.desk import JobDesk, Selection, Worklist
from services.shared.broker import Envelope
from services.shared.rpc_server import Service
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2_grpc
from services.shared.task import Task
from services.shared.verification import Fault, Verification
from services.shared.video import Verdict

JOBS_SERVICE: Final = pb.DESCRIPTOR.services_by_name["JobsService"].full_name

_LIMIT: Final = 100
_MAX_LIMIT: Final = 1_000
_MILLISECONDS: Final = 1000
_DETAIL_CHARS: Final = 8_000
_VERDICTS: Final[Mapping[Verdict | None, pb.Verdict.ValueType]] = {
    None: pb.VERDICT_UNSPECIFIED,
    Verdict.SOUND: pb.VERDICT_SOUND,
    Verdict.FAULTY: pb.VERDICT_FAULTY,
    Verdict.UNCERTAIN: pb.VERDICT_UNCERTAIN,
}


def jobs_service(desk: JobDesk) -> Service:
    """The service, to be offered by a server."""
    servicer = JobsServicer(desk)
    return Service(
        name=JOBS_SERVICE,
        register=lambda server: jobs_pb2_grpc.add_JobsServiceServicer_to_server(servicer, server),
    )


class JobsServicer(jobs_pb2_grpc.JobsServiceServicer):
    """Answers out of a desk. Raises the project's errors; the server makes a status of them."""

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk

    async def ListDead(self, request: pb.ListDeadRequest, _: Any) -> pb.ListDeadResponse:  # noqa: N802
        """The jobs that were given up."""
        limit = min(request.limit or _LIMIT, _MAX_LIMIT)
        letters = await self._desk.dead(_selection(request.selection), limit=limit)
        return pb.ListDeadResponse(letters=map(_letter, letters))

    async def Requeue(self, request: pb.RequeueRequest, _: Any) -> pb.RequeueResponse:  # noqa: N802
        """Have them done after all."""
        done = await self._desk.requeue(_selection(request.selection))
        return pb.RequeueResponse(
            resumed=done.resumed,
            restarted=done.restarted,
            dropped=done.dropped,
            why_dropped=done.dropped,
            unreadable=done.unreadable,
        )

    async def Discard(self, request: pb.DiscardRequest, _: Any) -> pb.DiscardResponse:  # noqa: N802
        """Throw them away."""
        return pb.DiscardResponse(discarded=await self._desk.discard(_selection(request.selection)))

    async def ListTasks(self, request: pb.ListTasksRequest, _: Any) -> pb.ListTasksResponse:  # noqa: N802
        """The tasks of a video."""
        found = await self._desk.worklist(request.video_id)
        return pb.ListTasksResponse(
            status=found.video.status,
            reason=found.video.reason or "",
            generation=found.video.generation,
            tasks=[_task(task, found) for task in found.tasks],
        )

    async def Cancel(self, request: pb.CancelRequest, _: Any) -> pb.CancelResponse:  # noqa: N802
        """Stop processing a video."""
        await self._desk.cancel(request.video_id)
        return pb.CancelResponse()

    async def Redo(self, request: pb.RedoRequest, _: Any) -> pb.RedoResponse:  # noqa: N802
        """Do finished tasks again."""
        piece = request.piece if request.HasField("piece") else None
        tasks = await self._desk.redo(request.video_id, piece=piece, track=request.track)
        return pb.RedoResponse(tasks=tasks)

    async def Verify(self, request: pb.VerifyRequest, _: Any) -> pb.VerifyResponse:  # noqa: N802
        """Have a finished video looked at as a whole."""
        asked = await self._desk.verify(request.video_id, mend=not request.look_only)
        return pb.VerifyResponse(requested_at_ms=asked.requested_at_ms)

    async def GetVerification(  # noqa: N802
        self, request: pb.GetVerificationRequest, _: Any
    ) -> pb.GetVerificationResponse:
        """What has been found."""
        found = await self._desk.verification(request.video_id)
        return pb.GetVerificationResponse(verification=_verification(found) if found else None)


def _selection(selection: pb.Selection) -> Selection:
    return Selection(message_id=selection.message_id, video_id=selection.video_id)


def _letter(letter: Envelope) -> pb.DeadLetter:
    published = letter.published_at
    return pb.DeadLetter(
        queue=letter.queue,
        message_id=letter.message_id,
        type=letter.type,
        video_id=letter.correlation_id,
        title=letter.title,
        attempt=letter.attempt,
        error=letter.error,
        detail=letter.detail[-_DETAIL_CHARS:],
        published_at_ms=int(published.timestamp() * _MILLISECONDS) if published else 0,
    )


def _task(task: Task, found: Worklist) -> pb.TaskStatus:
    worker = task.result.worker if task.result else found.claimed.get(task.name, "")
    return pb.TaskStatus(
        name=task.name,
        kind=task.kind,
        state=_state(task, worker),
        worker=worker,
        elapsed_s=task.result.elapsed_s if task.result else 0.0,
        begun_by=found.begun.get(task.name, []),
    )


def _state(task: Task, worker: str) -> pb.TaskState.ValueType:
    if task.done:
        return pb.TASK_STATE_DONE
    return pb.TASK_STATE_RUNNING if worker else pb.TASK_STATE_WAITING


def _verification(found: Verification) -> pb.Verification:
    return pb.Verification(
        requested_at_ms=found.requested_at_ms,
        began_at_ms=found.began_at_ms,
        finished_at_ms=found.finished_at_ms,
        verdict=_VERDICTS[found.verdict],
        reason=found.reason,
        steps=found.steps,
        steps_done=found.steps_done,
        files=found.files,
        size_bytes=found.size_bytes,
        frames=found.frames,
        faults=map(_fault, found.faults),
        faults_untold=found.faults_untold,
        unreachable=found.unreachable,
        worker=found.worker,
    )


def _fault(fault: Fault) -> pb.Fault:
    return pb.Fault(
        kind=fault.kind,
        file=fault.file,
        track=fault.track,
        segment=fault.segment,
        nodes=fault.nodes,
        problem=fault.problem,
        outcome=fault.outcome,
    )
