"""Requests for changes: taken down once, carried out once and one after the other, by any instance."""

from __future__ import annotations

import pytest
import pytest_asyncio

from services.shared.ring.requests import ChangeSpec, RequestState
from services.shared.ring.state import ChangeKind, NodeState
from tests.harness.admins import (
    report_sync,
    requests_on_record,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.ring import live_nodes, publish, ring_state

DEADLINE_S = 60.0


def drain(node: str) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.DRAIN, node=node)


@pytest_asyncio.fixture
async def five_nodes(ring_client):
    """A ring of a, b, c, d and e, two copies, at epoch 1, all of them live."""
    await publish(ring_client, *ring_state(["a", "b", "c", "d", "e"]))
    async with live_nodes(ring_client, "a", "b", "c", "d", "e"):
        yield


@pytest.mark.usefixtures("five_nodes")
async def test_a_change_begins_when_it_is_asked_for_and_ends_when_all_have_reported(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        asked = await admin.requests.ask(drain("e"), request_id="one")
        assert (asked.state, asked.node) == (RequestState.QUEUED, "e")
        moving = await state_when_migrating(admin.topology, epoch=2)
        assert moving.nodes["e"].state is NodeState.DRAINING
        await report_sync(ring_client, 2, "abcde")
        state = await state_when_stable(admin.topology, epoch=3)
    assert state.nodes["e"].state is NodeState.REMOVED
    request = (await requests_on_record(ring_client))["one"]
    assert request.state is RequestState.DONE
    assert 0 < request.requested_at_ms <= request.began_at_ms <= request.ended_at_ms
