"""Looks at the nodes that a change names before it is decided: who they are, whose, and whether up."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from services.admin.census import describe
from services.shared.errors import ConflictError, InvalidRequestError, NotFoundError, TritonTubeError
from services.shared.etcd import EtcdClient, KeyValue
from services.shared.ring.state import AT_WORK, NodeLive, NodeState, live_key
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.storage.v1 import storage_pb2

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]{1,45}\]|[^\s:/\[\]]{1,253}):(?P<port>\d{1,5})")
_MAX_PORT: Final = 65_535
_MAX_NAME_LENGTH: Final = 260
"""Of a node: no address is longer, and no id."""
_MAX_QUOTED_LENGTH: Final = 60
_RESOLVE_TIMEOUT_S: Final = 2.0
_REGISTRATION_S: Final = 2.0
"""From a node's first answer to its live key."""

_PAUSE_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """A storage node that is up and may be added."""

    live: NodeLive
    kv: KeyValue
    """Its live key."""


class Examination:
    """Asks storage nodes, and etcd about them."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd

    async def newcomer(self, view: RingView, address: str) -> Newcomer:
        """The node at `address`, if it may be added to the ring.

        Raises:
            InvalidRequestError: no address.
            NotFoundError: no storage node answers there.
            ConflictError: it is a member already, another cluster's, not registered here, or not empty.
            UnavailableError: etcd can't be asked.
        """
        await check_address(address)
        found = await _described(address)
        _check_fit(view, found, address)
        return await self._registered(found, address)

    async def member(self, view: RingView, name: str) -> str:
        """The id of the member that is called `name`: by id, or by any spelling of its address.

        Raises:
            ConflictError: two are known at that address.
            InvalidRequestError: the name is empty, or an address that leads nowhere.
            NotFoundError: there is none.
        """
        if not name:
            raise InvalidRequestError("Say which storage node: by id, or by address as host:port.")
        if len(name) > _MAX_NAME_LENGTH:
            raise InvalidRequestError(f"{_quoted(name)} is neither the id nor the address of a storage node.")
        if name in view.state.nodes:
            return name
        return _member_at(view, name) or await self._member_by_asking(view, name)

    async def live_key(self, node: str) -> KeyValue | None:
        """The node's live key as etcd has it now; None where the node is away.

        Raises:
            UnavailableError: etcd can't be asked.
        """
        return await self._etcd.get(live_key(node))

    async def _member_by_asking(self, view: RingView, name: str) -> str:
        """The address may be another spelling: whoever is there says who it is."""
        if _ADDRESS.fullmatch(name):
            await check_address(name)
            with suppress(TritonTubeError):
                found = await describe(name)
                if found.node_id in view.state.nodes:
                    return found.node_id
        raise NotFoundError(f"There is no storage node {name}: see the status for those there are.")

    @retry(
        retry=retry_if_result(lambda found: found is None),
        stop=stop_after_delay(_REGISTRATION_S),
        wait=wait_fixed(_PAUSE_S),
        retry_error_callback=lambda _: None,
    )
    async def _live_key_soon(self, node: str) -> KeyValue | None:
        """The live key of a node that answers; it may have been started only just now."""
        return await self.live_key(node)

    async def _registered(self, found: storage_pb2.DescribeResponse, address: str) -> Newcomer:
        kv = await self._live_key_soon(found.node_id)
        if kv is None:
            raise ConflictError(
                f"{address} is up, but not registered in this cluster: start it with the same etcd endpoints."
            )
        live = NodeLive.model_validate_json(kv.value)
        if live.disk_id != found.disk_id:
            raise ConflictError(
                f"{address} says that it is {found.node_id}, and so does {live.address} with another disk:"
                " stop one of them."
            )
        return Newcomer(live=live, kv=kv)


async def check_address(address: str) -> None:
    """Refuse what is no address, or leads nowhere.

    Raises:
        InvalidRequestError: it is not `host:port`, or its host is not known.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
        raise InvalidRequestError(
            f"{_quoted(address)} is not an address; write host:port, for example 10.0.0.4:9090."
        )
    try:
        async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
            loop = asyncio.get_running_loop()
            await loop.getaddrinfo(match["host"].strip("[]"), int(match["port"]), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a timeout is an OSError, too
        raise InvalidRequestError(f"The host of {address} is not known here: check its name.") from error


def _quoted(text: str) -> str:
    """What was given, as part of a sentence; of what is no name at all, its beginning will do."""
    return repr(text if len(text) <= _MAX_QUOTED_LENGTH else f"{text[:_MAX_QUOTED_LENGTH]}...")


async def _described(address: str) -> storage_pb2.DescribeResponse:
    try:
        return await describe(address)
    except TritonTubeError as error:
        raise NotFoundError(f"No storage node answers at {address}: start it first. ({error})") from error


def _check_fit(view: RingView, found: storage_pb2.DescribeResponse, address: str) -> None:
    if found.cluster_id not in {"", view.state.cluster_id}:
        raise ConflictError(
            f"The storage node at {address} belongs to another cluster: give it an empty disk first."
        )
    entry = view.entry(found.node_id)
    if entry and entry.state is NodeState.REMOVED and found.files:
        raise ConflictError(
            f"{found.node_id} was removed and still holds {found.files} files: wait until it has handed them"
            " over, or give it an empty disk."
        )


def _member_at(view: RingView, address: str) -> str | None:
    """The node that is or was last at this address; of several, one that is still a member.

    Raises:
        ConflictError: two members are.
    """
    nodes = view.state.nodes
    known = [node for node, entry in nodes.items() if address in {entry.address, view.address(node)}]
    members = [node for node in known if nodes[node].state in AT_WORK]
    present = [node for node in members if view.address(node) == address] or members
    if len(present) > 1:
        raise ConflictError(f"{' and '.join(present)} are known at {address}: name one of them by its id.")
    return next(iter((*present, *known)), None)
