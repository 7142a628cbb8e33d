"""One attempt to store a file under one view of the ring."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from services.shared.content.files import StoredFile
from services.shared.content.part import Part
from services.shared.errors import (
    OutOfSpaceError,
    RequestError,
    StaleRingError,
    TritonTubeError,
    UnavailableError,
)
from services.shared.ring.view import RingView

log = logging.getLogger(__name__)

_PATIENCE_S: Final = 2.0
_PATIENCE_BYTES_PER_S: Final = 8 << 20


class Puts(Protocol):
    """What sends a file to one node; see `Nodes.put`."""

    async def put(self, node: str, key: str, part: Part, *, epoch: int) -> StoredFile:
        """Return once the node has the file durably."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sending:
    node: str
    began: float


class Attempt:
    """Sends a file to its owners at the same time, and to stand-ins for those that are out of reach.

    An owner that failed, or has not answered when it should have, is replaced by the next handoff node where
    the file could not be acknowledged otherwise. A late one still counts if it makes it in the end.
    """

    def __init__(
        self, nodes: Puts, view: RingView, key: str, part: Part, *, patience_s: float = _PATIENCE_S
    ) -> None:
        self._nodes = nodes
        self._patience_s = patience_s
        self._view = view
        self._key = key
        self._part = part
        self._spare = list(view.handoff(key))
        self._sending: dict[asyncio.Task[StoredFile], _Sending] = {}
        self._late: set[str] = set()
        self._stored: dict[str, StoredFile] = {}
        self._failures: list[TritonTubeError] = []

    async def run(self) -> StoredFile:
        """Send until the file may be called stored.

        Raises:
            StaleRingError: the ring has changed: read it and try again.
            RequestError: a node refused the file for good.
            OutOfSpaceError: the nodes that could be reached are full.
            UnavailableError: not enough nodes took it.
        """
        try:
            self._send_to_owners()
            while not self._would_do(self._stored):
                self._send_to_stand_ins()
                await self._progress()
            await self._linger()
            return next(iter(self._stored.values()))
        finally:
            await self._stop()

    # ---- decisions ----

    def _would_do(self, nodes: Iterable[str]) -> bool:
        """Whether the file would count as stored if these nodes had it."""
        return self._view.acknowledged(self._key, set(nodes))

    def _hopeful(self) -> set[str]:
        """The nodes that have the file, or may be expected to have it soon."""
        return {*self._stored, *(self._in_flight() - self._late)}

    def _in_flight(self) -> set[str]:
        return {sending.node for sending in self._sending.values()}

    def _time_left_s(self, sending: _Sending) -> float:
        """How long until a node is late. As long as the source keeps us waiting, that is not its fault."""
        allowed_s = self._patience_s + self._part.size_bytes / _PATIENCE_BYTES_PER_S
        if self._part.completed_at is None:
            return allowed_s
        return max(sending.began, self._part.completed_at) + allowed_s - asyncio.get_running_loop().time()

    def _failure(self) -> TritonTubeError:
        """What came of an attempt that cannot succeed any more."""
        reasons = " ".join(dict.fromkeys(map(str, self._failures))) or "None of its nodes can be reached."
        full = self._failures and all(isinstance(error, OutOfSpaceError) for error in self._failures)
        kind = OutOfSpaceError if full else UnavailableError
        return kind(f"{self._key} could not be stored. {reasons}")

    # ---- actions ----

    def _send_to_owners(self) -> None:
        for node in self._view.write_sets(self._key).targets:
            self._send_to(node)
            if node not in self._view.up:
                self._late.add(node)

    def _send_to_stand_ins(self) -> None:
        """Replace as many nodes as it takes, if that can help at all."""
        while (
            self._spare
            and not self._would_do(hopeful := self._hopeful())
            and self._would_do(hopeful.union(self._spare))
        ):
            self._send_to(self._spare.pop(0))

    def _send_to(self, node: str) -> None:
        send = self._nodes.put(node, self._key, self._part, epoch=self._view.epoch)
        task = asyncio.create_task(send, name=f"put {self._key} to {node}")
        self._sending[task] = _Sending(node=node, began=asyncio.get_running_loop().time())

    async def _progress(self) -> None:
        """Wait until a node has answered or is late."""
        if not self._would_do({*self._stored, *self._in_flight(), *self._spare}):
            raise self._failure()
        awaited = [sending for sending in self._sending.values() if sending.node not in self._late]
        timeout_s = max(0.0, min(map(self._time_left_s, awaited))) if awaited else None
        done, _ = await asyncio.wait(self._sending, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            self._take_answer(task)
        self._late |= {sending.node for sending in awaited if self._time_left_s(sending) <= 0}

    async def _linger(self) -> None:
        """Give nodes that are nearly done a moment: more copies are better, waiting for long is not."""
        on_time = [task for task, sending in self._sending.items() if sending.node not in self._late]
        if on_time:
            await asyncio.wait(on_time, timeout=self._patience_s / 2)

    def _take_answer(self, task: asyncio.Task[StoredFile]) -> None:
        node = self._sending.pop(task).node
        try:
            self._stored[node] = task.result()
        except (StaleRingError, RequestError):
            raise
        except TritonTubeError as error:
            log.info("%s was not stored on %s: %s", self._key, node, error)
            self._failures.append(error)

    async def _stop(self) -> None:
        for task in self._sending:
            task.cancel()
        if self._sending:
            await asyncio.wait(self._sending)
