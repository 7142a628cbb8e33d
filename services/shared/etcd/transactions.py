"""Compare-and-swap in etcd's terms: what to compare, what to do, what came of it. Pure.

::

    await client.txn([unchanged(kv)], then=[put_op(kv.key, new)], otherwise=[get_op(kv.key)])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.shared.etcd.ranges import encode_key, prefix_range
from services.shared.etcd.records import KeyValue
from services.shared.stubs.etcd import rpc_pb2


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """The key exists, or does not."""

    key: str
    present: bool

    def to_wire(self) -> rpc_pb2.Compare:
        """Return etcd's message: a key that is not there has the creation revision 0."""
        return rpc_pb2.Compare(
            key=encode_key(self.key),
            target=rpc_pb2.Compare.CREATE,
            result=rpc_pb2.Compare.GREATER if self.present else rpc_pb2.Compare.EQUAL,
            create_revision=0,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionIs:
    """The key was last changed at this revision (0: it does not exist)."""

    key: str
    mod_revision: int

    def to_wire(self) -> rpc_pb2.Compare:
        """Return etcd's message."""
        return rpc_pb2.Compare(
            key=encode_key(self.key),
            target=rpc_pb2.Compare.MOD,
            result=rpc_pb2.Compare.EQUAL,
            mod_revision=self.mod_revision,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueIs:
    """The key exists and holds exactly these bytes."""

    key: str
    value: bytes

    def to_wire(self) -> rpc_pb2.Compare:
        """Return etcd's message."""
        return rpc_pb2.Compare(
            key=encode_key(self.key),
            target=rpc_pb2.Compare.VALUE,
            result=rpc_pb2.Compare.EQUAL,
            value=self.value,
        )


Compare = Presence | RevisionIs | ValueIs


def absent(key: str) -> Compare:
    """Hold when the key does not exist."""
    return Presence(key=key, present=False)


def exists(key: str) -> Compare:
    """Hold when the key exists."""
    return Presence(key=key, present=True)


def unchanged(kv: KeyValue) -> Compare:
    """Hold when nobody has written or deleted the key since `kv` was read."""
    return RevisionIs(key=kv.key, mod_revision=kv.mod_revision)


def mod_revision_is(key: str, mod_revision: int) -> Compare:
    """Hold when the key was last changed at this revision; 0 means that it does not exist."""
    return RevisionIs(key=key, mod_revision=mod_revision)


def value_is(key: str, value: bytes) -> Compare:
    """Hold when the key exists with exactly this value."""
    return ValueIs(key=key, value=value)


@dataclass(frozen=True, kw_only=True, slots=True)
class PutOp:
    """Write a key. Its response is None; the transaction's revision is its `mod_revision`."""

    key: str
    value: bytes
    lease_id: int = 0

    def to_wire(self) -> rpc_pb2.RequestOp:
        """Return etcd's message."""
        put = rpc_pb2.PutRequest(key=encode_key(self.key), value=self.value, lease=self.lease_id)
        return rpc_pb2.RequestOp(request_put=put)


@dataclass(frozen=True, kw_only=True, slots=True)
class GetOp:
    """Read a key. Its response is the record, or None when there is none."""

    key: str

    def to_wire(self) -> rpc_pb2.RequestOp:
        """Return etcd's message."""
        return rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=encode_key(self.key)))


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteOp:
    """Delete a key, or all keys below a prefix. Its response is the number of keys that went."""

    key: str
    is_prefix: bool = False

    def to_wire(self) -> rpc_pb2.RequestOp:
        """Return etcd's message."""
        key, range_end = prefix_range(self.key) if self.is_prefix else (encode_key(self.key), b"")
        delete = rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end)
        return rpc_pb2.RequestOp(request_delete_range=delete)


Op = PutOp | GetOp | DeleteOp


def put_op(key: str, value: bytes, *, lease_id: int = 0) -> PutOp:
    """Write a key, tied to a lease when `lease_id` is given."""
    return PutOp(key=key, value=value, lease_id=lease_id)


def get_op(key: str) -> GetOp:
    """Read a key."""
    return GetOp(key=key)


def delete_op(key: str) -> DeleteOp:
    """Delete a key."""
    return DeleteOp(key=key)


def delete_prefix_op(prefix: str) -> DeleteOp:
    """Delete all keys that begin with `prefix`."""
    return DeleteOp(key=prefix, is_prefix=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class TxnResult:
    """What a transaction did."""

    succeeded: bool
    """Whether the comparisons held, so that `then` ran; else `otherwise` did."""
    revision: int
    """Store revision after the transaction; the `mod_revision` of what it wrote."""
    responses: tuple[KeyValue | int | None, ...]
    """One per operation that ran, in order: see the operations for what each gives."""

    def kv(self, index: int) -> KeyValue | None:
        """Return what the get at `index` of the operations that ran found."""
        response = self.responses[index]
        if isinstance(response, int):
            raise TypeError(f"operation {index} was a delete, not a get")
        return response

    def deleted(self, index: int) -> int:
        """Return how many keys the delete at `index` of the operations that ran took."""
        response = self.responses[index]
        if not isinstance(response, int):
            raise TypeError(f"operation {index} was not a delete")
        return response

    @classmethod
    def from_wire(cls, message: rpc_pb2.TxnResponse) -> TxnResult:
        """Convert etcd's message."""
        return cls(
            succeeded=message.succeeded,
            revision=message.header.revision,
            responses=tuple(_response(response) for response in message.responses),
        )


def txn_request(
    compares: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op]
) -> rpc_pb2.TxnRequest:
    """Return etcd's message for a transaction."""
    return rpc_pb2.TxnRequest(
        compare=[compare.to_wire() for compare in compares],
        success=[op.to_wire() for op in then],
        failure=[op.to_wire() for op in otherwise],
    )


def _response(message: rpc_pb2.ResponseOp) -> KeyValue | int | None:
    if message.HasField("response_delete_range"):
        return message.response_delete_range.deleted
    if message.HasField("response_range") and message.response_range.kvs:
        return KeyValue.from_wire(message.response_range.kvs[0])
    return None
