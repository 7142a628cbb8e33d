"""What the ring becomes."""

from __future__ import annotations

import pytest

from services.admin.changes import first_ring
from services.shared.ring.state import NodeState, Phase
from tests.harness.ring import node_live


def test_the_first_ring_has_every_live_node_as_an_active_member():
    live = [node_live("b", zone="east"), node_live("a", zone="west")]
    first = first_ring(live, replicas=2, cluster_id="c")
    assert list(first.state.nodes) == ["a", "b"]
    assert {entry.state for entry in first.state.nodes.values()} == {NodeState.ACTIVE}
    entry = first.state.nodes["b"]
    assert (entry.address, entry.disk_id, entry.zone) == ("b:9090", "disk-b", "east")


def test_the_first_ring_is_stable_at_epoch_one_on_its_table():
    state = first_ring([node_live(name) for name in "abc"], replicas=2, cluster_id="c").state
    assert (state.epoch, state.phase, state.next, state.prev) == (1, Phase.STABLE, None, ())


def test_wanted_copies_are_recorded_even_while_there_are_too_few_nodes():
    first = first_ring([node_live("a")], replicas=3, cluster_id="c")
    assert (first.state.replicas, first.state.write_quorum) == (3, 2)
    assert first.table.replicas == 1


def test_everyone_decides_the_same():
    live = [node_live(name) for name in "abc"]
    one = first_ring(live, replicas=2, cluster_id="c")
    assert one == first_ring(reversed(live), replicas=2, cluster_id="c")


def test_a_ring_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one node"):
        first_ring([], replicas=2, cluster_id="c")
