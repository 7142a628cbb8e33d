"""The ring builder at the sizes that people run: balance, movement, and edges."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb

import pytest

from services.shared.ring.builder import RingNode, build
from services.shared.ring.placement import PARTITIONS, partition_of
from services.shared.ring.table import RingTable

FILES = 600_000


def nodes(count: int, *, first: int = 0) -> list[RingNode]:
    return [RingNode(id=f"node-{number:03d}") for number in range(first, first + count)]


def moved(before: RingTable, after: RingTable) -> int:
    return sum(len(set(new) - set(old)) for old, new in zip(before.rows, after.rows, strict=True))


def receivers(before: RingTable, after: RingTable) -> set[str]:
    pairs = zip(before.rows, after.rows, strict=True)
    return {node for old, new in pairs for node in set(new) - set(old)}


def imbalance(table: RingTable) -> float:
    counts = table.counts
    return max(counts.values()) * len(counts) / counts.total()


@pytest.mark.parametrize("count", [3, 4, 5, 7, 10, 30, 100])
def test_a_first_table_gives_every_node_the_same_number_of_partitions(count):
    counts = build(nodes(count), 3).counts
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("count", [4, 10, 100])
def test_files_are_spread_to_within_four_percent(count):
    table = build(nodes(count), 3)
    files = Counter(partition_of(f"0123456789abcdef/{number}") for number in range(FILES))
    held: Counter[str] = Counter()
    for partition, count_here in files.items():
        held.update(dict.fromkeys(table.owners(partition), count_here))
    assert max(held.values()) * count / (FILES * 3) <= 1.04


@pytest.mark.parametrize("count", [3, 4, 10, 30, 99])
def test_adding_a_node_moves_the_theoretical_minimum(count):
    before = build(nodes(count), 3)
    after = build(nodes(count + 1), 3, before)
    minimum = PARTITIONS * 3 / (count + 1)
    assert minimum - 1 <= moved(before, after) <= minimum * 1.01
    assert receivers(before, after) == {f"node-{count:03d}"}
    assert imbalance(after) <= 1.01


@pytest.mark.parametrize("count", [4, 10, 30, 100])
def test_draining_a_node_moves_only_what_it_held(count):
    before = build(nodes(count), 3)
    after = build(nodes(count - 1, first=1), 3, before)
    assert moved(before, after) <= before.counts["node-000"] * 1.01
    assert "node-000" not in after.nodes
    assert imbalance(after) <= 1.01


def test_draining_a_node_of_a_ring_that_grew_node_by_node_moves_only_what_it_held():
    before = build(nodes(3), 3)
    for count in range(4, 13):
        before = build(nodes(count), 3, before)
    for leaving in before.nodes:
        after = build([node for node in nodes(12) if node.id != leaving], 3, before)
        assert moved(before, after) <= before.counts[leaving] * 1.02


def test_nodes_that_came_one_after_the_other_share_no_more_files_than_others():
    table = build(nodes(3), 3)
    for count in range(4, 13):
        table = build(nodes(count), 3, table)
    together = Counter(frozenset(pair) for row in table.rows for pair in combinations(row, 2))
    expected = PARTITIONS * 3 / comb(12, 2)
    assert expected * 0.7 < min(together.values()) <= max(together.values()) < expected * 1.3


def test_building_again_from_a_table_changes_nothing():
    table = build(nodes(7), 3)
    assert build(nodes(7), 3, table) == table


def test_growing_from_one_node_to_a_hundred_stays_balanced():
    table = build(nodes(1), 3)
    for count in range(2, 101):
        table = build(nodes(count), 3, table)
        assert imbalance(table) <= 1.04


def test_copies_pair_up_in_every_way_so_that_a_lost_node_is_rebuilt_by_all_others():
    table = build(nodes(6), 3)
    assert len({frozenset(row) for row in table.rows}) == 20


def test_there_are_fewer_copies_while_there_are_fewer_nodes():
    assert [build(nodes(count), 3).replicas for count in (1, 2, 3, 4)] == [1, 2, 3, 3]


def test_a_second_node_takes_the_second_copy_and_moves_nothing():
    before = build(nodes(1), 2)
    after = build(nodes(2), 2, before)
    assert all(old[0] == new[0] and len(new) == 2 for old, new in zip(before.rows, after.rows, strict=True))


def test_losing_a_node_below_the_copies_shortens_the_rows():
    after = build(nodes(2, first=1), 3, build(nodes(3), 3))
    assert after.replicas == 2
    assert after.nodes == ("node-001", "node-002")


def test_lowering_the_copies_moves_nothing():
    before = build(nodes(4), 3)
    after = build(nodes(4), 2, before)
    assert all(set(new) < set(old) for old, new in zip(before.rows, after.rows, strict=True))


def test_weights_set_the_shares():
    table = build([RingNode(id="big", weight=2), *(RingNode(id=f"small-{number}") for number in range(6))], 2)
    assert table.counts["big"] == 2048
    assert set(table.counts.values()) == {2048, 1024}


def test_a_weight_beyond_one_copy_of_everything_is_capped():
    table = build([RingNode(id="huge", weight=1000), RingNode(id="a"), RingNode(id="b")], 2)
    assert table.counts == {"huge": 4096, "a": 2048, "b": 2048}


def test_a_change_of_zones_is_followed():
    before = build(nodes(4), 2)
    zoned = [
        RingNode(id=node.id, zone="east" if number < 2 else "west") for number, node in enumerate(nodes(4))
    ]
    after = build(zoned, 2, before)
    zone_of = {node.id: node.zone for node in zoned}
    assert all({zone_of[node] for node in row} == {"east", "west"} for row in after.rows)


@pytest.mark.parametrize(
    ("members", "replicas"),
    [
        ([], 3),
        (nodes(1) * 2, 3),
        (nodes(3), 0),
        ([RingNode(id="a", weight=0)], 1),
        ([RingNode(id="a", weight=-1)], 1),
    ],
)
def test_impossible_rings_are_refused(members, replicas):
    with pytest.raises(ValueError, match="a ring needs"):
        build(members, replicas)
