"""Reading copies to their last byte, to know whether they are still what was stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from services.shared.errors import CorruptFileError, NotFoundError
from services.storage.disk.objectfile import BLOCK_BYTES, ObjectFile, ObjectInfo
from services.storage.disk.store import Store
from services.storage.threads import Threads

if TYPE_CHECKING:
    from hashlib import _Hash

_AT_ONCE: Final = 2
"""Copies that are read at the same time for those who ask: clients' reads come first."""


class Meter(Protocol):
    """What inspections are held down by."""

    async def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may be read."""


@dataclass(kw_only=True)
class Findings:
    """What came of inspecting copies; keys without a copy are in neither list."""

    sound: list[ObjectInfo] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Inspector:
    """Checks the copies of one node. A damaged one is set aside at once."""

    def __init__(self, store: Store, threads: Threads) -> None:
        self._store = store
        self._threads = threads
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def verify(self, keys: Sequence[str], *, epoch: int) -> Findings:
        """Inspect copies, and say of the sound ones what is true at `epoch` (0: at some moment of the call).

        Raises:
            StaleRingError: `epoch` is, or has become, older than the node's.
            UnavailableError: the node can't vouch for anything at `epoch` now.
        """
        if epoch:
            self._store.fence.check(epoch=epoch)
        findings = await self._inspect_all(keys)
        held = await self._threads.run(self._store.durable, [info.key for info in findings.sound])
        if epoch:
            held = await self._threads.run(self._store.confirmed, held, epoch=epoch)
        findings.sound = held
        return findings

    async def inspect(self, key: str, meter: Meter | None = None) -> ObjectInfo:
        """Read one copy, from the disk and not from memory, as fast as `meter` allows.

        Raises:
            NotFoundError: this node has none.
            CorruptFileError: it was damaged, or gone from the disk; it has been set aside.
        """
        async with self._threads.holding(self._store.examine, key) as file:
            try:
                await self._read(file, meter)
            except CorruptFileError:
                await self._threads.run(self._store.set_aside, key, file)
                raise
            return file.info

    async def _inspect_all(self, keys: Sequence[str]) -> Findings:
        findings = Findings()
        for key in keys:
            try:
                async with self._slots:
                    findings.sound.append(await self.inspect(key))
            except CorruptFileError:
                findings.damaged.append(key)
            except NotFoundError:
                continue
        return findings

    async def _read(self, file: ObjectFile, meter: Meter | None) -> None:
        digest = hashlib.sha256()
        await self._threads.run(file.uncache)
        for offset in range(0, file.info.size_bytes, BLOCK_BYTES):
            if meter:
                await meter.take(min(BLOCK_BYTES, file.info.size_bytes - offset))
            await self._threads.run(_add_block, digest, file, offset)
        if digest.digest() != file.info.sha256:
            raise CorruptFileError(f"{file.info.key} does not match its SHA-256.")


def _add_block(digest: _Hash, file: ObjectFile, offset: int) -> None:
    digest.update(file.read(offset, BLOCK_BYTES))
