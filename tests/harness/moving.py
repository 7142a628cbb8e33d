"""Rings with files on the move, without an admin: the node's part alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx

from services.shared.video import new_video_id
from tests.harness.changes import Changes
from tests.harness.etcd import EtcdCluster
from tests.harness.ledger import misplaced
from tests.harness.plain_http import NO_TLS
from tests.harness.ports import free_port
from tests.harness.storage import StorageCluster, StorageNode, storage_cluster
from tests.harness.waiting import eventually

KIB: Final = 1 << 10
DEADLINE_S: Final = 90.0
OPTIONS: Final = ("--delete-grace-s", "0", "--lease-ttl-s", "2")
"""Copies that belong to others go at once, and who is gone is known to be soon."""


class MovingRing:
    """A ring and the changes made to it."""

    def __init__(self, cluster: StorageCluster, options: Sequence[str]) -> None:
        self.cluster = cluster
        self.changes = Changes(cluster)
        self._options = options

    @property
    def nodes(self) -> list[StorageNode]:
        """All of them, members or not."""
        return self.cluster.nodes

    async def candidate(self, *options: str) -> StorageNode:
        """Start one more node like the others, which is no member yet."""
        return await self.cluster.candidate(*self._options, *options)

    async def restart(self, node: StorageNode, *options: str) -> StorageNode:
        """End a node, if it runs, and start it again with other options, on its disk and at its address."""
        if node.server.running:
            node.server.stop()
        again = replace(node, options=(*self._options, *options))
        self.nodes[self.nodes.index(node)] = again
        again.server.start()
        await again.up()
        return again

    async def fill(
        self, *, count: int = 40, size_bytes: int = 64 * KIB, fits: Callable[[str], bool] = lambda _: True
    ) -> dict[str, bytes]:
        """Store some files, under keys that fit; by key, what is in them."""
        video_id = new_video_id()
        keys = filter(fits, (f"{video_id}/file-{number}" for number in itertools.count()))
        files = {key: os.urandom(size_bytes) for key in itertools.islice(keys, count)}
        async with self.cluster.content() as content:
            for key, data in files.items():
                await content.put(key, data)
        return files

    async def settled(self, files: Iterable[str]) -> None:
        """Wait until every file is on exactly its owners."""

        def in_place() -> bool:
            wrong = misplaced(self.cluster.topology.view, self.nodes, files)
            assert not wrong, wrong
            return True

        await eventually(in_place, deadline_s=DEADLINE_S, what="files are on exactly their owners")

    async def assert_readable(self, files: Mapping[str, bytes]) -> None:
        """Read every file from the ring."""
        async with self.cluster.content() as content:
            for key, data in files.items():
                assert await content.get_bytes(key) == data

    async def waiting_for(self, node: StorageNode, what: str) -> None:
        """Wait until a node says that it can't go on, for a reason that contains `what`."""

        async def says_so() -> bool:
            progress = await self.changes.progress(node)
            assert progress
            assert what in progress.waiting_for, progress
            return True

        await eventually(says_so, deadline_s=DEADLINE_S, what=f"{node.data.name} says: {what}")

    async def holds_some(self, node: StorageNode) -> None:
        """Wait until a node has got something."""

        async def some() -> bool:
            return (await node.describe()).files > 0

        await eventually(some, deadline_s=DEADLINE_S, what=f"{node.data.name} holds something")


@asynccontextmanager
async def moving_ring(
    folder: Path, etcd: EtcdCluster, *, count: int = 3, replicas: int = 2, options: Sequence[str] = ()
) -> AsyncIterator[MovingRing]:
    """A ring of `count` nodes on disks below `folder`."""
    options = (*OPTIONS, *options)
    async with storage_cluster(folder, etcd, count=count, replicas=replicas, options=options) as cluster:
        yield MovingRing(cluster, options)


class Meter:
    """A node's metrics, as Prometheus would scrape them."""

    def __init__(self) -> None:
        self._address = f"127.0.0.1:{free_port()}"

    @property
    def options(self) -> tuple[str, str]:
        """For the node that is to be measured."""
        return "--metrics-listen", self._address

    async def read(self, name: str) -> float:
        """The value of a counter or gauge that has no labels."""
        async with httpx.AsyncClient(timeout=30, verify=NO_TLS) as http:
            lines = (await http.get(f"http://{self._address}/metrics")).raise_for_status().text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
