"""Leases: keys that live as long as their owner says so.

A lease is renewed three times in its life. Its owner is told at once when it is lost: on etcd's word, or by
the owner's own clock when nobody answered in time. That clock starts when a renewal is sent, not when it is
answered, so the owner never believes in a lease longer than etcd does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.shared.errors import NotFoundError, TritonTubeError, UnavailableError
from services.shared.etcd.calls import Caller, Connection, Send, unary
from services.shared.etcd.failures import AttemptError, Verdict
from services.shared.stubs.etcd import rpc_pb2

log = logging.getLogger(__name__)

_RENEWALS_PER_LIFE = 3
_REVOKE_DEADLINE_S = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Lease:
    """A granted lease; give its `id` to puts."""

    id: int
    ttl_s: int
    """Granted seconds between renewal and loss; etcd may grant more than was asked for."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the lease can no longer be relied on, and when its context ends."""


class LeaseCalls:
    """Granting leases and keeping them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @asynccontextmanager
    async def lease(self, ttl_s: int) -> AsyncIterator[Lease]:
        """Hold a lease: renewed in the background, revoked at the end together with its keys.

        Losing it raises nothing here: wait for, or look at, `lease.lost`.

        Args:
            ttl_s: seconds from the last renewal to the loss; at least 2 times etcd's election timeout is
            wise.

        Raises:
            UnavailableError: no member granted one within the deadline.
        """
        began = asyncio.get_running_loop().time()
        request = rpc_pb2.LeaseGrantRequest(ttl=ttl_s)
        granted = await self._caller.repeat(unary(lambda to: to.lease.LeaseGrant, request))
        lease = Lease(id=granted.id, ttl_s=granted.ttl)
        keeper = asyncio.create_task(self._keep(lease, began), name=f"etcd lease {lease.id:x}")
        try:
            yield lease
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await self._revoke(lease)

    async def _keep(self, lease: Lease, renewed_at: float) -> None:
        """Renew until that fails for good. `renewed_at` is when the last answered request was sent."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                await asyncio.sleep(renewed_at + lease.ttl_s / _RENEWALS_PER_LIFE - clock())
                began = clock()
                await self._renew(lease, left_s=renewed_at + lease.ttl_s - began)
                renewed_at = began
        except TritonTubeError as error:
            log.warning("etcd lease %x is lost: %s", lease.id, error)
        finally:
            lease.lost.set()

    async def _renew(self, lease: Lease, *, left_s: float) -> None:
        if left_s <= 0:
            raise UnavailableError("this process was held up for longer than the lease lives")
        request = rpc_pb2.LeaseKeepAliveRequest(id=lease.id)
        answer = await self._caller.repeat(_keep_alive(request), deadline_s=left_s)
        if answer.ttl <= 0:
            raise NotFoundError("etcd does not know it any more")

    async def _revoke(self, lease: Lease) -> None:
        """Let the lease's keys go now instead of after its time to live, where that is possible."""
        request = rpc_pb2.LeaseRevokeRequest(id=lease.id)
        send = unary(lambda to: to.lease.LeaseRevoke, request)
        try:
            await self._caller.repeat(send, deadline_s=_REVOKE_DEADLINE_S)
        except NotFoundError:
            log.debug("etcd lease %x was gone already", lease.id)
        except TritonTubeError as error:
            log.info("etcd lease %x is left to expire by itself: %s", lease.id, error)


def _keep_alive(request: rpc_pb2.LeaseKeepAliveRequest) -> Send[rpc_pb2.LeaseKeepAliveResponse]:
    """Return how to send one renewal.

    etcd offers a stream for it. One stream per renewal costs nothing at this pace, and makes a renewal a call
    like any other: with its own deadline, and to whichever endpoint answers.
    """

    async def send(to: Connection) -> rpc_pb2.LeaseKeepAliveResponse:
        call = to.stubs.lease.LeaseKeepAlive(iter([request]), timeout=to.timeout_s, metadata=to.metadata)
        answer = await call.read()
        if not isinstance(answer, rpc_pb2.LeaseKeepAliveResponse):
            raise AttemptError(Verdict.UNKNOWN, "the keep-alive ended without an answer")
        return answer

    return send
