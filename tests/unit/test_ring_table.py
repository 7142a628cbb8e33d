"""The ring table's encoding: compact, exact, and suspicious of what it is given."""

from __future__ import annotations

import zlib

import pytest

from services.shared.ring.builder import RingNode, build
from services.shared.ring.placement import PARTITIONS
from services.shared.ring.table import RingTable


def nodes(count: int) -> list[RingNode]:
    return [RingNode(id=f"node-{number:03d}") for number in range(count)]


@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_table_survives_encoding(count):
    table = build(nodes(count), 3)
    again = RingTable.decode(table.encode())
    assert again == table
    assert again.id == table.id


def test_a_table_of_more_nodes_than_a_byte_can_count_survives_encoding():
    names = [f"n{number}" for number in range(300)]
    table = RingTable(tuple((names[p % 300], names[(p + 1) % 300]) for p in range(PARTITIONS)))
    assert RingTable.decode(table.encode()) == table


def test_a_table_of_100_nodes_and_3_copies_takes_about_10_kilobytes():
    assert len(build(nodes(100), 3).encode()) < 12_000


def test_the_id_depends_on_the_content_only():
    one, other = build(nodes(3), 2), build(list(reversed(nodes(3))), 2)
    assert one.id == other.id
    assert build(nodes(4), 2).id != one.id


def test_the_format_is_fixed_for_ever():
    assert build(nodes(3), 2).id == "d1bf7d1b8b23564e3dacc4f91abdec5f"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        zlib.compress(b"nonsense"),
        zlib.compress(b"[]\n"),
        zlib.compress(b'{"format":1}\n'),
        zlib.compress(b'{"format":1,"replicas":0,"nodes":[]}\n'),
        zlib.compress(b'{"format":1,"replicas":1,"nodes":["a"]}\n' + b"\x01" * PARTITIONS),
        zlib.compress(b'{"format":1,"replicas":1,"nodes":["a"]}\n' + b"\x00" * (PARTITIONS - 1)),
        zlib.compress(b'{"format":2,"replicas":1,"nodes":["a"]}\n' + b"\x00" * PARTITIONS),
        zlib.compress(b'{"format":1,"replicas":2,"nodes":["a"]}\n' + b"\x00" * 2 * PARTITIONS),
        zlib.compress(bytes(64 << 20)),
        zlib.compress(b'{"format":1,"replicas":1,"nodes":["a"]}\n' + b"\x00" * PARTITIONS)[:-5],
    ],
)
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match="ring table"):
        RingTable.decode(data)


def test_changed_lists_the_partitions_whose_owners_differ():
    before = RingTable((("a", "b"),) * PARTITIONS)
    rows = list(before.rows)
    rows[7], rows[9] = ("b", "a"), ("a", "c")
    assert before.changed(RingTable(tuple(rows))) == [9]


@pytest.mark.parametrize("rows", [(), (("a",),) * 7, (("a", "a"),) * PARTITIONS, ((),) * PARTITIONS])
def test_a_malformed_table_cannot_be_made(rows):
    with pytest.raises(ValueError, match="ring table"):
        RingTable(rows)
