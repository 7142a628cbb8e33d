"""The HTTP server: Granian inside our own event loop, stopped by our own stop event.

Its Rust part reads and writes sockets on threads of its own and calls us only with parsed requests, which is
what makes one process fast enough; etcd, broker, gRPC and all handlers share the one asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from services.shared.errors import UnavailableError
from services.shared.sockets import BACKLOG

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_REQUESTS: Final = 4096
"""At the same time, the pages that listen for news among them; further ones wait in the kernel."""

_LAST_WORDS_S: Final = 1.0
"""For requests that were cancelled at the drain deadline to clean up after themselves."""


class HttpServer:
    """Serves an ASGI application on a socket until told to stop."""

    def __init__(
        self, app: App, listener: socket.socket, *, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        """`on_stop` is called before waiting for running requests: some end only when they are told to."""
        self._requests = _Requests(app)
        self._server = _Embedded(self._requests, listener)
        self._on_stop = on_stop

    async def run(self, stop: asyncio.Event, *, drain_timeout_s: float) -> None:
        """Serve until `stop`; then take no more connections and let running requests end, or cut them off.

        Raises:
            UnavailableError: the server ended by itself.
        """
        serving = asyncio.create_task(self._server.serve(), name="http server")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                raise UnavailableError("The HTTP server has ended by itself.") from serving.exception()
            self._server.stop()  # type: ignore[no-untyped-call]
            self._on_stop()
            await self._requests.drain(drain_timeout_s)
            await asyncio.wait([serving], timeout=_LAST_WORDS_S)
        finally:
            stopping.cancel()
            serving.cancel()


class _Embedded(Server):
    """Granian's server for a loop that runs already, on a socket that is open already."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.auto,
            websockets=False,
            backlog=BACKLOG,
            backpressure=_MAX_REQUESTS,
            # Of what it says below that level, all is either said by us as well or a client that left.
            log_level=LogLevels.error,
            log_dictconfig={"incremental": True, "handlers": {}, "loggers": {}},
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # Granian's type stub does not know this constructor, which it uses itself to pass sockets to workers.
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # type: ignore[call-arg, assignment]


class _Requests:
    """Knows the requests that are running, to end them in time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            log.info("cut off: %s %s", scope.get("method"), scope.get("path"))
        finally:
            self._running.discard(task)

    async def drain(self, timeout_s: float) -> None:
        """Wait for running requests to end, and cancel those that have not in time."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_LAST_WORDS_S)
