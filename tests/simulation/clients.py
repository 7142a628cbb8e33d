"""Writers and readers: the real `Attempt` and `Search`, with views of the ring that may be old."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from services.shared.content.attempt import Attempt
from services.shared.content.files import StoredFile
from services.shared.content.part import Part
from services.shared.content.search import Search
from services.shared.errors import NotFoundError, StaleRingError, TritonTubeError
from services.shared.ring.view import RingView
from tests.simulation.etcd import Party

if TYPE_CHECKING:
    from tests.simulation.world import World

_TRIES = 4


@dataclass(frozen=True)
class _Whole:
    """A file that is all there, as `Attempt` wants to know it."""

    content: str
    completed_at: float
    size_bytes: int = 1


def content_of(key: str) -> str:
    """What is stored under a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class Writer(Party):
    """Puts files, new ones and now and then one again."""

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self.world.chance.pause(0.1, 2.5)
            await self.write(self.world.next_key())

    async def write(self, key: str) -> None:
        """Try a few times, as a client does."""
        part = cast("Part", _Whole(content_of(key), self.world.now_s))
        for _ in range(_TRIES):
            try:
                view = self.view
                await Attempt(self, view, key, part).run()
            except StaleRingError:
                with suppress(TritonTubeError):
                    await self.refresh()
            except TritonTubeError:
                await self.world.chance.pause(0.1, 2.0)
            else:
                self.world.acknowledge(key, by=self.name, epoch=view.epoch)
                return

    async def put(self, node: str, key: str, part: Part, *, epoch: int) -> StoredFile:
        """Send a file to one node."""
        content = cast("_Whole", part).content
        await self.world.network.call(self.name, node, lambda there: there.put(key, content, epoch))
        return StoredFile(key=key, size_bytes=1, sha256=content)


class LateWriter(Writer):
    """Hears nothing of changes: learns of them only when a node refuses its writes."""

    def hear(self, version: int, view: RingView) -> None:
        """Miss it."""

    async def refresh(self) -> RingView:
        """Read the ring when there is no other way."""
        await self.world.chance.hop()
        self.view = self.world.etcd.view
        return self.view


class Reader(Party):
    """Gets files that were acknowledged. Unavailable is an answer it accepts, absent is not."""

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.world.chance.pause(0.3, 3.0)
            if self.world.acknowledged:
                await self.read(self.world.chance.pick(self.world.acknowledged))

    async def read(self, key: str) -> bool:
        """Try once; whether it was there."""
        search = Search(self, key, ask=lambda node: self._ask(node, key), deadline_s=0)
        try:
            found = await search.run()
        except NotFoundError:
            self.world.invariants.read_in_vain(key, by=self.name, epoch=self.view.epoch)
            return False
        except TritonTubeError:
            return False
        self.world.invariants.read(key, found.answer)
        return True

    async def _ask(self, node: str, key: str) -> str | None:
        return await self.world.network.call(self.name, node, lambda there: there.get(key))


class FrozenReader(Reader):
    """Knows the ring as it was when the cluster was formed; learns of a newer one only by asking."""

    def changed(self) -> None:
        """Forget what was heard."""
        self.view = self._first

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._first: RingView = self.view

    async def refresh(self) -> RingView:
        """Read the ring, and remember nothing."""
        await super().refresh()
        return self.world.etcd.view
