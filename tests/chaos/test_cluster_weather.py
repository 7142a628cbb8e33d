"""Changes and faults in any order, one fault at a time, as a seed has it: readers notice nothing."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import pytest

from services.shared.ring.state import NodeState
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from tests.harness.cluster import Cluster
from tests.harness.load import Load
from tests.harness.operator import Operator, operator
from tests.harness.storage import StorageNode

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

log = logging.getLogger(__name__)

STEPS = 12
FEWEST, MOST = 3, 5


@dataclass
class Weather:
    """Does one thing after the other to a cluster."""

    cluster: Cluster
    load: Load
    random: random.Random
    asked: list[pb.ChangeRequest] = field(default_factory=list)

    async def pass_over(self) -> None:
        """Let it all happen, then make good what was broken; every change that was asked for ends."""
        acts: list[Callable[[], Awaitable[None]]] = [
            *(self.add, self.add, self.drain, self.drain, self.abort),
            self.kill_node,
            self.freeze_node,
            self.kill_admin,
            self.kill_etcd,
        ]
        for _ in range(STEPS):
            act = self.random.choice(acts)
            log.info("now: %s", act.__name__)
            await act()
            await self.load.more_reads(10)
        async with operator(self.cluster.admin) as ops:
            for request in self.asked:
                await ops.ended(request)

    # ---- changes ----

    async def add(self) -> None:
        if len(self._members()) < MOST:
            joiner = await self.cluster.new_node()
            await self._ask(lambda ops: ops.add(joiner))

    async def drain(self) -> None:
        if len(self._members()) > FEWEST:
            leaver = self.random.choice(self._members())
            await self._ask(lambda ops: ops.drain(leaver))

    async def abort(self) -> None:
        await self._ask(lambda ops: ops.abort())

    async def _ask(self, ask: Callable[[Operator], Awaitable[pb.ChangeRequest]]) -> None:
        """Ask for a change, which may be impossible as things stand."""
        async with operator(self.cluster.admin) as ops:
            try:
                self.asked.append(await ask(ops))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
                log.info("refused: %s", error.details())

    def _members(self) -> list[StorageNode]:
        return self.cluster.members(NodeState.ACTIVE)

    # ---- faults ----

    async def kill_node(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        node.server.kill()
        await self.load.more_reads(self.random.choice([1, 30, 150]))
        node.server.start()
        await node.up()

    async def freeze_node(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        node.server.freeze()
        await self.cluster.away(node.id)
        node.server.thaw()
        await node.up()

    async def kill_admin(self) -> None:
        admin = self.cluster.admin
        admin.server.kill()
        await self.load.more_reads(self.random.choice([1, 30]))
        await admin.start()

    async def kill_etcd(self) -> None:
        for member in self.cluster.etcd.members:
            member.kill()
        await self.load.more_reads(self.random.choice([1, 30, 150]))
        await self.cluster.etcd.heal()
        await self.cluster.admin.ready()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_no_read_fails_and_every_file_ends_on_exactly_its_owners(
    cluster: Cluster, seed: int
) -> None:
    async with cluster.load() as load:
        await Weather(cluster, load, random.Random(seed)).pass_over()
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
