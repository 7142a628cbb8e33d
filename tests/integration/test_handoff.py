"""Files follow the ring: nodes hand over what others should have, and drop what is not theirs any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from grpc import StatusCode

from services.shared.ring.state import NodeState
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from tests.harness.etcd import EtcdCluster
from tests.harness.moving import KIB, Meter, MovingRing, moving_ring
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually

MIB = 1 << 20


@pytest_asyncio.fixture
async def ring(tmp_path: Path, ring_etcd: EtcdCluster) -> AsyncIterator[MovingRing]:
    """Three nodes, two copies, no RabbitMQ."""
    async with moving_ring(tmp_path, ring_etcd) as ring:
        yield ring


def owned_bytes(ring: MovingRing, node: StorageNode, files: dict[str, bytes]) -> int:
    return sum(len(data) for key, data in files.items() if node in ring.cluster.owners(key))


async def test_a_node_that_joins_gets_its_files_and_the_others_drop_theirs(ring):
    files = await ring.fill()
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    await ring.changes.commit()
    await ring.settled(files)
    assert ring.changes.state_of(joiner) is NodeState.ACTIVE
    assert (await joiner.describe()).stored_bytes == owned_bytes(ring, joiner, files) > 0
    await ring.assert_readable(files)


async def test_a_drained_node_ends_empty_and_says_that_it_may_be_switched_off(ring):
    files = await ring.fill()
    leaver = ring.nodes[0]
    await ring.changes.drain(leaver)
    await ring.changes.commit()
    await leaver.refuses_writes("removed from the ring. It holds nothing: it may be switched off.")
    await ring.settled(files)
    assert (await leaver.describe()).files == 0


async def test_a_removed_node_serves_nothing_but_keeps_what_its_owners_have_not_confirmed(ring):
    files = await ring.fill()
    leaver, away = ring.nodes[:2]
    await ring.changes.drain(leaver, accept_fewer_copies=True)
    await ring.changes.all_synced()
    away.server.kill()
    await ring.changes.commit()
    await leaver.refuses_writes("removed from the ring")
    async with leaver.stub() as stub:
        for call in (
            stub.Has(storage_pb2.HasRequest(keys=list(files))),
            stub.List(storage_pb2.ListRequest(everything=True)).read(),
            stub.Get(storage_pb2.GetRequest(key=next(iter(files)))).read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is StatusCode.UNAVAILABLE
    await ring.waiting_for(leaver, f"{away.id} is away.")
    kept = {key for key in files if leaver.object_path(key).exists()}
    assert kept >= {key for key in files if away in ring.cluster.owners(key)} & kept
    away.server.start()
    await ring.settled(files)


async def test_a_removed_node_that_is_added_again_goes_on(ring):
    files = await ring.fill()
    node = ring.nodes[0]
    await ring.changes.drain(node, accept_fewer_copies=True)
    await ring.changes.commit()
    await ring.settled(files)
    await ring.changes.add(node)
    await node.writable()
    await ring.changes.commit()
    await ring.settled(files)
    await ring.assert_readable(files)


async def test_an_owner_that_missed_writes_gets_them_when_it_returns(ring):
    away = ring.nodes[0]
    away.server.kill()
    await eventually(lambda: away.id not in ring.cluster.topology.view.up, deadline_s=60, what="it is missed")
    files = await ring.fill(count=8)
    away.server.start()
    await ring.settled(files)


async def test_each_file_comes_once_although_every_one_of_three_owners_has_it_to_give(tmp_path, ring_etcd):
    async with moving_ring(tmp_path, ring_etcd, replicas=3) as ring:
        files = await ring.fill(count=60, size_bytes=100 * KIB)
        meter = Meter()
        joiner = await ring.candidate(*meter.options)
        await ring.changes.add(joiner)
        await ring.changes.commit()
        received = await meter.read("tritontube_storage_received_bytes_total")
        least = owned_bytes(ring, joiner, files)
        assert least <= received <= 1.02 * least


async def test_progress_counts_what_was_moved_once_and_ends_with_nothing_left(ring):
    files = await ring.fill()
    joiner = await ring.candidate()
    epoch = await ring.changes.add(joiner)
    await ring.changes.all_synced()

    async def told() -> int:
        reports = [await ring.changes.progress(node) for node in ring.nodes]
        assert all(report and report.epoch == epoch for report in reports), reports
        assert all(report.partitions_done == report.partitions for report in reports)
        assert not any(report.files_left or report.bytes_left or report.waiting_for for report in reports)
        return sum(report.bytes_moved for report in reports)

    moved = await eventually(told, deadline_s=90, what="everybody says that it is done")
    await ring.changes.commit()
    assert moved == owned_bytes(ring, joiner, files)


async def test_memory_stays_flat_while_files_move(ring):
    joiner = await ring.candidate()
    await ring.fill(count=6, size_bytes=24 * MIB, fits=ring.changes.will_own(joiner))
    senders = ring.nodes[:3]
    at_rest = [forget_peak(node) for node in senders]
    await ring.changes.add(joiner)
    await ring.changes.all_synced()
    grown = [peak_bytes(node) - rest for node, rest in zip(senders, at_rest, strict=True)]
    assert max(grown) < 48 * MIB, grown
    assert (await joiner.describe()).stored_bytes == 6 * 24 * MIB


def forget_peak(node: StorageNode) -> int:
    """Let a node's peak of memory begin anew; what it has now."""
    Path(f"/proc/{node.server.pid}/clear_refs").write_text("5")
    return peak_bytes(node)


def peak_bytes(node: StorageNode) -> int:
    """The most memory that a node had in use."""
    lines = Path(f"/proc/{node.server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith("VmHWM"))
