"""One way in which the broker fails, for everybody else: `UnavailableError`, and soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aio_pika.exceptions import ChannelInvalidStateError, ChannelPreconditionFailed

from services.shared.errors import ConflictError, TritonTubeError, UnavailableError

RPC_TIMEOUT_S: Final = 10.0
"""For a few frames to the broker and back. A quorum queue without a leader takes up to 5 s."""


@asynccontextmanager
async def rpc(doing: str, *, timeout_s: float = RPC_TIMEOUT_S) -> AsyncIterator[None]:
    """`translated`, and within a time; what fails lets everything else run before it says so.

    A call on a dying connection may fail without ever waiting. Whoever tried again at once would then keep
    the client from noticing that the connection is gone, and everything else in the process from running.

    The client's own `timeout` arguments are not to be used: they end in `asyncio.wait_for`, which up to
    Python 3.11 loses a cancellation that comes at the same moment as the broker's answer.
    """
    try:
        with translated(doing):
            async with asyncio.timeout(timeout_s):
                yield
    except UnavailableError:
        await asyncio.sleep(0)
        raise


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever the client raises in the body into our errors; `doing` begins the sentence.

    The client fails pending calls of a closing connection with any exception, bare `Exception` and
    `CancelledError` among them. A cancellation that nobody asked this task for is therefore a lost
    connection, and must not unwind our callers as if they were being stopped.

    It also loses cancellations that were asked for, when an answer or a failure comes at the same moment. One
    that came meanwhile is therefore raised here, whatever else happened.

    Raises:
        ConflictError: a queue or exchange exists with other properties.
        UnavailableError: everything else.
    """
    task = asyncio.current_task()
    asked_before = task.cancelling() if task else 0
    try:
        with _as_ours(doing):
            yield
    except TritonTubeError as error:
        if task and task.cancelling() > asked_before:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > asked_before:
        raise asyncio.CancelledError


@contextmanager
def _as_ours(doing: str) -> Iterator[None]:
    try:
        yield
    except TritonTubeError:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise UnavailableError(f"{doing}: the connection to the broker was lost.") from error
    except ChannelPreconditionFailed as error:
        raise ConflictError(
            f"{doing}: {error}. A queue or exchange of that name was made by something else or by another "
            "version; delete it in the broker once it is empty, or use another virtual host."
        ) from error
    except ChannelInvalidStateError as error:  # its own words are the channel's address in memory
        raise UnavailableError(f"{doing}: the channel to the broker was lost.") from error
    except TimeoutError as error:
        raise UnavailableError(f"{doing}: no answer from the broker in time.") from error
    except Exception as error:
        raise UnavailableError(f"{doing}: {error or type(error).__name__}") from error
