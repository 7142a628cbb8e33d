"""The node's face for file contents: `Put` and `Get` over bulk connections, one call at a time on each."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final

from google.protobuf.message import DecodeError

from services.shared.bulk.connection import Connection, Head
from services.shared.bulk.failures import failure_of
from services.shared.errors import InvalidRequestError, TritonTubeError, UnavailableError
from services.shared.rpc import MAX_FILE_BYTES
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2
from services.storage.addressee import check_addressee
from services.storage.intake import Arrival, Intake
from services.storage.outlet import Outlet
from services.storage.wire import to_wire

log = logging.getLogger(__name__)

_IDLE_TIMEOUT_S: Final = 300.0
"""For the next call. Clients let go of connections that they don't use earlier."""
_STALL_TIMEOUT_S: Final = 120.0
"""For the other end to send what it is to send, or to take what it has asked for."""


class _Upload:
    """The frames of one file on their way in. Where they break off, so does the connection."""

    def __init__(self, connection: Connection, head: Head, request: bulk_pb2.BulkRequest) -> None:
        self._connection = connection
        self._opening: tuple[Head, bulk_pb2.BulkRequest] | None = (head, request)
        self._over = False
        self.header = request.put
        self.addressee = request.node

    async def arrivals(self) -> AsyncGenerator[Arrival, None]:
        """What comes, up to the commit."""
        while not self._over:
            yield await self._next()

    async def drop_rest(self) -> None:
        """Read what a refused sender still sends: one whose bytes nobody reads might not read the reason."""
        dropped_bytes = 0
        async for arrival in self.arrivals():
            dropped_bytes += len(arrival.chunk)
            if dropped_bytes > MAX_FILE_BYTES:
                raise UnavailableError("A refused sender does not stop.")

    async def _next(self) -> Arrival:
        try:
            async with asyncio.timeout(_STALL_TIMEOUT_S):
                head, request = self._opening or await self._frame()
                self._opening = None
                chunk = await self._connection.body(head)
        except BaseException as error:
            self._over = True
            self._connection.close()
            if isinstance(error, TimeoutError):
                raise UnavailableError(f"Nothing arrived for {_STALL_TIMEOUT_S:.0f} s.") from None
            raise
        self._over = request.HasField("commit")
        return Arrival(chunk, request.commit if self._over else None)

    async def _frame(self) -> tuple[Head, bulk_pb2.BulkRequest]:
        head = await self._connection.head()
        if head is None:
            raise UnavailableError("The sender has gone in the middle of a file.")
        request = _parsed(head)
        if request.WhichOneof("call"):
            raise InvalidRequestError("After the header come data, then the commit.")
        return head, request


class BulkServicer:
    """Answers on every connection that it is handed."""

    def __init__(self, *, node_id: str, intake: Intake, outlet: Outlet) -> None:
        self._node_id = node_id
        self._intake = intake
        self._outlet = outlet
        self._conversations: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()

    def accept(self, connection: Connection) -> None:
        """Talk to whoever has connected, until it goes."""
        task = asyncio.get_running_loop().create_task(self._converse(connection), name="bulk connection")
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def stop(self, *, grace_s: float) -> None:
        """Begin no more calls, give those that run so long, then break them off."""
        for task in self._conversations - self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy, timeout=grace_s)
        for task in self._conversations:
            task.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations)

    async def _converse(self, connection: Connection) -> None:
        try:
            while head := await self._next_call(connection):
                with self._busy_with_a_call():
                    await self._answer(connection, head)
        except (TritonTubeError, TimeoutError) as error:
            log.debug("a bulk connection ends: %s", error)
        except Exception:
            log.exception("a bulk connection failed")
        finally:
            connection.close()

    @contextmanager
    def _busy_with_a_call(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None, "this is a coroutine"
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)

    async def _next_call(self, connection: Connection) -> Head | None:
        async with asyncio.timeout(_IDLE_TIMEOUT_S):
            return await connection.head()

    async def _answer(self, connection: Connection, head: Head) -> None:
        request = _parsed(head)
        match request.WhichOneof("call"):
            case "put":
                await self._put(connection, _Upload(connection, head, request))
            case "get" if not head.body_bytes:
                await self._get(connection, request)
            case _:
                raise InvalidRequestError("A call begins with what is to be put or got.")

    async def _put(self, connection: Connection, upload: _Upload) -> None:
        async with self._intake.room, aclosing(upload.arrivals()) as arrivals:
            try:
                check_addressee(upload.addressee, node_id=self._node_id)
                stored = await self._intake.take(upload.header, arrivals)
            except Exception as error:  # noqa: BLE001 - the edge: every error becomes an answer
                await self._fail(connection, error)
                await arrivals.aclose()
                await upload.drop_rest()
                return
        answer = bulk_pb2.BulkResponse(
            info=stored.info, created=stored.created, epoch=stored.epoch, last=True
        )
        await _send(connection, answer)

    async def _get(self, connection: Connection, request: bulk_pb2.BulkRequest) -> None:
        told = False
        try:
            check_addressee(request.node, node_id=self._node_id)
            async with aclosing(self._outlet.portions(request.get)) as portions:
                async for info, block, last in portions:
                    answer = bulk_pb2.BulkResponse(info=None if told else to_wire(info), last=last)
                    await _send(connection, answer, block)
                    told = True
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes an answer
            await self._fail(connection, error)

    async def _fail(self, connection: Connection, error: Exception) -> None:
        await _send(connection, bulk_pb2.BulkResponse(failure=failure_of(error), last=True))


@asynccontextmanager
async def serving(listening: socket.socket, servicer: BulkServicer, *, grace_s: float) -> AsyncIterator[None]:
    """Serve on a socket while the context lasts; then let running calls end within `grace_s`."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(servicer.accept), sock=listening)
    try:
        yield
    finally:
        server.close()
        await servicer.stop(grace_s=grace_s)


async def _send(connection: Connection, answer: bulk_pb2.BulkResponse, block: bytes = b"") -> None:
    async with asyncio.timeout(_STALL_TIMEOUT_S):
        await connection.send(answer.SerializeToString(), block)


def _parsed(head: Head) -> bulk_pb2.BulkRequest:
    try:
        return bulk_pb2.BulkRequest.FromString(head.message)
    except DecodeError as error:
        raise InvalidRequestError("What arrived is no call for file contents.") from error
