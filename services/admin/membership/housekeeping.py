"""Clears away what is of no use any more: reports of former epochs and members, tables, old requests."""

from __future__ import annotations

import logging
from typing import Final

from services.admin.membership.records import read_requests
from services.shared.etcd import EtcdClient, KeyValue, Op, delete_op, delete_prefix_op, unchanged
from services.shared.ring.state import (
    LIVE_PREFIX,
    PROGRESS_PREFIX,
    STATE_KEY,
    SYNC_PREFIX,
    TABLE_PREFIX,
    NodeState,
    RingState,
    live_key,
    progress_key,
    sync_key,
    table_key,
)

log = logging.getLogger(__name__)

KEPT_REQUESTS: Final = 100
"""Requests that have ended and are still told about."""

_MAX_OPS: Final = 100
"""Per transaction; etcd takes 128. What is left over goes the next time."""


class Housekeeping:
    """Clears away, a bounded number of keys per round."""

    def __init__(self, etcd: EtcdClient, *, kept_requests: int = KEPT_REQUESTS) -> None:
        self._etcd = etcd
        self._kept_requests = kept_requests

    async def round(self) -> None:
        """Clear away once.

        Raises:
            UnavailableError: etcd can't be reached.
        """
        ring = await self._etcd.get(STATE_KEY)
        if ring is None:
            return
        state = RingState.model_validate_json(ring.value)
        useless = [
            *await self._old_reports(state),
            *await self._progress_of_the_departed(state),
            *await self._unnamed_tables(state),
        ]
        # Only while the ring is as it was read: a state written meanwhile may name a table again.
        await self._delete(ring, useless[:_MAX_OPS])
        await self._forget_requests()

    async def _delete(self, ring: KeyValue, ops: list[Op]) -> None:
        if ops and (await self._etcd.txn([unchanged(ring)], then=ops)).succeeded:
            log.debug("%d records that had served were deleted", len(ops))

    async def _old_reports(self, state: RingState) -> list[Op]:
        found = self._etcd.range(SYNC_PREFIX)
        epochs = {kv.key.removeprefix(SYNC_PREFIX).partition("/")[0] async for kv in found}
        old = sorted(int(epoch) for epoch in epochs if epoch.isdecimal() and int(epoch) < state.epoch)
        return [delete_prefix_op(sync_key(epoch, "")) for epoch in old]

    async def _progress_of_the_departed(self, state: RingState) -> list[Op]:
        """A removed node may still hand over what it holds, and tell of that, until it is switched off."""
        removed = {name for name, node in state.nodes.items() if node.state is NodeState.REMOVED}
        live = {kv.key async for kv in self._etcd.range(LIVE_PREFIX)}
        found = {kv.key async for kv in self._etcd.range(PROGRESS_PREFIX)}
        gone = {progress_key(node) for node in removed if live_key(node) not in live}
        return [delete_op(key) for key in sorted(found & gone)]

    async def _unnamed_tables(self, state: RingState) -> list[Op]:
        named = {table_key(table) for table in state.tables}
        found = {kv.key async for kv in self._etcd.range(TABLE_PREFIX)}
        return [delete_op(key) for key in sorted(found - named)]

    async def _forget_requests(self) -> None:
        ended = [entry for entry in await read_requests(self._etcd) if not entry.record.is_open]
        ended.sort(key=lambda entry: entry.record.ended_at_ms, reverse=True)
        old = ended[self._kept_requests :][:_MAX_OPS]
        if old:
            compares = [unchanged(entry.kv) for entry in old]
            await self._etcd.txn(compares, then=[delete_op(entry.kv.key) for entry in old])
