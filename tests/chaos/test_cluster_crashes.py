"""Kill -9 in the middle of a change, and the power cut everywhere: what was begun completes, once."""

from __future__ import annotations

import pytest

from services.shared.ring.state import SYNC_PREFIX
from tests.harness import powercut_node
from tests.harness.cluster import Cluster
from tests.harness.ledger import damaged, unsound
from tests.harness.operator import operator
from tests.harness.waiting import DeadlineError, eventually

pytestmark = pytest.mark.timeout(600)


# ---- scenarios 5 and 6 ----


@pytest.mark.parametrize("end", [pytest.param("source", marks=pytest.mark.chaos), "destination"])
async def test_a_push_whose_end_is_killed_resumes_and_no_partial_file_is_ever_visible(
    cluster: Cluster, end: str
) -> None:
    joiner = await cluster.new_node()
    killed = joiner if end == "destination" else cluster.nodes[0]
    async with cluster.load() as load, operator(cluster.admin) as ops:
        request = await ops.add(joiner)
        await cluster.received(joiner)
        killed.server.kill()
        if not (await cluster.topology.refresh()).migrating:
            raise DeadlineError("it was over before it could be disturbed")
        assert await damaged([joiner, killed], load.stored) == []
        killed.server.start()
        await ops.done(request)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)


# ---- scenarios 7 and 8 ----


@pytest.mark.chaos
async def test_a_change_whose_admin_is_killed_after_the_transaction_completes_once(cluster: Cluster) -> None:
    first, joiner = cluster.admin, await cluster.new_node()
    second = await cluster.new_admin()
    async with cluster.load() as load:
        async with operator(first) as ops:
            request = await ops.add(joiner)
        epoch = await cluster.moving()
        first.server.kill()
        async with operator(second) as ops:
            await ops.done(request)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    assert cluster.view.epoch == epoch + 1


@pytest.mark.chaos
async def test_a_change_whose_admin_is_killed_before_the_commit_completes_once(cluster: Cluster) -> None:
    joiner = await cluster.new_node()
    async with cluster.load() as load:
        async with operator(cluster.admin) as ops:
            request = await ops.add(joiner)
        epoch = await cluster.moving()
        admin = cluster.admin
        admin.server.kill()
        await eventually(lambda: all_synced(cluster, epoch), deadline_s=120, what="all nodes have reported")
        assert (await cluster.topology.refresh()).epoch == epoch
        await admin.start()
        async with operator(admin) as ops:
            await ops.done(request)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    assert cluster.view.epoch == epoch + 1


async def all_synced(cluster: Cluster, epoch: int) -> bool:
    reported = [kv async for kv in cluster.client.range(f"{SYNC_PREFIX}{epoch}/")]
    return len(reported) == len(cluster.nodes)


# ---- scenario 24 ----


async def test_after_a_power_cut_everywhere_acknowledged_files_are_whole_and_others_absent(
    cluster: Cluster,
) -> None:
    for node in cluster.nodes:
        powercut_node.install(node)
        node.server.stop()
        node.server.start()
    await cluster.stable()
    async with cluster.load() as load:
        for node in cluster.nodes:
            powercut_node.strike(node)
        for member in cluster.etcd.members:
            member.kill()
        await eventually(
            lambda: not any(node.server.running for node in cluster.nodes), what="all nodes are dark"
        )
        load.process.kill()
    for node in cluster.nodes:
        powercut_node.uninstall(node)
    await cluster.revive()
    await cluster.settled(load.stored)
    for node in cluster.nodes:
        assert unsound(node) == []
        assert list(node.data.glob("tmp/*")) == []
