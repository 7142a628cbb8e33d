"""A prefix that somebody reads again and again: after the first time, only what has changed travels.

etcd leaves out of an answer what was written before a revision, but counts it. What it does not tell is which
keys are gone. It need not: what we remember, with the changes put in, holds every key that exists, so there
are as many as etcd counts if, and only if, none of them is gone. Otherwise everything is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.shared.etcd.keyvalues import KeyValueCalls
from services.shared.etcd.records import Changes

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _View(Generic[T]):
    values: Mapping[str, T] = field(default_factory=dict)
    """Decoded, by key."""
    revision: int = 0


class Mirror(Generic[T]):
    """The values below one prefix, each decoded once. `read` is as current as any other read of etcd."""

    def __init__(self, etcd: KeyValueCalls, prefix: str, *, decode: Callable[[bytes], T]) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._decode = decode
        self._view: _View[T] | None = None

    async def read(self) -> list[T]:
        """All values as of now, in the order of their keys.

        Raises:
            UnavailableError: etcd is away.
        """
        # Never changed in place: several may read at once, and whoever is last decides what is remembered.
        view = self._view
        if view is not None:
            changes = await self._etcd.changes(self._prefix, since=view.revision + 1)
            view = self._with(view, changes)
        self._view = view = view or await self._everything()
        return [view.values[key] for key in sorted(view.values)]

    def _with(self, view: _View[T], changes: Changes) -> _View[T] | None:
        """The view with changes put in; None if that does not give what is there."""
        changed = {} if changes.too_many else {kv.key: self._decode(kv.value) for kv in changes.kvs}
        values = {**view.values, **changed}
        whole = len(values) == changes.total and not changes.too_many
        return _View(values=values, revision=changes.revision) if whole else None

    async def _everything(self) -> _View[T]:
        snapshot = await self._etcd.range_snapshot(self._prefix)
        values = {kv.key: self._decode(kv.value) for kv in snapshot.kvs}
        return _View(values=values, revision=snapshot.revision)
