"""The operator's end of the admin calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from services.shared.rpc import CHANNEL_OPTIONS, translated
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2, cluster_pb2_grpc

_TIMEOUT_S: Final = 15.0
"""For a call: longer than the server waits for etcd or for a storage node."""


class AdminClient:
    """Calls to one admin server. Each raises the errors of `services.shared.errors`."""

    def __init__(self, channel: grpc.aio.Channel, server: str) -> None:
        self._admin = admin_pb2_grpc.VideoContentAdminServiceStub(channel)
        self._cluster = cluster_pb2_grpc.ClusterServiceStub(channel)
        self._server = server

    @classmethod
    @asynccontextmanager
    async def to(cls, server: str) -> AsyncIterator[AdminClient]:
        """A client of the admin server at `host:port`."""
        async with grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS) as channel:
            yield cls(channel, server)

    async def nodes(self) -> list[str]:
        """Addresses of the storage nodes in the ring; also of a server of the original TritonTube."""
        with translated(self._server):
            answer = await self._admin.ListNodes(admin_pb2.ListNodesRequest(), timeout=_TIMEOUT_S)
        return list(answer.nodes)

    async def status(self) -> cluster_pb2.GetStatusResponse:
        """How the ring and its nodes are."""
        with translated(self._server):
            return await self._cluster.GetStatus(cluster_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)
