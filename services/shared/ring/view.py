"""One consistent picture of the ring, and the rules of reading and writing as pure functions of it.

Write rule: a file is acknowledged when at least W nodes hold it durably for the current table and, while
files move, at least W for the next one. A node counts for a table that it owns the file in. It may stand in
for owners out of reach, too, if it may own files at all, be it an owner in the other table or a handoff node;
but at least one real owner of each table is needed. A node that is draining stands in for nobody: it may have
reported already that it has nothing left to hand over.

Read rule: any verified copy is right, since content never changes under a key. Ask the owners in the current
table, then in the next, then in former ones, then every live node. "Not found" needs all of them to say so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from services.shared.ring.placement import key_hash, partition_of, rendezvous_score
from services.shared.ring.state import AT_WORK, PLACEABLE, NodeEntry, NodeLive, NodeState, RingState
from services.shared.ring.table import RingTable


class WriteSets(NamedTuple):
    """The owners that a write is for: in the current table and, while files move, in the next one.

    Those that were declared dead are left out.
    """

    cur: tuple[str, ...]
    """Empty only if all of them were declared dead."""
    next: tuple[str, ...]
    """Empty while the ring is STABLE."""

    @property
    def targets(self) -> tuple[str, ...]:
        """All of them, each once, current owners first."""
        return tuple(dict.fromkeys(self.cur + self.next))


@dataclass(frozen=True, kw_only=True)
class RingView:
    """State, decoded tables and live nodes of one moment."""

    state: RingState
    tables: Mapping[str, RingTable] = field(repr=False)
    """Every table that the state names."""
    live: Mapping[str, NodeLive] = field(default_factory=dict)
    """By node id: every node whose live key exists, members of the ring or not."""

    @property
    def epoch(self) -> int:
        """What writes carry and receivers compare."""
        return self.state.epoch

    @property
    def migrating(self) -> bool:
        """Whether files are on the move."""
        return self.state.migrating

    @property
    def cur(self) -> RingTable:
        """The table in force."""
        return self.tables[self.state.cur]

    @property
    def next(self) -> RingTable | None:
        """The table that files are moving to, None when STABLE."""
        return None if self.state.next is None else self.tables[self.state.next]

    def owners(self, partition: int) -> tuple[str, ...]:
        """The nodes that own a partition now."""
        return self.cur.owners(partition)

    def next_owners(self, partition: int) -> tuple[str, ...]:
        """The nodes that will own a partition after the change in progress; empty when STABLE."""
        return self.next.owners(partition) if self.next else ()

    # ---- nodes ----

    @cached_property
    def up(self) -> frozenset[str]:
        """Members of the ring that are live, on the disk that they were registered with."""
        return frozenset(node for node in self.live if self._is_member(node))

    def entry(self, node: str) -> NodeEntry | None:
        """What the ring has on record of a node."""
        return self.state.nodes.get(node)

    def address(self, node: str) -> str | None:
        """Where a node is reached: where it says it is now, else where it was last registered."""
        if node in self.up:
            return self.live[node].address
        entry = self.entry(node)
        return entry.address if entry else None

    def bulk_address(self, node: str) -> str:
        """Where a live node takes bulk connections; empty: it does not, or is not live."""
        return self.live[node].bulk if node in self.up else ""

    # ---- the write rule ----

    def write_sets(self, key: str) -> WriteSets:
        """The owners that a new file is for."""
        partition = partition_of(key)
        return WriteSets(
            tuple(node for node in self.owners(partition) if self._in_state(node, AT_WORK)),
            tuple(node for node in self.next_owners(partition) if self._in_state(node, AT_WORK)),
        )

    def handoff(self, key: str) -> Iterator[str]:
        """Live nodes that may stand in for unreachable owners of a key, best first: the same for everyone."""
        targets = self.write_sets(key).targets
        partition = partition_of(key)
        free = (node for node in self.up if node not in targets and self._in_state(node, PLACEABLE))
        return iter(sorted(free, key=lambda node: rendezvous_score(partition, node), reverse=True))

    def acknowledged(self, key: str, acks: Collection[str]) -> bool:
        """Whether a file that `acks` hold durably, committed at this epoch, may be called stored."""
        sets = self.write_sets(key)
        return any(sets) and all(self._enough(owners, acks) for owners in sets if owners)

    def _enough(self, owners: Collection[str], acks: Collection[str]) -> bool:
        real = len(set(owners).intersection(acks))
        stand_ins = sum(self._in_state(node, PLACEABLE) for node in set(acks).difference(owners))
        return real > 0 and real + stand_ins >= min(self.state.write_quorum, len(owners))

    # ---- the read rule ----

    def read_order(self, key: str) -> tuple[str, ...]:
        """Whom to ask for a file, best first, each once: owners now, next and before, then all live nodes.

        Owners of one table that are live come before those that are not, and start at another one for each
        key, so that reads spread over the copies. A node declared dead is asked last, and only if it is live;
        a removed one never.
        """
        partition = partition_of(key)
        order = dict.fromkeys(self._owners_in_order(key))
        by_score = sorted(self.up, key=lambda node: rendezvous_score(partition, node), reverse=True)
        order |= dict.fromkeys(sorted(by_score, key=self._is_gone))
        return tuple(order)

    def asked_first(self, key: str) -> str | None:
        """The first in the read order, if it is an owner."""
        return next(self._owners_in_order(key), None)

    def _owners_in_order(self, key: str) -> Iterator[str]:
        """Owners in all tables; one in several tables comes again."""
        place, partition = key_hash(key), partition_of(key)
        for table_id in self.state.tables:
            owners = _rotated(self.tables[table_id].owners(partition), place)
            yield from self._live_first(node for node in owners if not self._is_gone(node))

    def _live_first(self, nodes: Iterable[str]) -> list[str]:
        return sorted(nodes, key=lambda node: node not in self.up)

    def _is_gone(self, node: str) -> bool:
        return not self._in_state(node, AT_WORK)

    def _in_state(self, node: str, states: Collection[NodeState]) -> bool:
        entry = self.entry(node)
        return entry is not None and entry.state in states

    def _is_member(self, node: str) -> bool:
        entry = self.entry(node)
        return (
            entry is not None
            and entry.state is not NodeState.REMOVED
            and entry.disk_id == self.live[node].disk_id
        )


def _rotated(owners: tuple[str, ...], by: int) -> tuple[str, ...]:
    start = by % len(owners)
    return owners[start:] + owners[:start]
