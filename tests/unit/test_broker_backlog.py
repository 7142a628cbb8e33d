"""Events that wait for a reader."""

from __future__ import annotations

import asyncio

from services.shared.broker import Envelope
from services.shared.broker.subscription import Backlog


def news(name: str) -> Envelope:
    return Envelope(type="video.event", body=b"{}", message_id=name)


async def test_they_are_read_in_order() -> None:
    backlog = Backlog()
    for name in ("a", "b"):
        assert backlog.put(news(name))

    assert [(await backlog.get()).message_id for _ in range(2)] == ["a", "b"]


async def test_a_reader_waits_for_the_first() -> None:
    backlog = Backlog()
    reading = asyncio.create_task(backlog.get())
    await asyncio.wait([reading], timeout=0.01)
    assert not reading.done()

    backlog.put(news("a"))

    assert (await reading).message_id == "a"


async def test_the_oldest_go_when_there_are_too_many() -> None:
    backlog = Backlog(limit=2)
    fitted = [backlog.put(news(name)) for name in ("a", "b", "c")]

    assert fitted == [True, True, False]
    assert [(await backlog.get()).message_id for _ in range(2)] == ["b", "c"]
