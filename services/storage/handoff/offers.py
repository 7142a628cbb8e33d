"""Taking part in other nodes' hand-over: what is offered is held, wanted, on its way, or of no use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from services.shared.catalog.keys import graves
from services.shared.errors import OutOfSpaceError
from services.shared.ring.placement import PARTITIONS, parse_key
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.storage.disk.objectfile import ObjectInfo
from services.storage.disk.space import Space
from services.storage.disk.store import Store
from services.storage.epochs import EpochSource
from services.storage.handoff.promises import Promises
from services.storage.handoff.summaries import Summaries, Summary
from services.storage.threads import Threads

MAX_OFFERED: Final = 1000
"""Most files in one offer."""


class Answer(Enum):
    """What is said to the offer of a file."""

    HELD = storage_pb2.OFFER_ANSWER_HELD
    WANTED = storage_pb2.OFFER_ANSWER_WANTED
    PENDING = storage_pb2.OFFER_ANSWER_PENDING
    DELETED = storage_pb2.OFFER_ANSWER_DELETED
    CONFLICT = storage_pb2.OFFER_ANSWER_CONFLICT


class Offers:
    """Answers offers and requests for summaries; both are confirmations, true at the caller's epoch."""

    def __init__(
        self,
        *,
        store: Store,
        space: Space,
        threads: Threads,
        epochs: EpochSource,
        promises: Promises,
        summaries: Summaries,
    ) -> None:
        self._store = store
        self._space = space
        self._threads = threads
        self._epochs = epochs
        self._promises = promises
        self._summaries = summaries

    async def answer(self, offered: Sequence[ObjectInfo], *, node: str, epoch: int) -> list[Answer]:
        """Say what this node has of some files, and which `node` should send: one answer each, in order.

        Raises:
            StaleRingError: `epoch` is older than the node's.
            OutOfSpaceError: of what is lacking and not on its way, nothing fits on the disk.
            UnavailableError: the node can't vouch for anything now, or is still reading its disk.
        """
        await self._agree(epoch)
        held = await self._threads.run(self._held, [info.key for info in offered], epoch)
        answers = self._claim(offered, held, node)
        await self._look_again(offered, answers, epoch)
        return answers

    async def summaries(self, partitions: Sequence[int], *, epoch: int) -> dict[int, Summary]:
        """What this node holds of some partitions (none: of all); those that are empty are left out.

        Raises:
            StaleRingError: `epoch`, where it is not 0, is older than the node's.
            UnavailableError: the node can't vouch for anything now, or is still reading its disk.
        """
        if epoch:
            await self._agree(epoch)
        self._store.check_complete()
        return await self._threads.run(self._summaries.held, partitions or range(PARTITIONS))

    async def _agree(self, epoch: int) -> None:
        self._store.check_complete()
        await self._epochs.catch_up(epoch)
        self._store.fence.check(epoch=epoch)

    def _held(self, keys: Sequence[str], epoch: int) -> dict[str, ObjectInfo]:
        found = self._store.confirmed(self._store.durable(keys), epoch=epoch)
        return {info.key: info for info in found}

    def _claim(
        self, offered: Sequence[ObjectInfo], held: Mapping[str, ObjectInfo], node: str
    ) -> list[Answer]:
        """The answers, with what `node` is to send promised to it."""
        free_bytes = self._space.free_bytes() - self._promises.promised_bytes(but=node)
        answers = []
        too_large = False
        for info in offered:
            answer = self._settled(info, held.get(info.key))
            if answer is None and info.size_bytes <= free_bytes:
                answer = self._claimed(info, node)
                free_bytes -= info.size_bytes if answer is Answer.WANTED else 0
            too_large |= answer is None
            answers.append(answer or Answer.PENDING)
        if too_large and Answer.WANTED not in answers:
            raise OutOfSpaceError("The disk is full up to its reserve.")
        return answers

    async def _look_again(self, offered: Sequence[ObjectInfo], answers: list[Answer], epoch: int) -> None:
        """Correct the answers for files that came between the look at the disk and the promise."""
        wanted = [number for number, answer in enumerate(answers) if answer is Answer.WANTED]
        came = await self._threads.run(self._held, [offered[number].key for number in wanted], epoch)
        for number in wanted:
            if answer := self._settled(offered[number], came.get(offered[number].key)):
                answers[number] = answer
                self._promises.withdraw(offered[number].key)

    def _settled(self, offered: ObjectInfo, held: ObjectInfo | None) -> Answer | None:
        """The answer where the file need not be sent."""
        if any(map(self._store.fence.is_buried, graves(*parse_key(offered.key)))):
            return Answer.DELETED
        if held is None:
            return None
        same = (held.sha256, held.size_bytes) == (offered.sha256, offered.size_bytes)
        return Answer.HELD if same else Answer.CONFLICT

    def _claimed(self, offered: ObjectInfo, node: str) -> Answer:
        may_send = self._promises.ask(offered.key, size_bytes=offered.size_bytes, node=node)
        return Answer.WANTED if may_send else Answer.PENDING
