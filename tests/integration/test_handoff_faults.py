"""Files on the move while nodes are killed, full, or not sure of what they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.shared.ring.progress import Progress
from services.shared.ring.state import progress_key
from tests.harness.etcd import EtcdCluster
from tests.harness.ledger import unsound
from tests.harness.moving import KIB, MovingRing, moving_ring
from tests.harness.storage import StorageNode
from tests.harness.waiting import DeadlineError, eventually

SLOW = ("--handoff-bytes-per-s", str(512 * KIB), "--handoff-streams", "2")
"""A change then takes long enough to be disturbed."""


@pytest_asyncio.fixture
async def ring(tmp_path: Path, ring_etcd: EtcdCluster) -> AsyncIterator[MovingRing]:
    """Three nodes, two copies; files are handed over slowly."""
    async with moving_ring(tmp_path, ring_etcd, options=SLOW) as ring:
        yield ring


async def under_way(ring: MovingRing) -> tuple[dict[str, bytes], StorageNode]:
    """A change that is half done: the files, and the node that joins."""
    files = await ring.fill(count=24, size_bytes=256 * KIB)
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    await ring.holds_some(joiner)
    if len(await ring.changes.synced()) == len(ring.nodes):
        raise DeadlineError("the change was over before it could be disturbed")
    return files, joiner


async def test_a_destination_that_is_killed_shows_no_partial_file_and_gets_the_rest_later(ring):
    files, joiner = await under_way(ring)
    joiner.server.kill()
    assert not unsound(joiner)
    joiner.server.start()
    await joiner.up()
    await ring.changes.commit()
    await ring.settled(files)
    assert not unsound(joiner)
    await ring.assert_readable(files)


async def test_what_a_source_has_moved_is_counted_on_when_it_was_killed(ring):
    await under_way(ring)
    source, epoch = ring.nodes[0], ring.cluster.topology.view.epoch

    async def told() -> Progress | None:
        progress = await ring.changes.progress(source)
        return progress if progress and progress.epoch == epoch else None

    before: Progress = await eventually(told, deadline_s=60, what="it has told how far it is")
    source.server.kill()
    much = before.model_copy(update={"files_moved": 1_000, "bytes_moved": 1 << 40})
    await ring.cluster.client.put(progress_key(source.id), much.encode())
    source.server.start()
    await ring.changes.all_synced()
    after: Progress = await eventually(told, deadline_s=60, what="it has told of its end")
    assert after.partitions_done == after.partitions
    assert after.files_moved >= much.files_moved
    assert after.bytes_moved >= much.bytes_moved


@pytest.mark.parametrize("which", [0, 1])
async def test_a_source_that_is_killed_goes_on_where_it_was(ring, which):
    files, joiner = await under_way(ring)
    source = ring.nodes[which]
    source.server.kill()
    assert not unsound(joiner)
    source.server.start()
    await ring.changes.commit()
    await ring.settled(files)
    await ring.assert_readable(files)


async def test_a_full_destination_is_waited_for_and_named_until_it_has_room(ring):
    # So many files that each source has more to give than there is room, wherever chance puts them.
    files = await ring.fill(count=240, size_bytes=32 * KIB)
    joiner = await ring.candidate("--capacity-bytes", str(300 * KIB))
    await ring.changes.add(joiner)
    for source in ring.nodes[:3]:
        await ring.waiting_for(source, f"{joiner.id} is full.")
    await eventually(lambda: has_alone_synced(ring, joiner), deadline_s=60, what="the joiner owes nothing")
    await ring.restart(joiner)
    await ring.changes.commit()
    await ring.settled(files)


async def has_alone_synced(ring: MovingRing, node: StorageNode) -> bool:
    synced = await ring.changes.synced()
    assert synced <= {node.id}, synced
    return bool(synced)


async def test_a_node_that_stopped_uncleanly_reports_only_after_it_has_read_its_disk(ring):
    files = await ring.fill()
    node = ring.nodes[0]
    node.server.kill()
    for index in node.data.glob("index.sqlite*"):
        index.unlink()
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    assert node.id not in await ring.changes.synced()
    node.server.start()
    await ring.changes.commit()
    await ring.settled(files)
    log = node.server.log.read_text()
    assert 0 < log.index("read the disk after an unclean stop") < log.rindex("are with their owners")


async def test_a_source_that_finds_its_copy_damaged_hands_over_the_sound_one_of_another(ring):
    files = await ring.fill(count=24)
    node = ring.nodes[0]
    damaged = [key for key in files if node in ring.cluster.owners(key)]
    for key in damaged:
        node.flip_bit(key, 10)
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    await ring.changes.commit()
    await ring.settled(files)
    assert not unsound(joiner)
    await ring.assert_readable(files)


async def test_what_is_written_during_a_change_ends_up_with_the_new_owners(ring):
    files = await ring.fill(count=12)
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    files |= await ring.fill(count=12)
    await ring.changes.commit()
    files |= await ring.fill(count=12)
    await ring.settled(files)
    await ring.assert_readable(files)
