"""After an unclean stop: find out what the disk holds, while files are served and taken."""

from __future__ import annotations

import logging
from time import monotonic

from services.shared.ring.placement import PARTITIONS
from services.storage.disk.store import Store
from services.storage.patience import patiently
from services.storage.threads import Threads

log = logging.getLogger(__name__)


async def rescan(store: Store, threads: Threads) -> None:
    """Bring the index in line with the disk, one partition after the other, if that is needed."""
    if store.complete:
        return
    began = monotonic()
    for partition in range(PARTITIONS):
        await _reconcile(store, threads, partition)
    store.complete = True
    files = store.index.totals.files
    log.info("read the disk after an unclean stop: %d files, %.1f s", files, monotonic() - began)


@patiently
async def _reconcile(store: Store, threads: Threads, partition: int) -> None:
    await threads.run(store.reconcile, partition)
