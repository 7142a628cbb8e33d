"""The node's gRPC face: validates requests and moves bytes between the network and the store."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from services.shared.errors import InvalidRequestError, TritonTubeError, UnavailableError
from services.shared.ring.placement import PARTITIONS, check_key
from services.shared.ring.state import NodeLive
from services.shared.rpc import MAX_FILE_BYTES
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc
from services.shared.video import check_video_id
from services.storage.disk.datafolder import DataFolder
from services.storage.disk.objectfile import ObjectInfo
from services.storage.epochs import EpochSource
from services.storage.handoff.offers import MAX_OFFERED, Offers
from services.storage.handoff.summaries import Summary
from services.storage.intake import Arrival, Intake
from services.storage.outlet import Outlet
from services.storage.threads import Threads
from services.storage.upkeep.inspection import Inspector
from services.storage.upkeep.mend import Mender
from services.storage.wire import from_wire, to_wire

MAX_KEYS: Final = 1000
"""Most keys in one question."""

_IDLE_TIMEOUT_S: Final = 120.0
_SHA256_BYTES: Final = 32

_Requests = AsyncIterator[storage_pb2.PutRequest]


class StorageServicer(storage_pb2_grpc.StorageServiceServicer):
    """One node's answers. Raises the project's errors; the server's interceptor makes a status of them."""

    def __init__(
        self,
        *,
        folder: DataFolder,
        live: NodeLive,
        epochs: EpochSource,
        intake: Intake,
        outlet: Outlet,
        threads: Threads,
        inspector: Inspector,
        mender: Mender,
        offers: Offers,
    ) -> None:
        self._folder = folder
        self._store = folder.store
        self._live = live
        self._epochs = epochs
        self._intake = intake
        self._outlet = outlet
        self._threads = threads
        self._inspector = inspector
        self._mender = mender
        self._offers = offers

    # ---- writing ----

    async def Put(self, request_iterator: Any, _: Any) -> storage_pb2.PutResponse:  # noqa: N802
        """Store one file."""
        async with self._intake.room:
            requests = _timely(aiter(request_iterator))
            try:
                first = await _opening(requests)
                return await self._intake.take(first.header, _arrivals(first, requests))
            except TritonTubeError:
                await _drain(requests)
                raise

    async def Delete(self, request: storage_pb2.DeleteRequest, _: Any) -> storage_pb2.DeleteResponse:  # noqa: N802
        """Remove this node's copy of a file."""
        key = check_key(request.key)
        await self._epochs.catch_up(request.epoch)
        deleted = await self._threads.run(self._store.remove, key, epoch=request.epoch)
        return storage_pb2.DeleteResponse(deleted=deleted)

    # ---- reading ----

    async def Get(  # noqa: N802
        self, request: storage_pb2.GetRequest, _: Any
    ) -> AsyncGenerator[storage_pb2.GetResponse, None]:
        """Stream a range of a file."""
        told = False
        async with aclosing(self._outlet.portions(request)) as portions:
            async for info, block, _last in portions:
                # A small file is known to be sound before a word is said about it.
                facts = None if told else to_wire(info)
                if facts and not (request.joined and block):
                    yield storage_pb2.GetResponse(info=facts)
                    facts = None
                told = True
                if block:
                    yield storage_pb2.GetResponse(info=facts, chunk=block)

    async def Has(self, request: storage_pb2.HasRequest, _: Any) -> storage_pb2.HasResponse:  # noqa: N802
        """Tell which keys are held durably."""
        self._outlet.check_serving()
        held = await self._threads.run(self._store.durable, _checked(request.keys))
        return storage_pb2.HasResponse(files=map(to_wire, held), epoch=self._store.fence.epoch)

    async def Verify(self, request: storage_pb2.VerifyRequest, _: Any) -> storage_pb2.VerifyResponse:  # noqa: N802
        """Read every byte of some copies, and vouch for the sound ones at the caller's epoch."""
        keys = _checked(request.keys)
        await self._epochs.catch_up(request.epoch)
        found = await self._inspector.verify(keys, epoch=request.epoch)
        return storage_pb2.VerifyResponse(
            sound=map(to_wire, found.sound),
            damaged=found.damaged,
            epoch=request.epoch or self._store.fence.epoch,
        )

    async def Mend(self, request: storage_pb2.MendRequest, _: Any) -> storage_pb2.MendResponse:  # noqa: N802
        """See to some files now."""
        done = await self._mender.mend(_checked(request.keys))
        return storage_pb2.MendResponse(mended=done.files, problems=done.problems)

    async def List(  # noqa: N802
        self, request: storage_pb2.ListRequest, _: Any
    ) -> AsyncGenerator[storage_pb2.ListResponse, None]:
        """Stream what is held."""
        self._outlet.check_serving()
        page_after = self._lister(request)
        self._store.check_complete()
        after = ""
        while page := await self._threads.run(page_after, after=after):
            yield storage_pb2.ListResponse(files=map(to_wire, page))
            after = page[-1].key

    def _lister(self, request: storage_pb2.ListRequest) -> Callable[..., Sequence[ObjectInfo]]:
        index = self._store.index
        match request.WhichOneof("scope"):
            case "video_id":
                return partial(index.of_video, check_video_id(request.video_id))
            case "partition" if request.partition < PARTITIONS:
                return partial(index.of_partition, request.partition)
            case "everything" if request.everything:
                return index.everything
            case _:
                raise InvalidRequestError(f"Ask for a video, a partition below {PARTITIONS}, or everything.")

    # ---- comparing with other nodes ----

    async def Offer(self, request: storage_pb2.OfferRequest, _: Any) -> storage_pb2.OfferResponse:  # noqa: N802
        """Tell which of another node's files are held here, and which it should send."""
        if len(request.files) > MAX_OFFERED:
            raise InvalidRequestError(f"At most {MAX_OFFERED} files can be offered at once.")
        offered = [_checked_offer(from_wire(file)) for file in request.files]
        answers = await self._offers.answer(offered, node=request.node_id, epoch=request.epoch)
        return storage_pb2.OfferResponse(answers=(answer.value for answer in answers), epoch=request.epoch)

    async def Summarize(  # noqa: N802
        self, request: storage_pb2.SummarizeRequest, _: Any
    ) -> storage_pb2.SummarizeResponse:
        """Tell what is held, partition by partition."""
        if any(partition >= PARTITIONS for partition in request.partitions):
            raise InvalidRequestError(f"Partitions are numbered below {PARTITIONS}.")
        found = await self._offers.summaries(sorted(set(request.partitions)), epoch=request.epoch)
        return storage_pb2.SummarizeResponse(
            partitions=itertools.starmap(_summary, found.items()),
            epoch=request.epoch or self._store.fence.epoch,
        )

    # ---- about the node ----

    async def Describe(  # noqa: N802
        self, _request: storage_pb2.DescribeRequest, _: Any
    ) -> storage_pb2.DescribeResponse:
        """Say who the node is and how it is."""
        identity, totals, space = self._folder.identity, self._store.index.totals, self._folder.space
        return storage_pb2.DescribeResponse(
            node_id=identity.node_id,
            disk_id=identity.disk_id,
            cluster_id=identity.cluster_id,
            address=self._live.address,
            zone=self._live.zone,
            epoch=self._store.fence.epoch,
            files=totals.files,
            stored_bytes=totals.size_bytes,
            free_bytes=space.free_bytes(),
            capacity_bytes=space.capacity_bytes(),
            read_only_reason=self._why_read_only(),
        )

    def _why_read_only(self) -> str:
        reason = self._folder.why_read_only
        if self._epochs.removed and not self._store.index.totals.files:
            return f"{reason} It holds nothing: it may be switched off."
        return reason


def _checked(keys: Sequence[str]) -> list[str]:
    if len(keys) > MAX_KEYS:
        raise InvalidRequestError(f"At most {MAX_KEYS} keys can be asked for at once.")
    return [check_key(key) for key in keys]


def _checked_offer(info: ObjectInfo) -> ObjectInfo:
    check_key(info.key)
    if len(info.sha256) != _SHA256_BYTES or info.size_bytes > MAX_FILE_BYTES:
        raise InvalidRequestError("A file is offered with its size and its SHA-256.")
    return info


def _summary(partition: int, summary: Summary) -> storage_pb2.PartitionSummary:
    return storage_pb2.PartitionSummary(
        partition=partition,
        files=summary.files,
        stored_bytes=summary.size_bytes,
        digest=summary.digest,
    )


async def _opening(requests: _Requests) -> storage_pb2.PutRequest:
    first = await anext(requests, None)
    if first is None or not first.HasField("header"):
        raise InvalidRequestError("A stream begins with its header.")
    return first


async def _arrivals(first: storage_pb2.PutRequest, requests: _Requests) -> AsyncGenerator[Arrival, None]:
    yield _arrival(first)
    async for request in requests:
        if request.HasField("header"):
            raise InvalidRequestError("After the header come data, then the commit.")
        yield _arrival(request)


def _arrival(request: storage_pb2.PutRequest) -> Arrival:
    return Arrival(request.chunk, request.commit if request.HasField("commit") else None)


async def _drain(requests: _Requests) -> None:
    """Read what a refused sender still sends.

    A client of grpc.aio that is interrupted while it writes is told of an internal error, not of the reason.
    """
    drained_bytes = 0
    async for request in requests:
        drained_bytes += len(request.chunk)
        if drained_bytes > MAX_FILE_BYTES:
            return


async def _timely(requests: _Requests) -> AsyncGenerator[storage_pb2.PutRequest, None]:
    """The requests as they come. A sender that falls silent is given up: it holds memory here."""
    while True:
        try:
            async with asyncio.timeout(_IDLE_TIMEOUT_S):
                request = await anext(requests, None)
        except TimeoutError:
            raise UnavailableError(f"Nothing arrived for {_IDLE_TIMEOUT_S:.0f} s.") from None
        if request is None:
            return
        yield request
