"""Taking requests for changes down: examined at once, recorded once, answered at once.

The id that the caller chose makes a repetition harmless: the same request again gets the same answer.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

from services.admin.membership.preparation import Preparation
from services.admin.membership.records import Records
from services.admin.patience import patience
from services.shared.errors import ConflictError, InvalidRequestError
from services.shared.etcd import EtcdClient, absent, put_op
from services.shared.ring.requests import ChangeRequest, ChangeSpec, request_key
from services.shared.ring.state import ChangeKind
from services.shared.ring.view import RingView
from services.shared.topology import Topology

MAX_WAITING: Final = 32
"""Requests that wait for their turn; more are refused."""

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OWN_ID_BYTES: Final = 8


class Requests:
    """Takes requests down. The coordinators carry them out."""

    def __init__(
        self, etcd: EtcdClient, topology: Topology, records: Records, preparation: Preparation
    ) -> None:
        self._etcd = etcd
        self._topology = topology
        self._records = records
        self._preparation = preparation

    async def ask(self, spec: ChangeSpec, *, request_id: str = "") -> ChangeRequest:
        """Take a request down, or find the one taken down before under this id.

        Raises:
            InvalidRequestError, NotFoundError: the request makes no sense.
            ConflictError: it can't be done as the ring is, or its id stands for another request.
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        request_id = check_request_id(request_id or secrets.token_hex(_OWN_ID_BYTES))
        async with patience():
            return await self._known(request_id, spec) or await self._take_down(request_id, spec)

    async def find(self, request_id: str) -> ChangeRequest | None:
        """The request of this id, if there is or was one.

        Raises:
            UnavailableError: etcd can't be reached.
        """
        kv = await self._etcd.get(request_key(request_id))
        return ChangeRequest.model_validate_json(kv.value) if kv else None

    async def _known(self, request_id: str, spec: ChangeSpec) -> ChangeRequest | None:
        known = await self.find(request_id)
        if known and known.spec != spec:
            raise ConflictError(f"The request id {request_id} stands for another change: choose a new one.")
        return known

    async def _take_down(self, request_id: str, spec: ChangeSpec) -> ChangeRequest:
        view = await self._topology.refresh()
        if len(self._records.queue) >= MAX_WAITING:
            raise ConflictError(f"{MAX_WAITING} changes wait for their turn already: ask again later.")
        draft = drafted(view, spec, request_id)
        prepared = await self._preparation.foresee(view, draft)
        request = draft.model_copy(update={"node": prepared.node})
        key = request_key(request_id)
        if (await self._etcd.txn([absent(key)], then=[put_op(key, request.encode())])).succeeded:
            return request
        # The same request, asked of two instances at once.
        return await self._known(request_id, spec) or request


def check_request_id(request_id: str) -> str:
    """Return the id if it can be one.

    Raises:
        InvalidRequestError: it can't.
    """
    if not _ID.fullmatch(request_id):
        raise InvalidRequestError("A request id is 1 to 64 letters, digits, dots, dashes or underscores.")
    return request_id


def drafted(view: RingView, spec: ChangeSpec, request_id: str) -> ChangeRequest:
    """A request as it comes in."""
    running = view.state.change
    is_abort = spec.kind is ChangeKind.ABORT
    return ChangeRequest(
        id=request_id,
        spec=spec,
        aborts=running.id if running and is_abort else "",
        requested_at_ms=now_ms(),
    )


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
