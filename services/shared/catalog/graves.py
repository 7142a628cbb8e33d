"""When nothing is left of what a tombstone names: every node that was ever registered has said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.shared.catalog import keys
from services.shared.errors import ConflictError
from services.shared.etcd import Compare, EtcdClient, KeyValue, absent, delete_op, delete_prefix_op, unchanged
from services.shared.etcd import Op as EtcdOp
from services.shared.ring.state import STATE_KEY, RingState


@dataclass(frozen=True, kw_only=True)
class OpenedGrave:
    """What a transaction has to ask and do so that files may be stored again where a tombstone forbade it."""

    compares: Sequence[Compare]
    ops: Sequence[EtcdOp] = ()


async def missing_purges(etcd: EtcdClient, name: str, ring: KeyValue) -> set[str]:
    """The nodes that have not yet said that they hold nothing any more of what a tombstone names.

    Raises:
        UnavailableError: etcd is away.
    """
    prefix = keys.purged(name, "")
    purged = {kv.key.removeprefix(prefix) async for kv in etcd.range(prefix)}
    return RingState.model_validate_json(ring.value).nodes.keys() - purged


async def opened_grave(etcd: EtcdClient, name: str) -> OpenedGrave:
    """Look whether files may be stored again under a name that was buried.

    Only for names whose files always have the same content: one that was under way when the tombstone was
    written may still arrive.

    Raises:
        ConflictError: nodes still have some of the old ones.
        UnavailableError: etcd is away.
    """
    tombstone, ring = await etcd.get(keys.tombstone(name)), await etcd.get(STATE_KEY)
    if tombstone is None or ring is None:
        return OpenedGrave(compares=[absent(keys.tombstone(name))])
    if missing := await missing_purges(etcd, name, ring):
        raise ConflictError(f"{', '.join(sorted(missing))} still has what was made before: try again later.")
    return OpenedGrave(
        compares=[unchanged(tombstone), unchanged(ring)],
        ops=[delete_op(tombstone.key), delete_prefix_op(keys.purged(name, ""))],
    )
