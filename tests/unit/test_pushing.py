from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from services.shared.errors import OutOfSpaceError, StaleRingError, UnavailableError
from services.storage.disk.objectfile import ObjectInfo
from services.storage.handoff.pushing import Pusher

Refusal = Callable[[str], Exception | None]


class Files:
    """Stands for the disk and for the other node: what is sent, and what is refused."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self.tried: list[str] = []
        self.sent: list[str] = []

    def examine(self, key: str) -> str:
        return key

    @asynccontextmanager
    async def holding(self, opener: Callable[[str], str], key: str) -> AsyncIterator[str]:
        yield opener(key)

    async def push(self, _node: str, key: str, *, epoch: int) -> None:
        assert epoch == 7
        self.tried.append(key)
        if error := self._refusal(key):
            raise error
        self.sent.append(key)


def infos(count: int) -> list[ObjectInfo]:
    return [
        ObjectInfo(key=f"0123456789abcdef/{number}", size_bytes=1, sha256=b"s" * 32, stored_at_ms=1)
        for number in range(count)
    ]


async def pushed(files: Files, count: int) -> set[str]:
    given: Any = files
    duty: Any = SimpleNamespace(hurried=(), epoch=7, moved=lambda _info, _node: None)
    pusher = Pusher(store=given, threads=given, peers=given, inspector=given, streams=2)
    return await pusher.push(infos(count), node="node", duty=duty)


async def test_a_file_that_the_node_does_not_take_keeps_no_other_from_being_sent():
    files = Files(lambda key: UnavailableError("Bad message.") if key.endswith("/3") else None)
    settled = await pushed(files, 20)
    assert settled == set(files.sent)
    assert len(settled) == 19


async def test_what_is_left_in_the_end_tells_why():
    files = Files(lambda _: UnavailableError("Bad message."))
    with pytest.raises(UnavailableError, match="Bad message"):
        await pushed(files, 1)


async def test_a_node_that_takes_nothing_is_soon_let_alone():
    files = Files(lambda _: UnavailableError("It is away."))
    with pytest.raises(UnavailableError, match="away"):
        await pushed(files, 500)
    assert len(files.tried) < 12


@pytest.mark.parametrize(
    "error", [OutOfSpaceError("It is full."), StaleRingError("The ring is newer.", epoch=8)]
)
async def test_what_concerns_all_files_ends_it_at_once(error):
    files = Files(lambda _: error)
    with pytest.raises(type(error)):
        await pushed(files, 500)
    assert len(files.tried) <= 2
