"""Reading and writing keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from services.shared.errors import InvalidRequestError
from services.shared.etcd.calls import Caller, unary
from services.shared.etcd.failures import CompactedError
from services.shared.etcd.ranges import after, encode_key, prefix_range
from services.shared.etcd.records import Changes, KeyValue, Snapshot
from services.shared.etcd.transactions import Compare, Op, TxnResult, txn_request
from services.shared.stubs.etcd import rpc_pb2


class KeyValueCalls:
    """The store's reads and writes. Reads are linearizable unless asked otherwise.

    Gets, puts and deletes are sent again until answered. A write that was cut off may be done all the same,
    and even later: a member that was frozen does its part when it thaws, after newer writes of the same key.
    So blind puts are for keys whose value never changes, or that live by a lease; everything else is a
    transaction that compares (`txn` with `unchanged`), which finds the key changed and does nothing. A delete
    that was repeated does not count what its first, unanswered try took.

    Every call raises `UnavailableError` when no member answers within the client's deadline, and
    `RequestError` when etcd refuses the request itself (too large, not permitted).
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self, key: str, *, serializable: bool = False) -> KeyValue | None:
        """Return a key's record, or None when there is none.

        Args:
            key: which.
            serializable: take the answer of one member without asking the others. It may be old, but it comes
                even while the cluster has no majority.
        """
        request = rpc_pb2.RangeRequest(key=encode_key(key), serializable=serializable)
        answer = await self._range(request)
        return KeyValue.from_wire(answer.kvs[0]) if answer.kvs else None

    async def range(
        self,
        prefix: str,
        *,
        start_after: str | None = None,
        page_size: int = 500,
        serializable: bool = False,
    ) -> AsyncGenerator[KeyValue, None]:
        """Yield all keys that begin with `prefix`, in order, as of one revision: the one at the first page.

        Args:
            prefix: which keys.
            start_after: leave out the keys up to this one, which need not exist.
            page_size: keys per request.
            serializable: as for `get`.

        Raises:
            CompactedError: the revision was compacted between two pages: begin anew.
        """
        pages = self._pages(prefix, page_size, start_after=start_after, serializable=serializable)
        async for page in pages:
            for kv in page.kvs:
                yield KeyValue.from_wire(kv)

    @retry(retry=retry_if_exception_type(CompactedError), stop=stop_after_attempt(3), reraise=True)
    async def range_snapshot(self, prefix: str) -> Snapshot:
        """Return all keys that begin with `prefix` at one revision, and that revision."""
        pages = [page async for page in self._pages(prefix, page_size=500, serializable=False)]
        kvs = tuple(KeyValue.from_wire(kv) for page in pages for kv in page.kvs)
        return Snapshot(kvs=kvs, revision=pages[0].header.revision)

    async def changes(self, prefix: str, *, since: int, limit: int = 500) -> Changes:
        """Return the keys that begin with `prefix` and were written at revision `since` or later.

        Args:
            prefix: which keys.
            since: what was written before is counted, and left out.
            limit: give up on more than so many; see `Changes.too_many`.
        """
        key, range_end = prefix_range(prefix)
        request = rpc_pb2.RangeRequest(key=key, range_end=range_end, min_mod_revision=since, limit=limit)
        return Changes.from_wire(await self._range(request))

    async def put(self, key: str, value: bytes, *, lease_id: int = 0) -> int:
        """Write a key, tied to a lease when `lease_id` is given; return the revision of the change.

        Raises:
            NotFoundError: the lease is gone.
        """
        request = rpc_pb2.PutRequest(key=encode_key(key), value=value, lease=lease_id)
        answer = await self._caller.repeat(unary(lambda to: to.kv.Put, request))
        return answer.header.revision

    async def delete(self, key: str) -> bool:
        """Delete a key; say whether it was there."""
        return await self._delete(rpc_pb2.DeleteRangeRequest(key=encode_key(key))) > 0

    async def delete_prefix(self, prefix: str) -> int:
        """Delete all keys that begin with `prefix`; return how many.

        Raises:
            InvalidRequestError: the prefix is empty: nobody means to delete everything.
        """
        if not prefix:
            raise InvalidRequestError("etcd: the empty prefix would delete every key")
        key, range_end = prefix_range(prefix)
        return await self._delete(rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end))

    async def txn(
        self, compares: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> TxnResult:
        """Do `then` when every comparison holds, else `otherwise`: atomically, at one revision.

        A branch may hold 128 operations (etcd's default) and write a key only once. A transaction that was
        cut off is never sent again: it would meet its own effect.

        Raises:
            AmbiguousError: cut off; it may have been applied, or be applied yet. Read, then decide; what was
                compared guards against the latter.
        """
        request = txn_request(compares, then, otherwise)
        return TxnResult.from_wire(await self._caller.once(unary(lambda to: to.kv.Txn, request)))

    async def _pages(
        self, prefix: str, page_size: int, *, start_after: str | None = None, serializable: bool
    ) -> AsyncGenerator[rpc_pb2.RangeResponse, None]:
        key, range_end = prefix_range(prefix)
        if start_after is not None:
            key = max(key, after(encode_key(start_after)))
        request = rpc_pb2.RangeRequest(
            key=key, range_end=range_end, limit=page_size, serializable=serializable
        )
        while True:
            page = await self._range(request)
            yield page
            if not page.more:
                return
            request.key = after(page.kvs[-1].key)
            # Later pages are read at the first one's revision: changes in between must not tear the listing.
            request.revision = request.revision or page.header.revision

    async def _range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        send = unary(lambda to: to.kv.Range, request)
        return await self._caller.repeat(send, needs_leader=not request.serializable)

    async def _delete(self, request: rpc_pb2.DeleteRangeRequest) -> int:
        answer = await self._caller.repeat(unary(lambda to: to.kv.DeleteRange, request))
        return answer.deleted
