"""Asks storage nodes how they are, many at once, none for longer than a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import grpc

from services.shared.errors import TritonTubeError
from services.shared.rpc import CHANNEL_OPTIONS, translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc

_TIMEOUT_S: Final = 2.0
_AT_ONCE: Final = 16


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of asking a node: its description, or the sentence that says why there is none."""

    description: storage_pb2.DescribeResponse | None = None
    problem: str = ""


async def take_census(addresses: Mapping[str, str]) -> dict[str, Answer]:
    """Ask the nodes at `addresses` (by node id) to describe themselves."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(node: str, address: str) -> Answer:
        async with slots:
            return await _answer(node, address)

    answers = await asyncio.gather(*(ask(node, address) for node, address in addresses.items()))
    return dict(zip(addresses, answers, strict=True))


async def describe(address: str) -> storage_pb2.DescribeResponse:
    """Ask whoever is at `address` to describe itself.

    Raises:
        TritonTubeError: nobody there answers in 2 seconds, or not as a storage node does.
    """
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        with translated(address):
            stub = storage_pb2_grpc.StorageServiceStub(channel)
            return await stub.Describe(storage_pb2.DescribeRequest(), timeout=_TIMEOUT_S)


async def _answer(node: str, address: str) -> Answer:
    try:
        found = await describe(address)
    except TritonTubeError as error:
        return Answer(problem=str(error))
    if found.node_id != node:
        return Answer(problem=f"{address} is now node {found.node_id or 'of no id'}.")
    return Answer(description=found)
