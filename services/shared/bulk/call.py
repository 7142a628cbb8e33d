"""One call on a bulk connection, as its caller sees it."""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.message import DecodeError

from services.shared.bulk.connection import Head
from services.shared.bulk.failures import error_in
from services.shared.bulk.pool import Line, Pools
from services.shared.errors import UnavailableError
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2


class StaleConnectionError(UnavailableError):
    """The connection had been closed since it was used last: the call has not been heard; make it again."""


class Answer(NamedTuple):
    """A frame of the node's answer."""

    message: bulk_pb2.BulkResponse
    body: bytes


class Call:
    """Requests go out, answers come in. Once the last answer is in, the connection serves other calls."""

    def __init__(self, node: str, address: str, line: Line, pools: Pools) -> None:
        self._node = node
        self._address = address
        self._connection = line.connection
        self._pools = pools
        self._unproven = line.reused
        self._all_sent = False
        self._over = False

    async def send(self, request: bulk_pb2.BulkRequest, body: bytes | memoryview = b"") -> None:
        """Say what is wanted, or send the next piece of what is put.

        Raises:
            UnavailableError: the connection broke. There may be an answer that says why.
        """
        self._all_sent = request.HasField("get") or request.HasField("commit")
        await self._connection.send(request.SerializeToString(), body)

    async def answer(self) -> Answer:
        """The next frame of the answer.

        Raises:
            StaleConnectionError: make the call again.
            UnavailableError: the node is away.
            TritonTubeError: the call has failed; why, the node says.
        """
        try:
            answer = await self._receive()
        except UnavailableError as error:
            self.close()
            if self._unproven:
                self._pools.drop(self._address)
                raise StaleConnectionError(str(error)) from None
            raise UnavailableError(f"{self._node}: {error}") from None
        except BaseException:
            self.close()
            raise
        self._unproven = False
        if answer.message.last:
            self._end()
        if answer.message.HasField("failure"):
            raise error_in(answer.message.failure, peer=self._node)
        return answer

    def close(self) -> None:
        """Break the call off, unless it is over."""
        if not self._over:
            self._over = True
            self._connection.close()

    async def _receive(self) -> Answer:
        head = await self._connection.head()
        if head is None:
            raise UnavailableError("The connection was closed before the answer.")
        message = _parsed(head)
        body = bytes(await self._connection.body(head)) if head.body_bytes else b""
        return Answer(message, body)

    def _end(self) -> None:
        if not self._all_sent:  # it was refused before its end
            self.close()
        elif not self._over:
            self._over = True
            self._pools.keep(self._address, self._connection)


def _parsed(head: Head) -> bulk_pb2.BulkResponse:
    try:
        return bulk_pb2.BulkResponse.FromString(head.message)
    except DecodeError as error:
        raise UnavailableError("What answers there does not speak the protocol for file contents.") from error
