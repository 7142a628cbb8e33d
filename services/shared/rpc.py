"""What all our gRPC servers and clients share: options, and one table between errors and status codes.

Servicers raise the errors of `services.shared.errors`; `ErrorTranslator` turns them into a status. Clients
call inside `translated(peer)`, which turns a status back into the error. `StaleRingError` carries the epoch
of the server's ring in the trailing metadata `tritontube-epoch`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Final, NoReturn

import grpc
from grpc import StatusCode

from services.shared.errors import (
    ConflictError,
    CorruptFileError,
    FencedError,
    InvalidRequestError,
    NotFoundError,
    OutOfSpaceError,
    RequestError,
    StaleRingError,
    StrangerError,
    TooLargeError,
    TritonTubeError,
    UnavailableError,
)

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 1 << 20
"""Of a file, in one message of a stream. A message wakes up several threads at both ends, however long it is;
this is as much as may be under way on a stream (below)."""
MAX_FILE_BYTES: Final = 32 << 20
"""Longest file of the ring. What is longer is stored in parts: no process ever holds a whole source."""
MAX_MESSAGE_BYTES: Final = 4 << 20
"""Longest message accepted: 1000 file facts, or a chunk, fit many times."""
EPOCH_METADATA: Final = "tritontube-epoch"
NODE_METADATA: Final = "tritontube-node"
"""In calls to a storage node: the id of the one that is meant."""
CONNECT_TIMEOUT_S: Final = 2.0

_KEEPALIVE_MS: Final = 20_000
_OWN_SERVICES: Final = "/tritontube."
_NO_CONNECTION: Final = ("failed to connect", "errors resolving", "DNS resolution failed")
"""How gRPC's own explanations begin; the rest is of no use to people."""
_NO_GRPC: Final = ("Received http2 header with status", "Trying to connect an http1.x server")
"""What is in them where something else answers."""
_NO_METHOD: Final = ("Method not found", "unknown service", "unknown method")
"""How they begin where another gRPC service answers (in Python, in Go), or one too old for the call."""
MAX_DETAILS: Final = 2000
"""Characters of an error's sentence, which may quote what the caller said: gRPC bears some 16,000."""
UNEXPECTED: Final = "The server failed in an unexpected way; its log says how."

Options = tuple[tuple[str, int], ...]

_FLOW_CONTROL: Final[Options] = (
    # What may be under way on a stream whose reader is slow. Left to itself, gRPC's estimate of the bandwidth
    # lets a paused stream hold ten times as much, and is no faster.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 20),
    # By default a frame has 16 KiB, and each is cut, headed, read and put together again by itself.
    ("grpc.http2.max_frame_size", CHUNK_BYTES),
)

CHANNEL_OPTIONS: Final[Options] = (
    *_FLOW_CONTROL,
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Without these two a frozen peer, whose kernel still acknowledges TCP, goes unnoticed for a minute.
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    # A peer that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT_S * 1000)),  # in truth the limit of one attempt
    # Whole idempotent operations are repeated by their callers, who know which copy to try next.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)

SERVER_OPTIONS: Final[Options] = (
    *_FLOW_CONTROL,
    # A port in use is an error to report, not one to share.
    ("grpc.so_reuseport", 0),
    # Half of what our clients keep to; by default a server takes pings that come so often for an attack.
    ("grpc.http2.min_ping_interval_without_data_ms", _KEEPALIVE_MS // 2),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)

_CODES: Final[dict[type[TritonTubeError], StatusCode]] = {
    InvalidRequestError: StatusCode.INVALID_ARGUMENT,
    NotFoundError: StatusCode.NOT_FOUND,
    ConflictError: StatusCode.ALREADY_EXISTS,
    TooLargeError: StatusCode.INVALID_ARGUMENT,
    RequestError: StatusCode.INVALID_ARGUMENT,
    StaleRingError: StatusCode.FAILED_PRECONDITION,
    FencedError: StatusCode.ABORTED,
    CorruptFileError: StatusCode.DATA_LOSS,
    OutOfSpaceError: StatusCode.RESOURCE_EXHAUSTED,
    UnavailableError: StatusCode.UNAVAILABLE,
    TritonTubeError: StatusCode.INTERNAL,
}
"""The nearest class in an error's ancestry decides."""

_ERRORS: Final[dict[StatusCode, type[TritonTubeError]]] = {
    StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    StatusCode.OUT_OF_RANGE: InvalidRequestError,
    StatusCode.NOT_FOUND: NotFoundError,
    StatusCode.ALREADY_EXISTS: ConflictError,
    StatusCode.FAILED_PRECONDITION: ConflictError,
    StatusCode.ABORTED: FencedError,
    StatusCode.DATA_LOSS: CorruptFileError,
    StatusCode.RESOURCE_EXHAUSTED: OutOfSpaceError,
    # Our servers never say these.
    StatusCode.UNIMPLEMENTED: StrangerError,
    StatusCode.PERMISSION_DENIED: StrangerError,
    StatusCode.UNAUTHENTICATED: StrangerError,
}
"""Every other code means that the peer can't be relied on now: `UnavailableError`."""


def status_of(error: TritonTubeError) -> StatusCode:
    """The status code that stands for an error."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def error_of(failure: grpc.aio.AioRpcError, *, peer: str) -> TritonTubeError:
    """The error that a failed call stands for; its sentence names the peer where the peer is the trouble."""
    code = failure.code()
    return error_from(code, failure.details() or code.name, epoch=_epoch_in(failure), peer=peer)


def error_from(code: StatusCode, details: str, *, epoch: int | None, peer: str) -> TritonTubeError:
    """The same for a failure that was told in other ways; `epoch` is the peer's where ours was older."""
    if code is StatusCode.FAILED_PRECONDITION and epoch is not None:
        return StaleRingError(details, epoch=epoch)
    if code is StatusCode.DEADLINE_EXCEEDED:
        return UnavailableError(f"{peer} did not answer in time.")
    if any(sign in details for sign in _NO_GRPC):
        return UnavailableError(f"What answers at {peer} does not speak gRPC: is that the right port?")
    if code is StatusCode.UNAVAILABLE and details.startswith(_NO_CONNECTION):
        return UnavailableError(f"{peer} cannot be reached.")
    if code is StatusCode.UNIMPLEMENTED and details.startswith(_NO_METHOD):
        return StrangerError(
            f"Something else answers at {peer}, or another version of TritonTube: is that the right port?"
        )
    kind = _ERRORS.get(code, UnavailableError)
    return kind(details if issubclass(kind, RequestError) else f"{peer}: {details}")


@contextmanager
def translated(peer: str) -> Iterator[None]:
    """Call `peer` inside: a failed call is raised as the error it stands for."""
    try:
        yield
    except grpc.aio.AioRpcError as failure:
        raise error_of(failure, peer=peer) from failure
    except (
        grpc.aio.UsageError
    ) as failure:  # its channel was closed meanwhile, since it is reached elsewhere now
        raise UnavailableError(f"The connection to {peer} was closed.") from failure


@asynccontextmanager
async def bounded(peer: str, timeout_s: float | None) -> AsyncGenerator[None, None]:
    """Call `peer` inside, for so long at most (None: for ever); failures as inside `translated`.

    Raises:
        UnavailableError: the time is over.
    """
    try:
        with translated(peer):
            async with asyncio.timeout(timeout_s):
                yield
    except TimeoutError:
        raise UnavailableError(f"{peer} did not answer in {timeout_s:.0f} s.") from None


class ErrorTranslator(grpc.aio.ServerInterceptor):
    """Lets the servicers of this project's packages raise errors; others (health, reflection) pass unseen."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the method's handler; called by gRPC for each call."""
        handler = await continuation(handler_call_details)
        own = str(handler_call_details.method).startswith(_OWN_SERVICES)
        return _wrapped(handler) if handler and own else handler


def _wrapped(handler: Any) -> Any:
    serializers = {
        "request_deserializer": handler.request_deserializer,
        "response_serializer": handler.response_serializer,
    }
    match (handler.request_streaming, handler.response_streaming):
        case (False, False):
            return grpc.unary_unary_rpc_method_handler(_single(handler.unary_unary), **serializers)
        case (True, False):
            return grpc.stream_unary_rpc_method_handler(_single(handler.stream_unary), **serializers)
        case (False, True):
            return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream), **serializers)
        case _:
            return grpc.stream_stream_rpc_method_handler(_stream(handler.stream_stream), **serializers)


def _single(behaviour: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await behaviour(request, context)
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes a status
            await _abort(context, error)

    return call


def _stream(behaviour: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncGenerator[Any, None]:
        try:
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    yield response
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes a status
            await _abort(context, error)

    return call


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, TritonTubeError):
        log.error("a gRPC call failed", exc_info=error)
        await context.abort(StatusCode.INTERNAL, UNEXPECTED)
    trailer = ((EPOCH_METADATA, str(error.epoch)),) if isinstance(error, StaleRingError) else ()
    await context.abort(status_of(error), str(error)[:MAX_DETAILS], trailer)


def _epoch_in(failure: grpc.aio.AioRpcError) -> int | None:
    for key, value in failure.trailing_metadata() or ():
        if key == EPOCH_METADATA and str(value).isdecimal():
            return int(value)
    return None
