"""What holds for every ring, however it came about."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.ring.apportion import Claim, apportion, node_targets, zone_targets
from services.shared.ring.builder import RingNode, build
from services.shared.ring.placement import PARTITIONS
from services.shared.ring.table import RingTable

SLOW = settings(max_examples=10, deadline=None)

ids = st.integers(0, 11).map(lambda number: f"n{number:02d}")
weights = st.sampled_from([0.5, 1.0, 1.0, 1.0, 2.0, 3.7])
zones = st.sampled_from(["a", "b", "c", "d"])
plain = st.builds(lambda node_id: RingNode(id=node_id), ids)
weighted = st.builds(lambda node_id, weight: RingNode(id=node_id, weight=weight), ids, weights)
mixed = st.builds(
    lambda node_id, zone, weight: RingNode(id=node_id, zone=zone, weight=weight), ids, zones, weights
)


def unique(members: st.SearchStrategy[RingNode]) -> st.SearchStrategy[list[RingNode]]:
    return st.lists(members, min_size=1, max_size=10, unique_by=lambda node: node.id)


def unevenness(row: tuple[str, ...], members: list[RingNode]) -> int:
    """How many more nodes the row has of some zone than of one with room."""
    zone_of = {node.id: node.zone for node in members}
    sizes = Counter(zone_of.values())
    counts = Counter(zone_of[node] for node in row)
    rooms = [counts[zone] for zone in sizes if counts[zone] < sizes[zone]]
    return max(counts.values()) - min(rooms) if rooms else 0


def well_formed(table: RingTable, members: list[RingNode], replicas: int) -> None:
    assert table.replicas == min(replicas, len(members))
    assert set(table.nodes) <= {node.id for node in members}
    assert all(unevenness(row, members) <= 1 for row in table.rows)


def least_moves(before: RingTable, rest: list[RingNode], replicas: int) -> int:
    """Slots that have to move when only `rest` stay: all holes, and deficits that none can make up for.

    What holes can make up for is a maximum flow from rows with holes to nodes below their targets, of which a
    row can take each once, if it is not there already.
    """
    staying = {node.id for node in rest}
    kept = Counter(tuple(sorted(staying.intersection(row))) for row in before.rows)
    held = Counter({node: sum(count for row, count in kept.items() if node in row) for node in staying})
    targets = node_targets(rest, zone_slots=zone_targets(rest, replicas=replicas, held=held), held=held)
    flow: nx.DiGraph[object] = nx.DiGraph()
    flow.add_nodes_from(["holes", "deficits"])
    for row, count in kept.items():
        flow.add_edge("holes", row, capacity=count * (replicas - len(row)))
        flow.add_edges_from((row, node, {"capacity": count}) for node in staying.difference(row))
    deficits = {node: target - held[node] for node, target in targets.items() if target > held[node]}
    flow.add_edges_from((node, "deficits", {"capacity": lack}) for node, lack in deficits.items())
    made_up = nx.maximum_flow_value(flow, "holes", "deficits")
    holes = sum(count * (replicas - len(row)) for row, count in kept.items())
    return int(holes + sum(deficits.values()) - made_up)


@SLOW
@given(unique(mixed), st.integers(1, 4))
def test_a_first_table_meets_its_targets_exactly(members, replicas):
    table = build(members, replicas)
    well_formed(table, members, replicas)
    slots = zone_targets(members, replicas=table.replicas, held={})
    targets = node_targets(members, zone_slots=slots, held={})
    assert {node.id: table.counts[node.id] for node in members} == targets


@SLOW
@given(unique(mixed), st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_the_nodes_does_not_matter(members, replicas, random):
    shuffled = random.sample(members, len(members))
    assert build(members, replicas).id == build(shuffled, replicas).id


@SLOW
@given(st.lists(unique(mixed), min_size=2, max_size=4), st.integers(1, 4))
def test_every_later_table_is_well_formed_after_enough_changes(steps, replicas):
    table = build(steps[0], replicas)
    for members in steps[1:]:
        for _ in range(replicas + 1):
            table = build(members, replicas, table)
        well_formed(table, members, replicas)
    assert RingTable.decode(table.encode()) == table


@SLOW
@given(unique(plain), unique(plain), st.integers(1, 4))
def test_at_most_one_replica_of_a_partition_moves_besides_those_that_must(old, new, replicas):
    before = build(old, replicas)
    after = build(new, replicas, before)
    staying = {node.id for node in new}
    for was, now in zip(before.rows, after.rows, strict=True):
        kept = [node for node in was if node in staying][: after.replicas]
        holes = after.replicas - len(kept)
        assert len(set(now) - set(was)) <= max(1, holes)


@SLOW
@given(unique(plain), st.integers(1, 4), st.data())
def test_one_node_more_or_less_moves_about_the_minimum_and_keeps_the_balance(members, replicas, data):
    before = build(members, replicas)
    newcomer = RingNode(id="z-new")
    grown = build([*members, newcomer], replicas, before)
    assert moved(before, grown) <= grown.counts["z-new"] + len(members)
    assert spread(grown) <= 2
    leaver = data.draw(st.sampled_from([*members, newcomer]))
    rest = [node for node in [*members, newcomer] if node != leaver]
    shrunk = build(rest, replicas, grown)
    assert moved(grown, shrunk) <= grown.counts[leaver.id] + len(members)
    assert spread(shrunk) <= 2


@SLOW
@given(unique(weighted), unique(weighted), st.integers(1, 4), st.data())
def test_when_nodes_leave_no_more_moves_than_a_maximum_flow_allows(first, later, replicas, data):
    members = list({node.id: node for node in [*first, *later]}.values())
    before = build(members, replicas, build(first, replicas))
    rest = data.draw(st.lists(st.sampled_from(members), min_size=1, unique_by=lambda node: node.id))
    after = build(rest, replicas, before)
    assert moved(before, after) <= least_moves(before, rest, after.replicas)


@pytest.mark.parametrize(
    ("shares", "leaver"), [((1, 1, 1, 1, 2), "n0"), ((1, 2, 1, 1, 2), "n0"), ((1, 2, 1, 1, 2), "n1")]
)
def test_filling_holes_in_turn_is_not_enough_here(shares, leaver):
    members = [RingNode(id=f"n{number}", weight=share) for number, share in enumerate(shares)]
    before = build(members, 2, build(members[:-1], 2))
    rest = [node for node in members if node.id != leaver]
    after = build(rest, 2, before)
    assert moved(before, after) == least_moves(before, rest, 2)


@given(
    st.lists(
        st.tuples(
            st.fractions(Fraction(1, 10), 10), st.integers(0, 50), st.integers(0, 50), st.integers(0, 99)
        ),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
def test_apportionment_is_whole_within_bounds_and_by_weight(rows, data):
    claims = {
        str(number): Claim(weight=weight, low=low, high=low + room, held=held)
        for number, (weight, low, room, held) in enumerate(rows)
    }
    total = data.draw(st.integers(sum(c.low for c in claims.values()), sum(c.high for c in claims.values())))
    shares = apportion(total, claims)
    assert sum(shares.values()) == total
    assert all(claims[name].low <= share <= claims[name].high for name, share in shares.items())
    for rich, claim in claims.items():
        for poor, other in claims.items():
            if shares[rich] > claim.low and shares[poor] < other.high:
                assert (shares[rich] - 1) / claim.weight <= (shares[poor] + 1) / other.weight


def moved(before: RingTable, after: RingTable) -> int:
    return sum(len(set(new) - set(old)) for old, new in zip(before.rows, after.rows, strict=True))


def spread(table: RingTable) -> int:
    assert table.counts.total() == PARTITIONS * table.replicas
    return max(table.counts.values()) - min(table.counts.values())
