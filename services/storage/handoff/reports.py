"""Telling the cluster how far this node is."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from services.shared.etcd import EtcdClient, absent, mod_revision_is, put_op
from services.shared.ring.progress import Progress, SyncReport
from services.shared.ring.state import progress_key, sync_key
from services.storage import metrics
from services.storage.handoff.duty import Amount, Duty
from services.storage.patience import patiently

log = logging.getLogger(__name__)

_MIN_INTERVAL_S: Final = 1.0


class Reports:
    """Writes to etcd, for the one node that it is about."""

    def __init__(self, *, etcd: EtcdClient, node_id: str) -> None:
        self._etcd = etcd
        self._node_id = node_id
        self._duty: Duty | None = None
        self._news = asyncio.Event()
        self._told: Progress | None = None

    async def moved_before(self, epoch: int) -> Amount:
        """What an earlier process of this node has reported as moved at an epoch.

        Raises:
            UnavailableError: etcd is away.
        """
        kv = await self._etcd.get(progress_key(self._node_id))
        told = Progress.model_validate_json(kv.value) if kv else Progress(epoch=epoch, at_ms=0)
        return Amount(told.files_moved, told.bytes_moved) if told.epoch == epoch else Amount()

    def follow(self, duty: Duty) -> None:
        """Tell of this duty's progress from now on."""
        self._duty = duty
        self._news.set()

    def news(self) -> None:
        """There is something to tell."""
        self._news.set()

    async def run(self) -> None:
        """Write progress when there is any, once a second at most, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._tell()
            await asyncio.sleep(_MIN_INTERVAL_S)

    @patiently
    async def synced(self, duty: Duty) -> None:
        """Report that all is handed over that was to be, at the duty's epoch.

        How much that was is told along with it: the change may be over before the next look at the progress.
        """
        key = sync_key(duty.epoch, self._node_id)
        report = SyncReport(files=duty.files, at_ms=time.time_ns() // 1_000_000)
        progress = put_op(progress_key(self._node_id), duty.progress().encode())
        written = await self._etcd.txn([absent(key)], [put_op(key, report.encode()), progress])
        if written.succeeded:
            log.info("epoch %d: all of %d files are with their owners", duty.epoch, duty.files)

    @patiently
    async def _tell(self) -> None:
        if self._duty is None:
            return
        progress = self._duty.progress()
        metrics.HANDOFF_LEFT.set(progress.files_left)
        if progress.model_copy(update={"at_ms": 0}) != self._told and await self._write(progress):
            self._told = progress.model_copy(update={"at_ms": 0})

    async def _write(self, progress: Progress) -> bool:
        key = progress_key(self._node_id)
        held = await self._etcd.get(key)
        as_seen = mod_revision_is(key, held.mod_revision if held else 0)
        return (await self._etcd.txn([as_seen], [put_op(key, progress.encode())])).succeeded
