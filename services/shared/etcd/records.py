"""What etcd gives back, as frozen records: nothing outside this package sees a protobuf message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from services.shared.etcd.ranges import decode_key
from services.shared.stubs.etcd import kv_pb2, rpc_pb2


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyValue:
    """One key and its value, as of one revision of the store."""

    key: str
    value: bytes
    create_revision: int
    """Store revision at which the key last came into being."""
    mod_revision: int
    """Store revision of the last change: what `unchanged` compares."""
    version: int
    """Changes since creation, 1 for a fresh key."""
    lease_id: int = 0
    """The lease that the key lives by, 0 for none."""

    @classmethod
    def from_wire(cls, message: kv_pb2.KeyValue) -> KeyValue:
        """Convert etcd's message."""
        return cls(
            key=decode_key(message.key),
            value=message.value,
            create_revision=message.create_revision,
            mod_revision=message.mod_revision,
            version=message.version,
            lease_id=message.lease,
        )


class EventKind(Enum):
    """What happened to a key."""

    PUT = "put"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchEvent:
    """One change of one key. All changes of one transaction carry the same `kv.mod_revision`."""

    kind: EventKind
    kv: KeyValue
    """The new record; for DELETE only its key and `mod_revision` (of the deletion) mean something."""
    prev: KeyValue | None = None
    """The record before the change: only when asked for, and not yet compacted."""

    @classmethod
    def from_wire(cls, message: kv_pb2.Event) -> WatchEvent:
        """Convert etcd's message."""
        return cls(
            kind=EventKind.DELETE if message.type == kv_pb2.Event.DELETE else EventKind.PUT,
            kv=KeyValue.from_wire(message.kv),
            prev=KeyValue.from_wire(message.prev_kv) if message.HasField("prev_kv") else None,
        )


class Snapshot(NamedTuple):
    """All keys below a prefix at one revision of the store; watch from `revision + 1` to keep it current."""

    kvs: tuple[KeyValue, ...]
    """In the order of their keys."""
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What was written below a prefix since some revision. Keys that were deleted only show in `total`."""

    kvs: tuple[KeyValue, ...]
    total: int
    """How many keys there are now, those that did not change included."""
    revision: int
    """Of the store, when it answered."""
    too_many: bool
    """There are more than were asked for; `kvs` is of no use then."""

    @classmethod
    def from_wire(cls, message: rpc_pb2.RangeResponse) -> Changes:
        """Convert etcd's message."""
        return cls(
            kvs=tuple(map(KeyValue.from_wire, message.kvs)),
            total=message.count,
            revision=message.header.revision,
            too_many=message.more,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One member of the cluster, as the cluster knows it."""

    id: int
    name: str
    """Empty while the member has never started."""
    client_urls: tuple[str, ...]
    is_learner: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointStatus:
    """How the member behind one endpoint is doing; without `problem`, it answered."""

    endpoint: str
    problem: str | None = None
    """Why there was no answer, as a sentence. The fields below are then zero or empty."""
    member_id: int = 0
    leader_id: int = 0
    """The member that this one takes for the leader, 0 when it knows none."""
    version: str = ""
    raft_term: int = 0
    revision: int = 0
    """Store revision that this member has reached."""
    db_size_bytes: int = 0
    db_used_bytes: int = 0
    alarms: tuple[str, ...] = ()
    """What the member itself complains about, e.g. a full database."""
