"""Sending a file to one node, over a bulk connection where there is one, over gRPC where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import NamedTuple

from services.shared.bulk.call import Call, StaleConnectionError
from services.shared.content.channels import Channels
from services.shared.errors import UnavailableError
from services.shared.rpc import bounded
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2, storage_pb2


class Step(NamedTuple):
    """What travels together: the header with the first data, the commit with the last."""

    header: storage_pb2.PutHeader | None
    chunk: bytes
    commit: storage_pb2.PutCommit | None


class Patience(NamedTuple):
    """How long a node is waited for, in seconds; None: for ever."""

    step_s: float | None
    """To take a step."""
    commit_s: float | None
    """To make the file durable after its last step."""


FOREVER = Patience(None, None)

Steps = Callable[[], AsyncGenerator[Step, None]]
"""The file from its beginning; called again where it has to be sent again."""


async def steps(
    header: storage_pb2.PutHeader,
    chunks: AsyncIterable[bytes],
    commit: Callable[[], storage_pb2.PutCommit],
) -> AsyncGenerator[Step, None]:
    """Header, data and commit in as few steps as possible: each wakes up somebody at both ends.

    So a chunk is held back until it is known whether it is the last one. `commit` is asked for after that.
    """
    opening: storage_pb2.PutHeader | None = header
    held = b""
    async for chunk in chunks:
        if held:
            yield Step(opening, held, None)
            opening = None
        held = chunk
    yield Step(opening, held, commit())


async def put(channels: Channels, node: str, file: Steps, *, patience: Patience) -> storage_pb2.FileInfo:
    """Send a file; return its facts once the node has it durably.

    Raises:
        StaleRingError: the node knows a newer ring than the header and the commit say.
        ConflictError: the key holds other content, or its video has been deleted.
        OutOfSpaceError: the node is full.
        UnavailableError: the node is away, too slow, or takes no writes.
        Exception: whatever the file raises.
    """
    while call := await channels.bulk(node):
        try:
            return await _over_bulk(call, node, file, patience)
        except StaleConnectionError:
            continue
    return await _over_grpc(channels, node, file, patience)


async def _over_bulk(call: Call, node: str, file: Steps, patience: Patience) -> storage_pb2.FileInfo:
    answering = asyncio.create_task(call.answer(), name=f"answer of {node}")
    try:
        async with aclosing(file()) as steps:
            async for step in steps:
                if not await _taken(call, node, step, answering, patience):
                    break
        async with bounded(node, patience.commit_s):
            return (await answering).message.info
    finally:
        call.close()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _taken(
    call: Call, node: str, step: Step, answering: asyncio.Task[object], patience: Patience
) -> bool:
    """Send a step. False: there is no use in sending more; the answer says why."""
    if answering.done():
        return False
    async with bounded(node, patience.step_s):
        try:
            await call.send(bulk_pb2.BulkRequest(node=node, put=step.header, commit=step.commit), step.chunk)
        except UnavailableError:
            return False
    return True


async def _over_grpc(channels: Channels, node: str, file: Steps, patience: Patience) -> storage_pb2.FileInfo:
    call = (await channels.stub(node)).Put()
    try:
        async with aclosing(file()) as steps:
            async for step in steps:
                if call.done():  # refused before the end; the answer below says why
                    break
                async with bounded(node, patience.step_s):
                    await call.write(
                        storage_pb2.PutRequest(header=step.header, chunk=step.chunk, commit=step.commit)
                    )
        async with bounded(node, patience.commit_s):
            await call.done_writing()
            return (await call).info
    finally:
        call.cancel()
