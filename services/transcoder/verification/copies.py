"""Whether the nodes that own files have them, whole; and having them get what they lack."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from services.shared.catalog import now_ms
from services.shared.content.holders import Copy, Holders
from services.shared.errors import TritonTubeError
from services.shared.ring.placement import object_key, parse_key, partition_of
from services.shared.topology import Topology
from services.shared.verification import Fault, FaultKind, Outcome

Q = TypeVar("Q")
A = TypeVar("A")

_COPIES: Final = frozenset({FaultKind.LACKING, FaultKind.DAMAGED})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What owners say of some files."""

    faults: list[Fault]
    absent: list[str]
    """Files that no owner holds."""


@dataclass(kw_only=True)
class Copies:
    """Asks the owners of files. One that does not answer is asked nothing more.

    Args:
        topology: the ring.
        holders: its nodes.
        video_id: whose files.
        settling_ms: how long an owner may lack what somebody has: the last one is a little slower.
    """

    topology: Topology
    holders: Holders
    video_id: str
    settling_ms: int = 10_000
    silent: set[str] = field(default_factory=set)
    """Nodes that did not answer."""

    async def look(self, names: Sequence[str], *, thoroughly: bool = True) -> Seen:
        """What is wrong with the copies of some files; `thoroughly`: read to the last byte."""
        keys = {object_key(self.video_id, name): name for name in names}
        owners = {key: self.topology.view.owners(partition_of(key)) for key in keys}
        held = await self._ask(_inverted(owners), self.holders.has)
        damaged = await self._damaged(held) if thoroughly else {}
        somewhere = {copy.key: copy for copies in held.values() for copy in copies.values()}
        settled_ms = now_ms() - self.settling_ms
        lacking = {
            key: [node for node in owners[key] if node in held and key not in held[node]]
            for key, copy in somewhere.items()
            if copy.stored_at_ms < settled_ms
        }
        return Seen(
            faults=[*_faults(FaultKind.DAMAGED, _inverted(damaged)), *_faults(FaultKind.LACKING, lacking)],
            absent=[name for key, name in keys.items() if key not in somewhere],
        )

    async def mend(self, faults: Iterable[Fault]) -> list[Fault]:
        """Have the nodes concerned get sound copies; the faults as they are afterwards.

        Only those of copies change: what has a copy on all nodes that still own it is mended.
        """
        faults = [*faults]
        open_ones = [fault for fault in faults if fault.kind in _COPIES and fault.outcome is Outcome.OPEN]
        wanting = {object_key(self.video_id, fault.file): self._still_owning(fault) for fault in open_ones}
        await self._ask(_inverted(wanting), self.holders.mend)
        held = await self._ask(_inverted(wanting), self.holders.has)
        return [self._judged(fault, held) if fault in open_ones else fault for fault in faults]

    async def _damaged(self, held: Mapping[str, Mapping[str, Copy]]) -> dict[str, list[str]]:
        return await self._ask(
            {node: [*copies.values()] for node, copies in held.items()}, self.holders.damaged
        )

    def _still_owning(self, fault: Fault) -> list[str]:
        owners = self.topology.view.owners(partition_of(object_key(self.video_id, fault.file)))
        return [node for node in fault.nodes if node in owners]

    def _judged(self, fault: Fault, held: Mapping[str, Collection[str]]) -> Fault:
        key = object_key(self.video_id, fault.file)
        whole = all(key in held.get(node, ()) for node in self._still_owning(fault))
        return fault.ended(Outcome.MENDED) if whole else fault

    async def _ask(
        self, questions: Mapping[str, Sequence[Q]], ask: Callable[[str, Sequence[Q]], Awaitable[A]]
    ) -> dict[str, A]:
        """Ask several nodes at the same time; the answers of those that gave one."""
        answers: dict[str, A] = {}

        async def asked(node: str) -> None:
            try:
                answers[node] = await ask(node, questions[node])
            except TritonTubeError:
                self.silent.add(node)

        await asyncio.gather(*(asked(node) for node in questions if node not in self.silent))
        return answers


def _inverted(groups: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Nodes by key from keys by node, and the other way round."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, members in groups.items():
        for member in members:
            found[member].append(name)
    return found


def _faults(kind: FaultKind, nodes_of: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    for key, nodes in sorted(nodes_of.items()):
        if nodes:
            yield Fault(kind=kind, file=parse_key(key).file, nodes=tuple(sorted(nodes)))
