"""What is wrong with a file's copies: pure judgements of what was seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from services.admin.files.sightings import Sighting
from services.shared.ring.placement import partition_of
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


class Kind(Enum):
    """What can be wrong."""

    UNDER_REPLICATED = pb.FINDING_KIND_UNDER_REPLICATED
    MISSING = pb.FINDING_KIND_MISSING
    SURPLUS = pb.FINDING_KIND_SURPLUS
    CORRUPT = pb.FINDING_KIND_CORRUPT
    ORPHAN = pb.FINDING_KIND_ORPHAN


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong with one file."""

    kind: Kind
    key: str
    nodes: tuple[str, ...] = ()
    """Those concerned, in order: they lack it, or hold it wrongly."""
    repaired: bool = False
    problem: str = ""

    def message(self) -> pb.CheckFilesResponse:
        """The finding as operators get it."""
        finding = pb.Finding(
            kind=self.kind.value,
            key=self.key,
            nodes=self.nodes,
            repaired=self.repaired,
            problem=self.problem,
        )
        return pb.CheckFilesResponse(finding=finding)


@dataclass(frozen=True, kw_only=True)
class Graces:
    """How long things may be other than they should, since they are on their way."""

    settling_s: float = 10.0
    """A file may have fewer copies after a write: the last owner is a little slower."""
    surplus_s: float = 600.0
    """A copy may stay where it does not belong."""
    orphan_s: float = 24 * 3600.0
    """A file that nothing refers to is kept."""


def judge(
    view: RingView, seen: Sighting, *, unknown: Collection[str], now_ms: int, graces: Graces
) -> Iterator[Finding]:
    """What is wrong with where a file's copies are.

    While files move, only owners by the table in force count as lacking one, and nobody's copy is surplus.

    Args:
        view: the ring.
        seen: the file, with at least one copy.
        unknown: nodes that nobody can tell of now.
        now_ms: the time.
        graces: what is let pass.
    """
    partition = partition_of(seen.key)
    owners = view.owners(partition)
    age_s = (now_ms - seen.newest_ms) / 1000
    lacking = [node for node in owners if node not in seen.copies and node not in unknown]
    if lacking and age_s >= graces.settling_s:
        yield Finding(kind=Kind.UNDER_REPLICATED, key=seen.key, nodes=tuple(lacking))
    if not view.migrating and (strangers := seen.copies.keys() - set(owners)):
        old = [node for node in strangers if _age_s(seen, node, now_ms) >= graces.surplus_s]
        if old:
            yield Finding(kind=Kind.SURPLUS, key=seen.key, nodes=tuple(sorted(old)))
    if len({copy.sha256 for copy in seen.copies.values()}) > 1:
        yield Finding(
            kind=Kind.CORRUPT,
            key=seen.key,
            nodes=tuple(sorted(seen.copies)),
            problem="The nodes hold different content under one name, which must never happen.",
        )


def _age_s(seen: Sighting, node: str, now_ms: int) -> float:
    return (now_ms - seen.copies[node].stored_at_ms) / 1000
