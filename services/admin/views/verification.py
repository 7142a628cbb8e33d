"""Verifications as JSON, as `tritontube-admin verify --json` tells them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from services.admin.views.changes import View, moment
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb


class FaultView(View):
    """Something that is wrong with one file."""

    kind: str = Field(description="lacking, damaged, missing, timeline, manifest or undecodable")
    file: str
    track: str | None
    segment: int | None
    nodes: tuple[str, ...] = Field(description="storage nodes concerned")
    problem: str | None
    outcome: str = Field(description="open, mended or beyond repair")

    @classmethod
    def of(cls, fault: pb.Fault) -> FaultView:
        """What is told of a fault."""
        return cls(
            kind=fault.kind,
            file=fault.file,
            track=fault.track or None,
            segment=fault.segment if fault.HasField("segment") else None,
            nodes=tuple(fault.nodes),
            problem=fault.problem or None,
            outcome=fault.outcome,
        )


class VerificationView(View):
    """A look at a finished video as a whole."""

    video: str
    verdict: str | None = Field(description="sound, faulty or uncertain; null while it goes on")
    reason: str | None = Field(description="why it could not be made")
    requested_at: datetime
    finished_at: datetime | None
    worker: str | None
    steps: int
    steps_done: int
    files: int
    size_bytes: int
    frames: int
    faults: tuple[FaultView, ...]
    faults_untold: int
    unreachable: tuple[str, ...]

    @classmethod
    def of(cls, video: str, found: pb.Verification) -> VerificationView:
        """What is told of a verification."""
        return cls(
            video=video,
            verdict=verdict_name(found.verdict) or None,
            reason=found.reason or None,
            requested_at=moment(found.requested_at_ms),
            finished_at=moment(found.finished_at_ms) if found.finished_at_ms else None,
            worker=found.worker or None,
            steps=found.steps,
            steps_done=found.steps_done,
            files=found.files,
            size_bytes=found.size_bytes,
            frames=found.frames,
            faults=tuple(map(FaultView.of, found.faults)),
            faults_untold=found.faults_untold,
            unreachable=tuple(found.unreachable),
        )


def verdict_name(verdict: pb.Verdict.ValueType) -> str:
    """`sound`; empty where there is none yet."""
    return pb.Verdict.Name(verdict).removeprefix("VERDICT_").lower() if verdict else ""
