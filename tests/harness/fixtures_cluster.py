"""Clusters for tests that change them: each gets one that is whole, made anew only where need be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from services.shared.ring.state import NodeState
from tests.harness.cluster import Cluster, running_cluster
from tests.harness.rabbitmq import RabbitProcess


class Standing:
    """The cluster that tests hand on to each other for as long as they leave it whole."""

    def __init__(self, folders: pytest.TempPathFactory, rabbit: RabbitProcess) -> None:
        self._folders = folders
        self._rabbit = rabbit
        self._resources = AsyncExitStack()
        self._cluster: Cluster | None = None

    async def take(self, count: int) -> Cluster:
        """A cluster of so many nodes, all well, and of one admin."""
        await self._rabbit.heal()
        if self._cluster is None or not await _tidied(self._cluster, count):
            await self.end()
            folder = self._folders.mktemp("cluster")
            self._cluster = await self._resources.enter_async_context(
                running_cluster(folder, self._rabbit, count=count)
            )
        return self._cluster

    async def end(self) -> None:
        """Stop all processes of the present one."""
        self._cluster = None
        await self._resources.aclose()


async def _tidied(cluster: Cluster, count: int) -> bool:
    """Put a cluster in order as after a fresh start, if little is needed for that."""
    await cluster.revive()
    view = await cluster.topology.refresh()
    states = {entry.state for entry in view.state.nodes.values()}
    members = cluster.members(NodeState.ACTIVE)
    if view.migrating or len(members) != count or not states <= {NodeState.ACTIVE, NodeState.REMOVED}:
        return False
    cluster.leave(node for node in cluster.nodes if node not in members)
    cluster.dismiss(cluster.admins[1:])
    await cluster.stable()
    return True


@pytest_asyncio.fixture(scope="session")
async def standing(
    rabbitmq: RabbitProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Standing]:
    """What keeps the cluster from one test to the next."""
    keeper = Standing(tmp_path_factory, rabbitmq)
    yield keeper
    await keeper.end()


@pytest_asyncio.fixture
async def cluster(standing: Standing) -> Cluster:
    """Three storage nodes, two copies of each file, one admin. Do with it what you like."""
    return await standing.take(3)


@pytest_asyncio.fixture
async def cluster_of_four(standing: Standing) -> Cluster:
    """The same with four storage nodes."""
    return await standing.take(4)
