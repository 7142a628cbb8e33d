"""The steps of a change, each one transaction: begin, refuse, end.

Each compares the ring's state and the requests that it was decided from. Whatever an instance does from an
old picture fails and changes nothing; of several that do the same, one succeeds. The request's record changes
in the same transaction as the ring: there is no moment at which one of them is wrong, whoever dies when.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.admin.membership import changes
from services.admin.membership.preparation import Preparation, Prepared
from services.admin.membership.records import Recorded, Records, read_progress, read_requests
from services.admin.membership.requests import now_ms
from services.shared.errors import RequestError
from services.shared.etcd import Compare, EtcdClient, Op, mod_revision_is, put_op, unchanged
from services.shared.ring.requests import ChangeRequest, RequestState
from services.shared.ring.state import STATE_KEY, ChangeKind, RingState, table_key
from services.shared.topology import Topology

log = logging.getLogger(__name__)


class Commitment:
    """Carries out steps."""

    def __init__(
        self, etcd: EtcdClient, topology: Topology, records: Records, preparation: Preparation
    ) -> None:
        self._etcd = etcd
        self._topology = topology
        self._records = records
        self._preparation = preparation

    async def begin(self, request: Recorded[ChangeRequest]) -> bool:
        """Begin the change that is asked for, or refuse it with the reason; return whether this began it.

        Raises:
            UnavailableError: etcd can't be reached, or it is not known whether the step was taken.
        """
        view, as_it_was = self._topology.view, self._as_it_was()
        try:
            prepared = await self._preparation.prepare(view, request.record)
        except RequestError as error:
            await self._refuse(request, as_it_was, str(error))
            return False
        running = await self._running() if request.record.spec.kind is ChangeKind.ABORT else []
        aborted = [entry for entry in running if entry.record.spec.kind is not ChangeKind.DEAD]
        return await self._write(
            prepared.decision.state,
            compares=[as_it_was, unchanged(request.kv), *prepared.compares],
            then=[_table_op(prepared), _begun(request, prepared)],
            ending=aborted,
            outcome=RequestState.ABORTED,
        )

    async def end(self) -> bool:
        """End the change in progress, if everybody required has reported sync at exactly its epoch.

        Returns:
            Whether they had. By whom it was ended then does not matter.

        Raises:
            UnavailableError: etcd can't be reached, or it is not known whether the step was taken.
        """
        view, as_it_was = self._topology.view, self._as_it_was()
        settled = changes.commit(view, self._records.synced(view.epoch))
        if settled is None:
            return False
        # Read after the state: whatever began at this epoch is among them.
        running = await self._counted(view.epoch, await self._running())
        await self._write(settled, compares=[as_it_was], then=[], ending=running, outcome=RequestState.DONE)
        return True

    async def _counted(
        self, epoch: int, requests: Sequence[Recorded[ChangeRequest]]
    ) -> list[Recorded[ChangeRequest]]:
        """The requests with what was moved for them: nodes tell that together with their reports of sync."""
        told = await read_progress(self._etcd, epoch)
        moved = {
            "files_moved": sum(progress.files_moved for progress in told),
            "bytes_moved": sum(progress.bytes_moved for progress in told),
        }
        return [Recorded(record.model_copy(update=moved), kv) for record, kv in requests]

    def _as_it_was(self) -> Compare:
        return mod_revision_is(STATE_KEY, self._topology.revision)

    async def _running(self) -> list[Recorded[ChangeRequest]]:
        requests = await read_requests(self._etcd)
        return [entry for entry in requests if entry.record.state is RequestState.RUNNING]

    async def _write(
        self,
        state: RingState,
        *,
        compares: Sequence[Compare],
        then: Sequence[Op],
        ending: Sequence[Recorded[ChangeRequest]],
        outcome: RequestState,
    ) -> bool:
        ends = [put_op(kv.key, record.ended(now_ms(), outcome).encode()) for record, kv in ending]
        result = await self._etcd.txn(
            [*compares, *(unchanged(entry.kv) for entry in ending)],
            then=[*then, put_op(STATE_KEY, state.encode()), *ends],
        )
        if result.succeeded:
            change = (
                f"{state.change.kind} {state.change.node or ''}" if state.change else "files are in place"
            )
            log.info("ring epoch %d written, %s: %s", state.epoch, state.phase, change.strip())
        return result.succeeded

    async def _refuse(self, request: Recorded[ChangeRequest], as_it_was: Compare, reason: str) -> None:
        log.warning("request %s is refused: %s", request.record.id, reason)
        refused = request.record.ended(now_ms(), RequestState.REFUSED, reason=reason)
        await self._etcd.txn(
            [as_it_was, unchanged(request.kv)], then=[put_op(request.kv.key, refused.encode())]
        )


def _table_op(prepared: Prepared) -> Op:
    """Written again where it is there already: the same key stands for the same table."""
    table = prepared.decision.table
    return put_op(table_key(table.id), table.encode())


def _begun(request: Recorded[ChangeRequest], prepared: Prepared) -> Op:
    epoch = prepared.decision.state.epoch
    begun = request.record.begun(now_ms(), node=prepared.node, epoch=epoch)
    return put_op(request.kv.key, begun.encode())
