"""What is said to offers, by a real store, and when two nodes' summaries are equal."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
import pytest_asyncio

from services.shared.errors import OutOfSpaceError, StaleRingError, UnavailableError
from services.shared.ring.placement import partition_of
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.objectfile import ObjectInfo
from services.storage.fence import Obstacle
from services.storage.handoff.offers import Answer, Offers
from services.storage.handoff.promises import Promises
from services.storage.handoff.summaries import Summaries
from services.storage.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")

EPOCH = 3
VIDEO = "0123456789abcdef"
CAPACITY_BYTES = 1000


class KnownRing:
    """A node that has no newer ring to learn of."""

    removed = False

    async def catch_up(self, epoch: int) -> None:
        """Nothing is newer."""


class InterruptedThreads(Threads):
    """Threads after whose next call something else gets its turn."""

    _between: Callable[[], object] | None = None

    def after_next(self, call: Callable[[], object]) -> None:
        self._between = call

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result = await super().run(function, *args, **kwargs)
        between, self._between = self._between, None
        if between:
            await super().run(between)
        return result


class Node:
    def __init__(self, folder: DataFolder, threads: Threads) -> None:
        self.folder = folder
        self.summaries = Summaries(folder.store.index)
        self.offers = Offers(
            store=folder.store,
            space=folder.space,
            threads=threads,
            epochs=KnownRing(),
            promises=Promises(),
            summaries=self.summaries,
        )

    def put(self, name: str, data: bytes) -> ObjectInfo:
        with self.folder.store.stage(len(data)) as stage:
            stage.append(data)
            return self.folder.store.publish(stage, key=f"{VIDEO}/{name}", epoch=EPOCH).info

    async def answers(self, *offered: ObjectInfo, node: str = "other", epoch: int = EPOCH) -> list[Answer]:
        return await self.offers.answer(offered, node=node, epoch=epoch)


def offered(name: str, data: bytes = b"data") -> ObjectInfo:
    return ObjectInfo(
        key=f"{VIDEO}/{name}", size_bytes=len(data), sha256=hashlib.sha256(data).digest(), stored_at_ms=1
    )


@pytest.fixture
def threads() -> Iterator[InterruptedThreads]:
    with InterruptedThreads(2) as threads:
        yield threads


@pytest_asyncio.fixture
async def node(tmp_path: Path, threads: InterruptedThreads) -> AsyncIterator[Node]:
    with opened(tmp_path / "data", reserve_fraction=0, capacity_bytes=CAPACITY_BYTES) as folder:
        folder.store.fence.adopt(EPOCH)
        for obstacle in Obstacle:
            folder.store.fence.clear(obstacle)
        yield Node(folder, threads)


async def test_what_is_held_is_confirmed_and_what_is_lacking_is_asked_of_one_node(node):
    node.put("held", b"data")
    assert await node.answers(offered("held"), offered("new")) == [Answer.HELD, Answer.WANTED]
    assert await node.answers(offered("new"), node="another") == [Answer.PENDING]


async def test_a_file_that_comes_while_it_is_looked_up_is_not_asked_for_again(node, threads):
    threads.after_next(lambda: node.put("file", b"data"))
    assert await node.answers(offered("file")) == [Answer.HELD]
    assert await node.answers(offered("new"), node="another") == [Answer.WANTED]


async def test_other_content_under_a_key_is_never_confirmed(node):
    node.put("held", b"data")
    assert await node.answers(offered("held", b"DATA")) == [Answer.CONFLICT]


async def test_a_copy_that_is_not_on_the_disk_any_more_is_not_confirmed(node):
    node.put("held", b"data")
    for path in (node.folder.root / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    assert await node.answers(offered("held")) == [Answer.WANTED]


async def test_files_of_deleted_videos_are_of_no_use(node):
    node.folder.store.fence.bury([VIDEO])
    assert await node.answers(offered("file")) == [Answer.DELETED]


async def test_what_fits_is_taken_and_when_nothing_does_the_node_says_that_it_is_full(node):
    small, large = offered("small"), offered("large", bytes(CAPACITY_BYTES + 1))
    assert await node.answers(small, large) == [Answer.WANTED, Answer.PENDING]
    with pytest.raises(OutOfSpaceError):
        await node.answers(large)


async def test_room_is_promised_once(node):
    assert await node.answers(offered("one", bytes(600))) == [Answer.WANTED]
    with pytest.raises(OutOfSpaceError):
        await node.answers(offered("two", bytes(600)), node="another")
    assert await node.answers(offered("one", bytes(600))) == [Answer.WANTED]


async def test_an_older_epoch_is_refused_and_a_newer_one_must_be_caught_up_with_first(node):
    with pytest.raises(StaleRingError):
        await node.answers(offered("file"), epoch=EPOCH - 1)
    with pytest.raises(UnavailableError):
        await node.answers(offered("file"), epoch=EPOCH + 1)
    with pytest.raises(StaleRingError):
        await node.offers.summaries([], epoch=EPOCH - 1)


async def test_a_node_that_does_not_know_all_it_holds_confirms_nothing(node):
    node.folder.store.complete = False
    with pytest.raises(UnavailableError):
        await node.answers(offered("file"))
    with pytest.raises(UnavailableError):
        await node.offers.summaries([], epoch=0)


async def test_a_retired_node_confirms_nothing(node):
    node.folder.store.fence.block(Obstacle.RETIRED, "The node has been removed from the ring.")
    with pytest.raises(UnavailableError, match="removed"):
        await node.answers(offered("file"))


async def test_summaries_are_equal_exactly_when_the_same_files_are_held(node):
    infos = [node.put(name, name.encode()) for name in ("one", "two", "three")]
    before = await node.offers.summaries([], epoch=EPOCH)
    assert sum(summary.files for summary in before.values()) == 3
    assert before.keys() == {partition_of(info.key) for info in infos}
    node.folder.store.remove(infos[0].key, epoch=EPOCH)
    without = await node.offers.summaries([], epoch=EPOCH)
    assert without.get(partition_of(infos[0].key)) != before[partition_of(infos[0].key)]
    node.put("one", b"one")
    assert await node.offers.summaries([], epoch=EPOCH) == before


async def test_a_summary_tells_contents_apart_that_are_of_one_size(node):
    info = node.put("file", b"data")
    before = node.summaries.of(partition_of(info.key))
    node.folder.store.remove(info.key, epoch=EPOCH)
    node.put("file", b"DATA")
    after = node.summaries.of(partition_of(info.key))
    assert replace(after, digest=b"") == replace(before, digest=b"")
    assert after.digest != before.digest
