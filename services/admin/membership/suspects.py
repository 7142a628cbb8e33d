"""Members that are away: noted at once, forgotten when they are back, given up after a while.

A lost lease is no removal. But every file of a node that stays away has one copy less, so that after a
settable time its copies are made anew. That verdict must rest on what etcd says, not on what an instance
imagines that was cut off itself. So each round reads etcd, by majority; an instance whose rounds were
interrupted gives everybody, who may have been cut off just the same, some time to come back before it gives
anyone up; and the request that results is carried out only if the node's live key is absent at that moment.

Of as many nodes as would leave a file without any copy, none is given up by a clock: at most W-1 at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from services.admin.membership.records import Recorded, Records, Shelf
from services.admin.membership.requests import Requests, now_ms
from services.shared.errors import RequestError, UnavailableError
from services.shared.etcd import EtcdClient, absent, delete_op, put_op, unchanged
from services.shared.ring.progress import SUSPECT_PREFIX, Suspect, suspect_key
from services.shared.ring.requests import ChangeSpec, RequestState
from services.shared.ring.state import AT_WORK, LIVE_PREFIX, ChangeKind, NodeState, live_key
from services.shared.ring.view import RingView
from services.shared.topology import Topology

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 2.0
_LAPSE_S: Final = 10.0

_SETTLE_S: Final = 60.0
"""How long after an interruption nobody is declared dead, for nodes to register again."""


class Suspects:
    """Watches over the members' leases.

    Args:
        etcd: where leases are.
        topology: the ring.
        records: requests that wait.
        requests: takes down that a node is to be given up.
        dead_after_s: how long a node may be away; 0: for ever.
        lapse_s: rounds further apart than this count as interrupted: the process was frozen, or etcd away.
    """

    def __init__(
        self,
        etcd: EtcdClient,
        topology: Topology,
        records: Records,
        requests: Requests,
        *,
        dead_after_s: float,
        lapse_s: float = _LAPSE_S,
    ) -> None:
        self._etcd = etcd
        self._topology = topology
        self._records = records
        self._requests = requests
        self._dead_after_s = dead_after_s
        self._lapse_s = lapse_s
        self._settle_s = min(_SETTLE_S, dead_after_s)
        self._told: dict[str, str] = {}
        self._last_round: float | None = None
        self._steady_since = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            with suppress(UnavailableError):
                await self.round()
            await asyncio.sleep(_INTERVAL_S)

    async def round(self) -> None:
        """Look once.

        Raises:
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        view = await self._topology.refresh()
        live = {kv.key for kv in (await self._etcd.range_snapshot(LIVE_PREFIX)).kvs}
        noted = await self._noted()
        self._note_contact()
        away = [
            node
            for node, entry in view.state.nodes.items()
            if entry.state in AT_WORK and live_key(node) not in live
        ]
        for node in away:
            if node not in noted:
                await self._note(node)
        for node in noted.keys() - set(away):
            self._told.pop(node, None)
            await self._forget(noted[node])
        await self._give_up(view, [noted[node] for node in away if node in noted])

    async def _noted(self) -> dict[str, Recorded[Suspect]]:
        shelf = Shelf(SUSPECT_PREFIX, Suspect)
        for kv in (await self._etcd.range_snapshot(SUSPECT_PREFIX)).kvs:
            shelf.put(kv)
        return shelf.entries

    def _note_contact(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._last_round is None or now - self._last_round > self._lapse_s:
            self._steady_since = now
        self._last_round = now

    async def _note(self, node: str) -> None:
        key = suspect_key(node)
        suspect = Suspect(since_ms=now_ms())
        if (
            await self._etcd.txn([absent(key), absent(live_key(node))], then=[put_op(key, suspect.encode())])
        ).succeeded:
            log.warning("storage node %s is away", node)

    async def _forget(self, suspect: Recorded[Suspect]) -> None:
        await self._etcd.txn([unchanged(suspect.kv)], then=[delete_op(suspect.kv.key)])

    async def _give_up(self, view: RingView, suspects: Sequence[Recorded[Suspect]]) -> None:
        if not self._dead_after_s or not self._is_settled():
            return
        overdue = [entry for entry in suspects if self._is_overdue(entry.record)]
        overdue.sort(key=lambda entry: entry.record.since_ms)
        for entry in overdue[: self._may_die(view)]:
            await self._ask(entry.kv.key.removeprefix(SUSPECT_PREFIX), entry)

    def _is_settled(self) -> bool:
        return asyncio.get_running_loop().time() - self._steady_since >= self._settle_s

    def _is_overdue(self, suspect: Suspect) -> bool:
        return now_ms() - suspect.since_ms >= self._dead_after_s * 1000

    def _may_die(self, view: RingView) -> int:
        """How many more nodes may be given up now."""
        dead = {node for node, entry in view.state.nodes.items() if entry.state is NodeState.DEAD}
        asked = {
            entry.record.node for entry in self._records.queue if entry.record.spec.kind is ChangeKind.DEAD
        }
        return max(0, min(view.state.write_quorum, view.cur.replicas) - 1 - len(dead | asked))

    async def _ask(self, node: str, suspect: Recorded[Suspect]) -> None:
        """Ask for it as an operator would. The same id at all instances: once for each absence.

        What is refused at once may be possible in the next round. What was taken down and refused when its
        turn came stays on record: the node was back, and its absence counts from the next round on.
        """
        spec = ChangeSpec(kind=ChangeKind.DEAD, node=node)
        try:
            request = await self._requests.ask(spec, request_id=request_id(node, suspect.record))
        except RequestError as error:
            self._tell(node, str(error))
            return
        if request.state is RequestState.REFUSED:
            self._tell(node, request.reason)
            await self._forget(suspect)

    def _tell(self, node: str, reason: str) -> None:
        """Log why a node is not given up: once, not in every round."""
        if self._told.get(node) != reason:
            self._told[node] = reason
            log.warning("storage node %s has been away for long and is not given up: %s", node, reason)


def request_id(node: str, suspect: Suspect) -> str:
    """Of the request to give a node up for this absence."""
    return f"away-{suspect.since_ms}-{node}"[:64]
