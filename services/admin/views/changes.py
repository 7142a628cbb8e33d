"""Changes of the membership as JSON: asked for, under way, and what one would do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from services.admin.views.names import kind_name, request_state_name
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_MILLISECONDS: Final = 1000


class View(BaseModel):
    """Base of all that is told of the cluster: a contract with scripts, apart from how it is sent."""

    model_config = ConfigDict(frozen=True)


class RequestView(View):
    """A change that was asked for."""

    request_id: str
    kind: str = Field(description="add, drain, dead, replace, rebalance or abort")
    node: str | None = Field(description="id of the node that it is about; null where it is about none")
    state: str = Field(description="queued, running, done, refused or aborted")
    reason: str | None = Field(description="why it was refused or aborted")
    requested_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    files_moved: int = Field(description="copies made for it; 0 until it is done")
    bytes_moved: int = Field(description="in these copies")

    @classmethod
    def of(cls, request: pb.ChangeRequest) -> RequestView:
        """What is told of a request."""
        return cls(
            request_id=request.request_id,
            kind=kind_name(request.kind),
            node=request.node_id or None,
            state=request_state_name(request.state),
            reason=request.reason or None,
            requested_at=moment(request.requested_at_ms),
            began_at=moment(request.began_at_ms) if request.began_at_ms else None,
            ended_at=moment(request.ended_at_ms) if request.ended_at_ms else None,
            files_moved=request.files_moved,
            bytes_moved=request.bytes_moved,
        )


class ProgressView(View):
    """How far a node is with handing its files over."""

    node: str
    partitions: int
    partitions_done: int
    files_moved: int
    bytes_moved: int
    bytes_left: int = Field(description="known to be missing still; more may show")
    synced: bool = Field(description="everything is handed over, at the epoch of the change")
    waiting_for: str | None = Field(description="what keeps it from going on")

    @classmethod
    def of(cls, progress: pb.NodeProgress) -> ProgressView:
        """What is told of a node's progress."""
        return cls(
            node=progress.node_id,
            partitions=progress.partitions,
            partitions_done=progress.partitions_done,
            files_moved=progress.files_moved,
            bytes_moved=progress.bytes_moved,
            bytes_left=progress.bytes_left,
            synced=progress.synced,
            waiting_for=progress.waiting_for or None,
        )


class WatchView(View):
    """A request as it is at one moment."""

    request: RequestView
    epoch: int
    nodes: tuple[ProgressView, ...]

    @classmethod
    def of(cls, news: pb.WatchChangeResponse) -> WatchView:
        """What is told of a request that is followed."""
        return cls(
            request=RequestView.of(news.request),
            epoch=news.epoch,
            nodes=tuple(map(ProgressView.of, news.nodes)),
        )


class MoveView(View):
    """What a change would mean for a node."""

    node: str
    partitions_before: int
    partitions_after: int
    share_before: float
    share_after: float
    files: int = Field(description="that it would receive")
    bytes: int = Field(description="that it would receive")

    @classmethod
    def of(cls, move: pb.NodeMove) -> MoveView:
        """What is told of a node's part."""
        return cls(
            node=move.node_id,
            partitions_before=move.partitions_before,
            partitions_after=move.partitions_after,
            share_before=move.share_before,
            share_after=move.share_after,
            files=move.files,
            bytes=move.moved_bytes,
        )


class PreviewView(View):
    """What a change would do."""

    nodes: tuple[MoveView, ...]
    partitions: int = Field(description="with another set of owners")
    files: int = Field(description="copies to be made")
    bytes: int
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, preview: pb.PreviewChangeResponse) -> PreviewView:
        """What is told of a preview."""
        return cls(
            nodes=tuple(map(MoveView.of, preview.nodes)),
            partitions=preview.partitions,
            files=preview.files,
            bytes=preview.moved_bytes,
            warnings=tuple(preview.warnings),
        )


def moment(at_ms: int) -> datetime:
    """A time as JSON has it."""
    return datetime.fromtimestamp(at_ms / _MILLISECONDS, UTC)
