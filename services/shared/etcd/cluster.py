"""Who belongs to the cluster, and how each member is doing."""

from __future__ import annotations

import asyncio

from services.shared.errors import TritonTubeError
from services.shared.etcd.calls import Caller, unary
from services.shared.etcd.endpoints import Endpoint
from services.shared.etcd.failures import AttemptError
from services.shared.etcd.records import EndpointStatus, Member
from services.shared.stubs.etcd import rpc_pb2


class ClusterCalls:
    """Questions about the cluster itself."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def members(self) -> tuple[Member, ...]:
        """Return the members of the cluster, as one of them knows them."""
        send = unary(lambda to: to.cluster.MemberList, rpc_pb2.MemberListRequest())
        answer = await self._caller.repeat(send, needs_leader=False)
        return tuple(
            Member(id=m.id, name=m.name, client_urls=tuple(m.client_urls), is_learner=m.is_learner)
            for m in answer.members
        )

    async def status(self) -> tuple[EndpointStatus, ...]:
        """Ask every endpoint how it is doing, all at once; those that do not answer say why in `problem`.

        Takes no longer than one attempt and raises nothing for a member that is away.
        """
        endpoints = self._caller.pool.endpoints
        return tuple(await asyncio.gather(*(self._status(endpoint) for endpoint in endpoints)))

    async def _status(self, endpoint: Endpoint) -> EndpointStatus:
        timeout_s = self._caller.timing.attempt_timeout_s
        send = unary(lambda to: to.maintenance.Status, rpc_pb2.StatusRequest())
        try:
            async with self._caller.attempt(
                timeout_s=timeout_s, needs_leader=False, endpoint=endpoint
            ) as connection:
                return _status(endpoint.name, await send(connection))
        except (AttemptError, TritonTubeError) as error:
            return EndpointStatus(endpoint=endpoint.name, problem=str(error))


def _status(endpoint: str, message: rpc_pb2.StatusResponse) -> EndpointStatus:
    return EndpointStatus(
        endpoint=endpoint,
        member_id=message.header.member_id,
        leader_id=message.leader,
        version=message.version,
        raft_term=message.raft_term,
        revision=message.header.revision,
        db_size_bytes=message.db_size,
        db_used_bytes=message.db_size_in_use,
        alarms=tuple(message.errors),
    )
