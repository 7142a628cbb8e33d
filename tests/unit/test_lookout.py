"""The cluster's state is asked for once, however many look."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.errors import UnavailableError
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.web import lookout
from services.web.health import Health
from services.web.lookout import Lookout

MOVING = pb.GetStatusResponse(
    epoch=2,
    phase=pb.PHASE_MIGRATING,
    change=pb.Change(id="1", kind=pb.CHANGE_KIND_DRAIN, node_id="a"),
    progress=[pb.NodeProgress(node_id="a", partitions=4, partitions_done=1, bytes_moved=10, bytes_left=30)],
)


async def etcd_is_away() -> None:
    raise UnavailableError("etcd is away.")


class Cluster:
    """Answers, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: pb.GetStatusResponse | None = MOVING

    async def status(self) -> pb.GetStatusResponse:
        self.asked += 1
        if self.answer is None:
            raise UnavailableError("Nobody knows.")
        return self.answer


async def test_many_who_look_at_once_share_one_answer():
    cluster = Cluster()
    looks = Lookout(cluster.status, Health({"etcd": etcd_is_away}))
    states = await asyncio.gather(*(looks.look() for _ in range(50)), looks.look())
    assert cluster.asked == 1
    assert all(state is states[0] for state in states)
    assert states[0].services == {"etcd": "etcd is away."}


async def test_a_change_has_its_pace_and_a_ring_at_rest_has_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lookout, "_MAX_AGE_S", 0.0)
    cluster = Cluster()
    looks = Lookout(cluster.status, Health({}))
    moving = await looks.look()
    assert moving.pace
    assert (moving.pace.done, moving.pace.bytes_left) == (0.25, 30)
    cluster.answer = pb.GetStatusResponse(epoch=3, phase=pb.PHASE_STABLE)
    assert (await looks.look()).pace is None


async def test_a_failure_is_not_kept():
    cluster = Cluster()
    cluster.answer = None
    looks = Lookout(cluster.status, Health({}))
    with pytest.raises(UnavailableError, match="Nobody knows"):
        await looks.look()
    cluster.answer = MOVING
    assert (await looks.look()).cluster.epoch == 2
