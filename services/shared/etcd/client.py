"""The client itself: the calls of its parts, on one set of connections."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from tenacity import retry, retry_if_exception_type, wait_random

from services.shared.errors import InvalidRequestError, UnavailableError
from services.shared.etcd.auth import Login
from services.shared.etcd.calls import Caller, NoTokens, Timing, TokenSource
from services.shared.etcd.cluster import ClusterCalls
from services.shared.etcd.endpoints import TlsFiles, open_endpoints
from services.shared.etcd.failures import CompactedError
from services.shared.etcd.keyvalues import KeyValueCalls
from services.shared.etcd.leases import LeaseCalls
from services.shared.etcd.records import Snapshot, WatchEvent
from services.shared.etcd.watches import WatchCalls
from services.shared.settings import Settings

log = logging.getLogger(__name__)


class EtcdClient(KeyValueCalls, LeaseCalls, WatchCalls, ClusterCalls):
    """An etcd v3 client that goes on through the loss of members.

    Requests go to one endpoint at a time and to the next one when that fails or is slow. Safe to share by all
    tasks of one event loop.
    """

    @classmethod
    def configured(cls, settings: Settings) -> AbstractAsyncContextManager[EtcdClient]:
        """Open a client as a service's settings say; see `connect`."""
        files = (settings.etcd_ca_file, settings.etcd_cert_file, settings.etcd_key_file)
        return cls.connect(
            settings.etcd_endpoints,
            username=settings.etcd_username,
            password=settings.etcd_password,
            tls=TlsFiles(ca_file=files[0], cert_file=files[1], key_file=files[2]) if any(files) else None,
        )

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        endpoints: Sequence[str],
        *,
        username: str | None = None,
        password: str | None = None,
        tls: TlsFiles | None = None,
        attempt_timeout_s: float = 1.0,
        deadline_s: float = 15.0,
    ) -> AsyncIterator[EtcdClient]:
        """Open a client. Connections are made, and logins done, when first needed: etcd may start later.

        Args:
            endpoints: the members' client addresses, `host:port`; `https://host:port` for TLS.
            username: log in as this user; goes with `password`.
            password: of the user.
            tls: certificates; given at all, they make every connection TLS.
            attempt_timeout_s: for one endpoint to answer before the next one is asked.
            deadline_s: for a request as a whole; then it raises `UnavailableError`.

        Raises:
            InvalidRequestError: a malformed endpoint, unreadable TLS files, or a user without a password.
        """
        timing = Timing(attempt_timeout_s=attempt_timeout_s, deadline_s=deadline_s)
        async with open_endpoints(endpoints, tls) as pool:
            tokens = _tokens(Caller(pool, timing, NoTokens()), username, password)
            yield cls(Caller(pool, timing, tokens))

    async def follow(self, prefix: str) -> AsyncGenerator[Snapshot | WatchEvent, None]:
        """Yield all keys that begin with `prefix`, then every change of them, for ever: to keep a view.

        A `Snapshot` replaces the whole view, an event changes it. Another snapshot comes when the view fell
        so far behind that the changes in between are no longer kept. Leaving the loop early, close the
        generator (`contextlib.aclosing`).

        Raises:
            UnavailableError: no answer to the first listing; later outages are waited out.
            RequestError: this user may not read these keys.
        """
        snapshot = await self.range_snapshot(prefix)
        while True:
            yield snapshot
            try:
                async with aclosing(self.watch(prefix, start_revision=snapshot.revision + 1)) as events:
                    async for event in events:
                        yield event
            except CompactedError as error:
                log.info("etcd view of %r is listed again: %s", prefix, error)
                snapshot = await self._list_again(prefix)

    @retry(retry=retry_if_exception_type(UnavailableError), wait=wait_random(0.0, 1.0))
    async def _list_again(self, prefix: str) -> Snapshot:
        """List however long it takes: a view that exists waits for the cluster, as its watch does."""
        return await self.range_snapshot(prefix)


def _tokens(anonymous: Caller, username: str | None, password: str | None) -> TokenSource:
    if username is None and password is None:
        return NoTokens()
    if username is None or password is None:
        raise InvalidRequestError("etcd: give both a user name and a password, or neither")
    return Login(anonymous, username=username, password=password)
