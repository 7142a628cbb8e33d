"""Files and their copies as JSON: where one belongs, and what is wrong with which."""

from __future__ import annotations

from services.admin.views.changes import View
from services.admin.views.names import finding_name
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


class FindingView(View):
    """Something that is not as it should be."""

    kind: str
    key: str
    nodes: tuple[str, ...]
    repaired: bool
    problem: str | None

    @classmethod
    def of(cls, finding: pb.Finding) -> FindingView:
        """What is told of a finding."""
        return cls(
            kind=finding_name(finding.kind),
            key=finding.key,
            nodes=tuple(finding.nodes),
            repaired=finding.repaired,
            problem=finding.problem or None,
        )


class CheckView(View):
    """How a check of all files ended."""

    files: int
    copies: int
    stored_bytes: int
    under_replicated: int
    missing: int
    surplus: int
    corrupt: int
    orphans: int
    repaired: int
    unreachable: tuple[str, ...]

    @classmethod
    def of(cls, summary: pb.CheckSummary) -> CheckView:
        """What is told of a check."""
        counts = {name: getattr(summary, name) for name in cls.model_fields if name != "unreachable"}
        return cls(**counts, unreachable=tuple(summary.unreachable))


class CopyView(View):
    """A node that owns a file, will own it, or holds it."""

    node: str
    owner: bool
    next_owner: bool
    held: bool
    problem: str | None


class LocationView(View):
    """Where a file belongs, and who holds it."""

    key: str
    partition: int
    position: str
    """Its place on the ring, 0 to 2^64 - 1; a string, since JSON's numbers are not exact at that size."""
    copies: tuple[CopyView, ...]

    @classmethod
    def of(cls, key: str, location: pb.LocateFileResponse) -> LocationView:
        """What is told of a file's place."""
        return cls(
            key=key,
            partition=location.partition,
            position=str(location.position),
            copies=tuple(map(_copy, location.copies)),
        )


def _copy(copy: pb.CopyStatus) -> CopyView:
    return CopyView(
        node=copy.node_id,
        owner=copy.owner,
        next_owner=copy.next_owner,
        held=copy.held,
        problem=copy.problem or None,
    )
