"""Readers who know an old ring, or meet damaged bytes: they get the file that was stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.shared.content import ContentStore
from tests.harness.cluster import Cluster, read_all
from tests.harness.gateway import gateway
from tests.harness.ledger import damaged
from tests.harness.load import Demand
from tests.harness.operator import operator
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(600)


# ---- scenarios 16 and 17 ----


@asynccontextmanager
async def cut_off_content(cluster: Cluster) -> AsyncIterator[ContentStore]:
    """A client that can't reach etcd any more."""
    async with (
        gateway(cluster.folder, cluster.etcd.endpoints) as relay,
        cluster.content([relay.address]) as content,
    ):
        relay.process.kill()
        yield content


async def test_a_reader_with_a_frozen_ring_or_cut_off_from_etcd_succeeds(cluster: Cluster) -> None:
    async with cluster.load() as load:
        pass
    files, leaver = load.stored, cluster.nodes[0]
    async with (
        cluster.frozen_content() as frozen,
        cut_off_content(cluster) as cut_off,
        operator(cluster.admin) as ops,
    ):
        await ops.done(await ops.add(await cluster.new_node()))
        await ops.done(await ops.drain(leaver))
        await read_all(frozen, files)
        await read_all(cut_off, files)
        await cluster.settled(files)
        await cluster.empty(leaver)
        await read_all(frozen, files)
        await read_all(cut_off, files)


# ---- scenario 23 ----


async def test_a_flipped_bit_is_never_served_and_is_repaired(cluster: Cluster) -> None:
    async with cluster.load(Demand(writes_per_s=1)) as load:
        files = load.stored
        await cluster.settled(files)
        for key in list(files)[:20]:
            cluster.owners(key)[0].flip_bit(key, files[key].size_bytes // 2)
        await load.more_reads(300)

        async def repaired() -> bool:
            return not await damaged(cluster.nodes, files)

        await eventually(repaired, deadline_s=120, what="no copy is damaged")
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
