"""Asks storage nodes how much they hold of each partition."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import grpc

from services.shared.errors import TritonTubeError
from services.shared.rpc import CHANNEL_OPTIONS, translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc

_TIMEOUT_S: Final = 6.0
_AT_ONCE: Final = 16


class Amount(NamedTuple):
    """So many files of so many bytes."""

    files: int = 0
    size_bytes: int = 0

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.files + other.files, self.size_bytes + other.size_bytes)

    def without(self, other: Amount) -> Amount:
        """What is left of it, never less than nothing."""
        return Amount(max(0, self.files - other.files), max(0, self.size_bytes - other.size_bytes))


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What the nodes that answered hold."""

    held: Mapping[str, Mapping[int, Amount]] = field(default_factory=dict)
    """By node and partition; without those partitions of which a node holds nothing."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Why a node did not answer, a sentence each."""

    def of(self, node: str, partition: int) -> Amount:
        """What a node holds of a partition; nothing where it did not answer."""
        return self.held.get(node, {}).get(partition, Amount())

    def whole(self, partition: int) -> Amount:
        """What there is of a partition: its fullest copy."""
        return max((held.get(partition, Amount()) for held in self.held.values()), default=Amount())


async def take_inventory(addresses: Mapping[str, str]) -> Inventory:
    """Ask the nodes at `addresses` (by node id)."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(address: str) -> dict[int, Amount] | str:
        async with slots:
            return await _held(address)

    answers = await asyncio.gather(*(ask(address) for address in addresses.values()))
    pairs = list(zip(addresses, answers, strict=True))
    return Inventory(
        held={node: answer for node, answer in pairs if not isinstance(answer, str)},
        problems={node: answer for node, answer in pairs if isinstance(answer, str)},
    )


async def _held(address: str) -> dict[int, Amount] | str:
    """What the node at `address` holds by partition, or the sentence that says why it is not known."""
    try:
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            with translated(address):
                stub = storage_pb2_grpc.StorageServiceStub(channel)
                answer = await stub.Summarize(storage_pb2.SummarizeRequest(), timeout=_TIMEOUT_S)
    except TritonTubeError as error:
        return str(error)
    return _amounts(answer.partitions)


def _amounts(summaries: Iterable[storage_pb2.PartitionSummary]) -> dict[int, Amount]:
    return {summary.partition: Amount(summary.files, summary.stored_bytes) for summary in summaries}
