"""The cluster's state as JSON, as `tritontube-admin status --json` and the web service's API tell it."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from services.admin.views.changes import ProgressView, RequestView, View, moment
from services.admin.views.names import kind_name, node_state_name, phase_name
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


class UsageView(View):
    """What a node holds."""

    files: int
    stored_bytes: int
    free_bytes: int
    capacity_bytes: int
    epoch: int = Field(description="of the ring, as the node knows it")
    read_only_reason: str | None = Field(description="why it takes no writes; null while it does")

    @classmethod
    def of(cls, usage: pb.NodeUsage) -> UsageView:
        """What is told of a node's disk."""
        return cls(
            files=usage.files,
            stored_bytes=usage.stored_bytes,
            free_bytes=usage.free_bytes,
            capacity_bytes=usage.capacity_bytes,
            epoch=usage.epoch,
            read_only_reason=usage.read_only_reason or None,
        )


class NodeView(View):
    """A storage node that is or was a member of the ring."""

    id: str
    address: str
    zone: str
    weight: float
    state: str = Field(description="joining, active, draining, dead or removed")
    live: bool = Field(description="whether it is up")
    partitions: int
    next_partitions: int = Field(description="after the change in progress")
    share: float = Field(description="of all copies, 0 to 1")
    next_share: float = Field(description="after the change in progress")
    usage: UsageView | None = Field(description="null where the node was not reached")
    problem: str | None = Field(description="why it was not reached")

    @classmethod
    def of(cls, node: pb.NodeStatus, *, next_slots: int) -> NodeView:
        """What is told of a node; `next_slots`: partitions of all nodes after the change in progress."""
        return cls(
            id=node.id,
            address=node.address,
            zone=node.zone,
            weight=node.weight,
            state=node_state_name(node.state),
            live=node.live,
            partitions=node.partitions,
            next_partitions=node.next_partitions,
            share=node.share,
            next_share=node.next_partitions / next_slots if next_slots else 0.0,
            usage=UsageView.of(node.usage) if node.HasField("usage") else None,
            problem=node.problem or None,
        )


class CandidateView(View):
    """A storage node that is up without being a member of the ring."""

    id: str
    address: str
    zone: str

    @classmethod
    def of(cls, candidate: pb.Candidate) -> CandidateView:
        """What is told of a candidate."""
        return cls(id=candidate.id, address=candidate.address, zone=candidate.zone)


class SuspectView(View):
    """A member of the ring that is away, and not given up."""

    node: str
    since: datetime
    dead_at: datetime | None = Field(description="when it is declared dead; null: not by itself")

    @classmethod
    def of(cls, suspect: pb.Suspect) -> SuspectView:
        """What is told of a node that is away."""
        dead_at = moment(suspect.dead_at_ms) if suspect.dead_at_ms else None
        return cls(node=suspect.node_id, since=moment(suspect.since_ms), dead_at=dead_at)


class ChangeView(View):
    """The change in progress."""

    id: str
    kind: str = Field(description="add, drain, dead, replace, rebalance or abort")
    node: str | None

    @classmethod
    def of(cls, change: pb.Change) -> ChangeView:
        """What is told of a change."""
        return cls(id=change.id, kind=kind_name(change.kind), node=change.node_id or None)


class ClusterView(View):
    """The ring and its nodes. What belongs to the ring is null until it has been formed."""

    cluster_id: str | None
    epoch: int | None = Field(description="grows by one with every change")
    phase: str | None = Field(description="STABLE, or MIGRATING while files are on the move")
    replicas: int | None = Field(description="wanted copies of each file")
    write_quorum: int | None = Field(description="copies that must be durable for a write to count")
    partitions: int = Field(description="arcs of the ring, the unit in which files are assigned")
    nodes: tuple[NodeView, ...] = Field(description="every node ever registered")
    candidates: tuple[CandidateView, ...] = Field(description="nodes that are up without being members")
    change: ChangeView | None = Field(description="null while nothing changes")
    suspects: tuple[SuspectView, ...] = Field(description="members that are away and not given up")
    queue: tuple[RequestView, ...] = Field(description="changes that wait for their turn, the next one first")
    progress: tuple[ProgressView, ...] = Field(description="of each node with the change in progress")
    under_replicated: int = Field(description="copies known to be lacking at their owners")
    as_of: datetime | None = Field(
        description="when etcd last told of the ring, while it does not answer; null while it does"
    )

    @classmethod
    def of(cls, status: pb.GetStatusResponse) -> ClusterView:
        """What is told of a status."""
        formed = bool(status.epoch)
        slots = sum(node.next_partitions for node in status.nodes)
        return cls(
            cluster_id=status.cluster_id or None,
            epoch=status.epoch if formed else None,
            phase=phase_name(status.phase) if formed else None,
            replicas=status.replicas if formed else None,
            write_quorum=status.write_quorum if formed else None,
            partitions=status.partitions,
            nodes=tuple(NodeView.of(node, next_slots=slots) for node in status.nodes),
            candidates=tuple(map(CandidateView.of, status.candidates)),
            change=ChangeView.of(status.change) if status.HasField("change") else None,
            suspects=tuple(map(SuspectView.of, status.suspects)),
            queue=tuple(map(RequestView.of, status.queue)),
            progress=tuple(map(ProgressView.of, status.progress)),
            under_replicated=status.under_replicated,
            as_of=moment(status.as_of_ms) if status.as_of_ms else None,
        )
