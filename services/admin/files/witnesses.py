"""The nodes that a check asks: what they say of files, and who of them did not answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from services.admin.files.sightings import Sighting, by_key, by_partition, merged
from services.shared.content.holders import Copy, Holders
from services.shared.content.search import Search
from services.shared.errors import NotFoundError, TritonTubeError, UnavailableError
from services.shared.ring.placement import partition_of
from services.shared.ring.state import NodeState
from services.shared.topology import Topology

Q = TypeVar("Q")
A = TypeVar("A")


class Witnesses:
    """All nodes of the ring but removed ones. One that fails to answer is asked nothing more."""

    def __init__(self, topology: Topology, holders: Holders) -> None:
        self._topology = topology
        self._holders = holders
        self.silent: dict[str, str] = {}
        """Those that did not answer, and why."""

    def sightings(self, *, video_id: str = "") -> AsyncGenerator[Sighting, None]:
        """All files, in the order of the ring; or those of one video, by key."""
        listings = {node: self._holders.listing(node, video_id=video_id) for node in self.asked()}
        return merged(listings, by_key if video_id else by_partition, on_failure=self._fall_silent)

    async def look_again(self, seen: Iterable[Sighting]) -> list[Sighting]:
        """Files as their holders and owners tell of them now, without those that are gone."""
        keys: dict[str, list[str]] = defaultdict(list)
        for sighting in seen:
            for node in {*sighting.copies, *self._owners(sighting.key)}:
                keys[node].append(sighting.key)
        copies: dict[str, dict[str, Copy]] = defaultdict(dict)
        for node, held in (await self.held(keys)).items():
            for key, copy in held.items():
                copies[key][node] = copy
        return [Sighting(key=key, copies=found) for key, found in copies.items()]

    async def held(self, keys: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Copy]]:
        """Which of some keys each node holds."""
        return await self._ask(keys, self._holders.has)

    async def damaged(self, seen: Iterable[Sighting]) -> dict[str, list[str]]:
        """Have all copies of files read to the last byte: who found which of them damaged, by key."""
        copies: dict[str, list[Copy]] = defaultdict(list)
        for sighting in seen:
            for node, copy in sighting.copies.items():
                copies[node].append(copy)
        damaged: dict[str, list[str]] = defaultdict(list)
        for node, keys in (await self._ask(copies, self._holders.damaged)).items():
            for key in keys:
                damaged[key].append(node)
        return damaged

    async def mend(self, keys: Mapping[str, Sequence[str]]) -> list[str]:
        """Have each node see to some files: what could not be mended, sentences that begin with the key."""
        return [
            problem
            for problems in (await self._ask(keys, self._holders.mend)).values()
            for problem in problems
        ]

    async def remove(self, node: str, key: str, *, epoch: int) -> bool:
        """Remove a node's copy. False: there was none, or the node does not answer.

        Raises:
            StaleRingError: the ring has changed since `epoch`.
        """
        if node in self.silent:
            return False
        try:
            return await self._holders.delete(node, key, epoch=epoch)
        except UnavailableError as error:
            self._fall_silent(node, str(error))
            return False

    async def is_nowhere(self, key: str) -> bool:
        """Whether it is proved that nobody holds a file: never while a node does not answer."""
        if self.silent:
            return False
        try:
            await Search(self._topology, key, ask=lambda node: self._copy_of(node, key)).run()
        except NotFoundError:
            return True
        except UnavailableError:
            return False
        return False

    def asked(self) -> list[str]:
        """The nodes that are still asked."""
        members = self._topology.view.state.nodes.items()
        return [
            node
            for node, entry in members
            if entry.state is not NodeState.REMOVED and node not in self.silent
        ]

    def _owners(self, key: str) -> tuple[str, ...]:
        return self._topology.view.owners(partition_of(key))

    async def _copy_of(self, node: str, key: str) -> Copy | None:
        return (await self._holders.has(node, [key])).get(key)

    async def _ask(
        self, questions: Mapping[str, Sequence[Q]], ask: Callable[[str, Sequence[Q]], Awaitable[A]]
    ) -> dict[str, A]:
        """Ask several nodes at the same time; the answers of those that gave one."""

        async def asked(node: str) -> None:
            try:
                answers[node] = await ask(node, questions[node])
            except TritonTubeError as error:
                self._fall_silent(node, str(error))

        answers: dict[str, A] = {}
        await asyncio.gather(*(asked(node) for node in questions if node not in self.silent))
        return answers

    def _fall_silent(self, node: str, why: str) -> None:
        self.silent[node] = why
