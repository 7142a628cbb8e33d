"""`/api/videos/<id>/verification`: what the last look at a finished video as a whole has found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from pydantic import Field

from services.shared.catalog import Catalog, Verifications
from services.shared.errors import NotFoundError
from services.shared.verification import Fault, FaultKind, Outcome, Verification
from services.shared.video import Verdict
from services.web.description import failing
from services.web.reading import add_reading
from services.web.views import View

_MILLISECONDS: Final = 1000


class FaultView(View):
    """Something that is wrong with one file."""

    kind: FaultKind
    file: str
    track: str | None = Field(description="the rendition or sound track that it belongs to")
    segment: int | None = Field(description="which of the track's segments, counted from 0")
    problem: str | None
    outcome: Outcome

    @classmethod
    def of(cls, fault: Fault) -> FaultView:
        """What is shown of a fault. Which nodes are concerned is for operators."""
        return cls(
            kind=fault.kind,
            file=fault.file,
            track=fault.track or None,
            segment=fault.segment,
            problem=fault.problem or None,
            outcome=fault.outcome,
        )


class VerificationView(View):
    """A look at a finished video as a whole."""

    verdict: Verdict | None = Field(description="null while it goes on")
    reason: str | None = Field(description="why it could not be made")
    requested_at: datetime
    finished_at: datetime | None
    progress: float = Field(description="how far it has come, 0 to 1")
    files: int
    size_bytes: int
    frames: int = Field(description="decoded, of all tracks")
    faults: tuple[FaultView, ...]
    faults_untold: int = Field(description="how many more there were than are listed")

    @classmethod
    def of(cls, found: Verification) -> VerificationView:
        """What is shown of a record."""
        return cls(
            verdict=found.verdict,
            reason=found.reason or None,
            requested_at=_moment(found.requested_at_ms),
            finished_at=_moment(found.finished_at_ms) if found.finished_at_ms else None,
            progress=round(found.steps_done / found.steps, 4) if found.steps else 0.0,
            files=found.files,
            size_bytes=found.size_bytes,
            frames=found.frames,
            faults=tuple(map(FaultView.of, found.faults)),
            faults_untold=found.faults_untold,
        )


class VerificationApi:
    """Reading verifications."""

    def __init__(self, *, catalog: Catalog, verifications: Verifications) -> None:
        self._catalog = catalog
        self._verifications = verifications
        self.router = APIRouter(prefix="/api/videos", tags=["videos"])
        add_reading(self.router, "/{video_id}/verification", self.get, responses=failing(404, 503))

    async def get(self, video_id: str) -> VerificationView:
        """What the last look at a finished video as a whole has found, or the present one so far."""
        await self._catalog.get(video_id)
        found = await self._verifications.of(video_id)
        if found is None:
            raise NotFoundError("This video has not been verified yet.")
        return VerificationView.of(found)


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / _MILLISECONDS, UTC)
