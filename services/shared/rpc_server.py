"""A gRPC server as all our services run it: error translation, health, reflection, a bounded stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.shared.errors import ConflictError
from services.shared.rpc import SERVER_OPTIONS, ErrorTranslator

GRACE_S: Final = 5.0
"""How long running calls may go on once the server stops."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One gRPC service to offer: its full name, and how it is added to a server."""

    name: str
    register: Callable[[grpc.aio.Server], None]


class RpcServer:
    """A server that is up."""

    def __init__(
        self, address: str, health_servicer: health.aio.HealthServicer, names: Sequence[str]
    ) -> None:
        self.address = address
        """Where it listens, `host:port`: the real port, also where any free one (0) was asked for."""
        self._health = health_servicer
        self._names = names

    async def report(self, *, healthy: bool) -> None:
        """Set what health checks are told."""
        answer = (
            health_pb2.HealthCheckResponse.SERVING if healthy else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *self._names):
            await self._health.set(name, answer)


@asynccontextmanager
async def serving(
    listen: str,
    *services: Service,
    grace_s: float = GRACE_S,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> AsyncIterator[RpcServer]:
    """Serve at `listen` (`host:port`) while the context lasts; health is reported as good from the start.

    What `interceptors` raise is translated like the errors of servicers.

    Raises:
        ConflictError: nobody can listen there.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=[ErrorTranslator(), *interceptors])
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for service in services:
        service.register(server)
    names = [service.name for service in services]
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    running = RpcServer(_bind(server, listen), health_servicer, names)
    await running.report(healthy=True)
    await server.start()
    try:
        yield running
    finally:
        await health_servicer.enter_graceful_shutdown()
        await server.stop(grace_s)


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise ConflictError(
            f"Cannot listen on {listen}: another process does, or it is no address of this machine."
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"
