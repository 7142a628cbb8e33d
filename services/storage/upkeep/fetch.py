"""Getting a copy of a file from another node that has a sound one."""

from __future__ import annotations

import logging

from services.shared.catalog.keys import graves
from services.shared.content.nodes import Download, Nodes
from services.shared.errors import (
    CorruptFileError,
    NotFoundError,
    OutOfSpaceError,
    TritonTubeError,
    UnavailableError,
)
from services.shared.pace import Pace
from services.shared.ring.placement import parse_key
from services.shared.topology import Topology
from services.storage.disk.spool import Spool
from services.storage.disk.store import Store
from services.storage.threads import Threads

log = logging.getLogger(__name__)


class Fetcher:
    """Stores copies of files that other nodes hold, in constant memory and no faster than a pace.

    A copy becomes visible only if its SHA-256 is the one that its holder has on record, and under the epoch
    that its holder was chosen at: the ring, and deletions, have the last word on that.
    """

    def __init__(
        self, *, node_id: str, store: Store, threads: Threads, topology: Topology, nodes: Nodes, pace: Pace
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._threads = threads
        self._topology = topology
        self._nodes = nodes
        self._pace = pace

    async def fetch(self, key: str) -> None:
        """Store a copy of a file, from the first node that has a sound one.

        Raises:
            NotFoundError: all who may have one said that they have none, or found theirs damaged.
            ConflictError: the file's video has been deleted, or this node has other content under the key.
            StaleRingError: the ring changed meanwhile.
            OutOfSpaceError: this node is full.
            UnavailableError: nobody who could be asked has one, or this node takes no writes.
        """
        view = self._topology.view
        self._store.fence.check(epoch=view.epoch, graves=graves(*parse_key(key)))
        silent: TritonTubeError | None = None
        for node in view.read_order(key):
            if node == self._node_id:
                continue
            try:
                if await self._fetch_from(node, key, view.epoch):
                    return
            except OutOfSpaceError:
                raise  # that is this node, not the other one
            except UnavailableError as error:
                silent = error
            except CorruptFileError as error:
                log.info("%s cannot be had from %s: %s", key, node, error)
        raise silent or NotFoundError(f"No node has a sound copy of {key}.")

    async def _fetch_from(self, node: str, key: str, epoch: int) -> bool:
        download = await self._nodes.get(node, key, offset=0, length=0)
        if download is None:
            return False
        try:
            await self._store_copy(download, epoch)
        finally:
            download.close()
        log.info("got a copy of %s from %s", key, node)
        return True

    async def _store_copy(self, download: Download, epoch: int) -> None:
        file = download.file
        async with self._threads.holding(self._store.stage, file.size_bytes) as stage:
            spool = Spool(stage, self._threads)
            while chunk := await download.read():
                await self._pace.take(len(chunk))
                await spool.add(chunk)
            await spool.finish()
            if (stage.size_bytes, stage.sha256.hex()) != (file.size_bytes, file.sha256):
                raise CorruptFileError(f"It did not arrive from {download.node} as it was stored.")
            await self._threads.run(self._store.publish, stage, key=file.key, epoch=epoch)
