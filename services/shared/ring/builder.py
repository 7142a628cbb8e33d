"""Makes ring tables. Deterministic: the same nodes and previous table give the same table everywhere.

Rules, in the order in which they win:

1. Every row has R different owners (all nodes, while there are fewer than R).
2. A row never has two nodes of a zone while another zone has room: rows spread over zones evenly.
3. Besides replacing owners that left, at most one replica of a partition moves per change, so that the other
   copies stay where every reader and writer already looks.
4. Nodes hold slots in proportion to their weights (`apportion`); a hole goes to the greatest deficit.
5. Nothing moves that does not have to.

Filling each row with the greatest remaining deficits is the construction of Havel and Hakimi: for a first
table it meets the targets exactly. When nodes have left, the holes are not spread over all rows, and the node
that lacks most may own the rows already in which the last holes are. What was filled is then passed on along
augmenting paths, as Ford and Fulkerson find a maximum flow: then as few other slots as possible have to move.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from services.shared.ring.apportion import RingNode, node_targets, zone_targets
from services.shared.ring.placement import PARTITIONS, rendezvous_score
from services.shared.ring.table import RingTable

__all__ = ["RingNode", "build"]

_Path: TypeAlias = tuple[tuple[int, int, str], ...]
"""Partitions, positions in their rows, and whom to give them to."""

_STRIDE: Final = 1597
"""Odd, so coprime to 4096, and near its golden section: a walk by it visits every partition, well mixed."""
_WALK: Final = tuple(index * _STRIDE % PARTITIONS for index in range(PARTITIONS))


def build(nodes: Iterable[RingNode], replicas: int, previous: RingTable | None = None) -> RingTable:
    """Assign every partition to `replicas` of the nodes (fewer while there are fewer nodes).

    Args:
        nodes: those that may own files from now on; one of `previous` that is missing here loses its slots.
        replicas: wanted copies of each file.
        previous: the table to start from, changed as little as the rules allow.

    Raises:
        ValueError: no nodes, one named twice, a weight that is not positive, or fewer than one replica.
    """
    members = sorted(nodes, key=lambda node: node.id)
    if not members or len({node.id for node in members}) != len(members):
        raise ValueError("a ring needs at least one node, each named once")
    if replicas < 1 or any(node.weight <= 0 for node in members):
        raise ValueError("a ring needs at least one replica and positive weights")
    draft = _Draft(members, min(replicas, len(members)), previous)
    draft.shorten_rows()
    draft.spread_zones()
    draft.fill_holes()
    draft.pass_on_holes()
    draft.rebalance()
    return draft.table()


class _Draft:
    """A table in the making: rows with holes (None), and how many slots each node and zone still lacks."""

    def __init__(self, members: Sequence[RingNode], replicas: int, previous: RingTable | None) -> None:
        self._zone_of = {node.id: node.zone for node in members}
        self._zone_size = Counter(self._zone_of.values())
        self._replicas = replicas
        self._rows = [self._kept(previous, partition) for partition in range(PARTITIONS)]
        self._touched = [None in row for row in self._rows]
        self._filled: list[tuple[int, int]] = []
        held = Counter(node for row in self._rows for node in row if node is not None)
        zone_slots = zone_targets(members, replicas=replicas, held=held)
        self._lacks = Counter(node_targets(members, zone_slots=zone_slots, held=held))
        self._lacks.subtract(held)
        self._zone_lacks = Counter(zone_slots)
        self._zone_lacks.subtract(Counter(self._zone_of[node] for node in held.elements()))

    def table(self) -> RingTable:
        """The finished table."""
        return RingTable(tuple(tuple(node for node in row if node is not None) for row in self._rows))

    def shorten_rows(self) -> None:
        """Cut rows of a time with more replicas: holes first, then what is most dispensable."""
        for partition in _WALK:
            row = self._rows[partition]
            while len(row) > self._replicas:
                position = row.index(None if None in row else self._most_dispensable(row))
                self._put(partition, position, None)
                del row[position]

    def spread_zones(self) -> None:
        """Open a hole in each untouched row that crowds a zone (zones may have changed since it was made)."""
        for partition in _WALK:
            row = self._rows[partition]
            if not self._touched[partition] and not self._spread_evenly(row):
                self._put(partition, row.index(self._most_dispensable(row)), None)

    def fill_holes(self) -> None:
        """Give each hole to the zone, and in it to the node, that lacks most."""
        for partition in _WALK:
            for position, node in enumerate(self._rows[partition]):
                if node is None:
                    self._put(partition, position, self._candidate(partition))
                    self._filled.append((partition, position))

    def pass_on_holes(self) -> None:
        """Fill holes otherwise while that brings a slot from a node above its target to one below it."""
        while path := self._path():
            for partition, position, node in path:
                self._put(partition, position, node)

    def rebalance(self) -> None:
        """Move slots from nodes above their target to nodes below it, in rows where nothing moved yet."""
        moved = True
        while moved:
            order = [partition for partition in self._mixed() if not self._touched[partition]]
            moved = sum(map(self._relieve, order)) > 0

    def _mixed(self) -> list[int]:
        """All partitions, in an order of its own for each set of nodes that lack slots.

        With one order for all, nodes that came one after the other would take their slots from the same rows.
        They would share most of their files, and when one of them left, the others, holding those files
        already, could not take its place: measured in rings that grew node by node, a drain moved up to a
        fifth more than it had to.
        """
        receivers = ",".join(sorted(node for node, lack in self._lacks.items() if lack > 0))
        return sorted(_WALK, key=lambda partition: rendezvous_score(partition, receivers))

    def _kept(self, previous: RingTable | None, partition: int) -> list[str | None]:
        """A row's remaining owners in their places, with holes for the others and for replicas to come."""
        old = previous.owners(partition) if previous else ()
        row: list[str | None] = [node if node in self._zone_of else None for node in old]
        return row + [None] * (self._replicas - len(row))

    def _put(self, partition: int, position: int, node: str | None) -> None:
        old = self._rows[partition][position]
        for owner, change in ((old, 1), (node, -1)):
            if owner is not None:
                self._lacks[owner] += change
                self._zone_lacks[self._zone_of[owner]] += change
        self._rows[partition][position] = node
        self._touched[partition] = True

    def _zone_counts(self, row: Iterable[str | None]) -> Counter[str]:
        counts = Counter(dict.fromkeys(self._zone_size, 0))
        counts.update(self._zone_of[node] for node in row if node is not None)
        return counts

    def _spread_evenly(self, row: Iterable[str | None]) -> bool:
        """Whether no zone has two more nodes in the row than one that has room."""
        counts = self._zone_counts(row)
        open_zones = [count for zone, count in counts.items() if count < self._zone_size[zone]]
        return not open_zones or max(counts.values()) <= min(open_zones) + 1

    def _most_dispensable(self, row: Iterable[str | None]) -> str:
        """The owner to give up: of the most crowded zone, the one furthest above its target."""
        counts = self._zone_counts(row)
        owners = [node for node in row if node is not None]
        return max(owners, key=lambda node: (counts[self._zone_of[node]], -self._lacks[node], node))

    def _candidate(self, partition: int) -> str:
        """The node for a hole of this row: in the zones with fewest owners here, who lacks most."""
        row = self._rows[partition]
        counts = self._zone_counts(row)
        rooms = [zone for zone, count in counts.items() if count < self._zone_size[zone]]
        least = min(counts[zone] for zone in rooms)
        zone = _neediest(partition, [zone for zone in rooms if counts[zone] == least], self._zone_lacks)
        members = (node for node, its_zone in self._zone_of.items() if its_zone == zone)
        return _neediest(partition, [node for node in members if node not in row], self._lacks)

    def _path(self) -> _Path:
        """The shortest way to make up for a deficit by what this change has filled: (), if there is none.

        Its first step takes a slot from a node above its target, each of the others one from the node that
        the step before gave one to; the last receiver is below its target.
        """
        if not any(lack > 0 for lack in self._lacks.values()):
            return ()
        filled: dict[str, list[tuple[int, int]]] = {}
        for partition, position in self._filled:
            filled.setdefault(str(self._rows[partition][position]), []).append((partition, position))
        paths: dict[str, _Path] = {node: () for node in sorted(filled) if self._lacks[node] < 0}
        queue = deque(paths)
        while queue:
            old = queue.popleft()
            for partition, position in filled.get(old, ()):
                if any(partition == step[0] for step in paths[old]):
                    continue
                row = self._rows[partition]
                for new in self._zone_of:
                    if new in paths or new in row or not self._may_swap(row, old, new):
                        continue
                    paths[new] = (*paths[old], (partition, position, new))
                    if self._lacks[new] > 0:
                        return paths[new]
                    queue.append(new)
        return ()

    def _relieve(self, partition: int) -> bool:
        """Move one slot of this row from a node above its target to one below, if that is possible."""
        row = self._rows[partition]
        above = [node for node in row if node is not None and self._lacks[node] < 0]
        below = [node for node, lack in self._lacks.items() if lack > 0 and node not in row]
        swaps = [(old, new) for old in above for new in below if self._may_swap(row, old, new)]
        if not swaps:
            return False
        old, new = max(swaps, key=lambda swap: self._gain(partition, *swap))
        self._put(partition, row.index(old), new)
        return True

    def _may_swap(self, row: Sequence[str | None], old: str, new: str) -> bool:
        if self._zone_of[old] == self._zone_of[new]:
            return True
        return self._spread_evenly([new if node == old else node for node in row])

    def _gain(self, partition: int, old: str, new: str) -> tuple[int, int]:
        return self._lacks[new] - self._lacks[old], rendezvous_score(partition, new)


def _neediest(partition: int, names: Sequence[str], lacks: Mapping[str, int]) -> str:
    """Who lacks most. Ties are broken by hash, differently for each partition, so that all pairings occur."""
    most = max(lacks[name] for name in names)
    tied = [name for name in names if lacks[name] == most]
    return max(tied, key=lambda name: rendezvous_score(partition, name)) if len(tied) > 1 else tied[0]
