"""etcd v3, as the services use it: a thin asynchronous client that goes on through the loss of members.

::

    async with EtcdClient.connect(["10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"]) as etcd:
        kv = await etcd.get("videos/abc")
        done = await etcd.txn([unchanged(kv)], then=[put_op(kv.key, b"new")])

Keys are text, values are bytes. Errors are those of `services.shared.errors`, and `CompactedError`.
"""

from services.shared.etcd.client import EtcdClient
from services.shared.etcd.endpoints import TlsFiles
from services.shared.etcd.failures import CompactedError
from services.shared.etcd.leases import Lease
from services.shared.etcd.mirror import Mirror
from services.shared.etcd.records import EndpointStatus, EventKind, KeyValue, Member, Snapshot, WatchEvent
from services.shared.etcd.transactions import (
    Compare,
    Op,
    TxnResult,
    absent,
    delete_op,
    delete_prefix_op,
    exists,
    get_op,
    mod_revision_is,
    put_op,
    unchanged,
    value_is,
)

__all__ = [
    "CompactedError",
    "Compare",
    "EndpointStatus",
    "EtcdClient",
    "EventKind",
    "KeyValue",
    "Lease",
    "Member",
    "Mirror",
    "Op",
    "Snapshot",
    "TlsFiles",
    "TxnResult",
    "WatchEvent",
    "absent",
    "delete_op",
    "delete_prefix_op",
    "exists",
    "get_op",
    "mod_revision_is",
    "put_op",
    "unchanged",
    "value_is",
]
