"""The members that can be asked: one gRPC channel each, and which of them to ask now.

One channel per endpoint, never one channel over all: so TLS host names work, a member can be left at will,
and a frozen one is noticed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc.aio import Channel, insecure_channel, secure_channel

from services.shared.errors import InvalidRequestError
from services.shared.etcd.failures import AttemptError, Verdict
from services.shared.stubs.etcd import rpc_pb2_grpc

_MAX_MESSAGE_BYTES = 64 << 20

_CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # A member that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 2000),  # in truth the limit of one attempt to connect
    # A frozen peer still acknowledges TCP: only unanswered pings give it away, after 9 s. etcd itself
    # closes connections that ping more often than every 5 s, or without a call.
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 3000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
    # Clients in one process do not share connections, so that one's trouble is not another's.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFiles:
    """PEM files for TLS. Without `ca_file` the system's authorities are trusted."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    """The client's certificate chain, when the members want one; goes with `key_file`."""
    key_file: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            InvalidRequestError: a file cannot be read, or only one of certificate and key is given.
        """
        if (self.cert_file is None) != (self.key_file is None):
            raise InvalidRequestError("etcd TLS: give both a client certificate and its key, or neither")
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file),
            private_key=_read(self.key_file),
            certificate_chain=_read(self.cert_file),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stubs:
    """etcd's services on one channel."""

    kv: rpc_pb2_grpc.KVAsyncStub
    watch: rpc_pb2_grpc.WatchAsyncStub
    lease: rpc_pb2_grpc.LeaseAsyncStub
    cluster: rpc_pb2_grpc.ClusterAsyncStub
    maintenance: rpc_pb2_grpc.MaintenanceAsyncStub
    auth: rpc_pb2_grpc.AuthAsyncStub

    @classmethod
    def on(cls, channel: Channel) -> Stubs:
        """Make the stubs; does no I/O."""
        return cls(
            kv=rpc_pb2_grpc.KVStub(channel),
            watch=rpc_pb2_grpc.WatchStub(channel),
            lease=rpc_pb2_grpc.LeaseStub(channel),
            cluster=rpc_pb2_grpc.ClusterStub(channel),
            maintenance=rpc_pb2_grpc.MaintenanceStub(channel),
            auth=rpc_pb2_grpc.AuthStub(channel),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint:
    """One member's client address and the channel to it."""

    name: str
    """`host:port`."""
    channel: Channel
    stubs: Stubs

    async def connected(self, *, timeout_s: float) -> None:
        """Wait until the connection stands, so that a later failure is never about a request unsent.

        Raises:
            AttemptError: `NOT_DONE`: refused, or not within `timeout_s`.
        """
        if self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect()
        except TimeoutError as error:
            raise AttemptError(
                Verdict.NOT_DONE, f"{self.name}: no connection in {timeout_s:.1f} s"
            ) from error

    async def _connect(self) -> None:
        while (state := self.channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise AttemptError(Verdict.NOT_DONE, f"{self.name}: cannot connect")
            await self.channel.wait_for_state_change(state)


class EndpointPool:
    """All endpoints, and the one that answers at present."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        # Clients begin at different members, so that the load is spread.
        self._index = random.randrange(len(self.endpoints))  # noqa: S311 - spreads load, guards nothing

    @property
    def current(self) -> Endpoint:
        """The endpoint to ask."""
        return self.endpoints[self._index]

    def move_on(self, failed: Endpoint) -> None:
        """Leave `failed` for the next one. Of many callers that saw the same failure, the first moves all."""
        if self.current is failed:
            self._index = (self._index + 1) % len(self.endpoints)


@asynccontextmanager
async def open_endpoints(names: Sequence[str], tls: TlsFiles | None) -> AsyncIterator[EndpointPool]:
    """Make a channel per endpoint and close them at the end. Connections are made when first needed.

    Raises:
        InvalidRequestError: no endpoint, a malformed one, or TLS files that cannot be used.
    """
    if not names:
        raise InvalidRequestError("etcd: name at least one endpoint, as host:port")
    async with AsyncExitStack() as stack:
        pool = EndpointPool([_endpoint(name, tls) for name in names])
        for endpoint in pool.endpoints:
            stack.push_async_callback(endpoint.channel.close)
        yield pool


def split_scheme(name: str) -> tuple[str, str]:
    """Return scheme (empty when not given) and `host:port` of an endpoint.

    Raises:
        InvalidRequestError: it is not `host:port`, `http://host:port` or `https://host:port`.
    """
    scheme, found, target = name.rpartition("://")
    host, _, port = target.rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or (found and scheme not in {"http", "https"}):
        raise InvalidRequestError(f"etcd endpoint {name!r}: write host:port, or https://host:port for TLS")
    return scheme, f"{host}:{port}"


def _endpoint(name: str, tls: TlsFiles | None) -> Endpoint:
    scheme, target = split_scheme(name)
    if scheme == "http" and tls is not None:
        raise InvalidRequestError(f"etcd endpoint {name!r} is plain HTTP, but TLS files are given")
    if scheme == "https" or tls is not None:
        channel = secure_channel(target, (tls or TlsFiles()).credentials(), options=_CHANNEL_OPTIONS)
    else:
        channel = insecure_channel(target, options=_CHANNEL_OPTIONS)
    return Endpoint(name=target, channel=channel, stubs=Stubs.on(channel))


def _read(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise InvalidRequestError(f"etcd TLS: cannot read {file}: {error.strerror}") from error
