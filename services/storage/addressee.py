"""Answering only what is meant for this node.

Clients find nodes by address, and an address may lead to another node than it did: a disk was wiped or not
mounted and its process started anew, or two machines swapped their names. That this node lacks a file, or has
stored one, must not be taken for the word of another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc

from services.shared.errors import UnavailableError
from services.shared.rpc import NODE_METADATA

_FOR_ANYONE: Final = "/Describe"
"""The call by which one finds out which node answers."""


def check_addressee(meant: str, *, node_id: str) -> None:
    """Refuse what is meant for another node; empty: whoever asks does not say, as older versions don't.

    Raises:
        UnavailableError: it is.
    """
    if meant and meant != node_id:
        raise UnavailableError(f"This is {node_id}, not {meant}.")


class Addressee(grpc.aio.ServerInterceptor):
    """Does that for calls of gRPC. Goes after the interceptor that translates errors."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Replace the method's handler by a refusal; called by gRPC for each call."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or str(handler_call_details.method).endswith(_FOR_ANYONE):
            return handler
        meant = dict(handler_call_details.invocation_metadata or ()).get(NODE_METADATA, "")
        try:
            check_addressee(str(meant), node_id=self._node_id)
        except UnavailableError as error:
            return _refusal(handler, error)
        return handler


def _refusal(handler: Any, error: UnavailableError) -> Any:
    async def answer(_request: Any, _context: Any) -> Any:
        raise error

    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        raise error
        yield

    match (handler.request_streaming, handler.response_streaming):
        case (False, False):
            return grpc.unary_unary_rpc_method_handler(answer)
        case (True, False):
            return grpc.stream_unary_rpc_method_handler(answer)
        case (False, True):
            return grpc.unary_stream_rpc_method_handler(stream)
        case _:
            return grpc.stream_stream_rpc_method_handler(stream)
