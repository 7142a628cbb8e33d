"""The client's many ways to fail, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from aio_pika.exceptions import ChannelInvalidStateError

from services.shared.broker.faults import rpc, translated
from services.shared.errors import ConflictError, UnavailableError


@pytest.mark.parametrize("error", [OSError("refused"), RuntimeError("closed"), Exception()])
async def test_any_failure_of_the_client_means_unavailable(error: Exception) -> None:
    with pytest.raises(UnavailableError, match="Doing it"), translated("Doing it"):
        raise error


async def test_our_own_errors_pass() -> None:
    with pytest.raises(ConflictError, match="mine"), translated("Doing it"):
        raise ConflictError("mine")


async def test_a_channel_that_is_gone_is_told_in_words() -> None:
    says = "^Doing it: the channel to the broker was lost.$"
    with pytest.raises(UnavailableError, match=says), translated("Doing it"):
        raise ChannelInvalidStateError('<Channel: "1" at 0x7f19f6a7bcf0> closed')


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    with pytest.raises(UnavailableError, match="was lost"), translated("Doing it"):
        raise asyncio.CancelledError


async def told_to_end(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Cancel some work in the middle; it is over then."""
    begun = asyncio.Event()

    async def begin() -> None:
        begun.set()
        await work

    task = asyncio.create_task(begin())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    return task


async def test_a_cancellation_that_was_asked_for_passes() -> None:
    async def wait() -> None:
        with translated("Doing it"):
            await asyncio.Event().wait()

    assert (await told_to_end(wait())).cancelled()


@pytest.mark.parametrize("instead", [None, OSError("closed"), ConflictError("mine")])
async def test_a_cancellation_that_the_client_swallows_counts_all_the_same(instead: Exception | None) -> None:
    async def wait() -> None:
        with translated("Doing it"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if instead:
                    raise instead from None

    assert (await told_to_end(wait())).cancelled()


async def test_who_cleans_up_after_a_cancellation_is_told_what_fails() -> None:
    seen: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with pytest.raises(UnavailableError), translated("Closing"):
                raise OSError("closed")
            seen.append("told")

    assert (await told_to_end(wait())).cancelled()
    assert seen == ["told"]


async def test_an_expired_deadline_says_so() -> None:
    with pytest.raises(UnavailableError, match="no answer from the broker in time"), translated("Doing it"):
        await asyncio.wait_for(asyncio.Event().wait(), timeout=0)


async def test_a_call_that_fails_at_once_lets_everything_else_run_first() -> None:
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "somebody else's")
    with pytest.raises(UnavailableError):
        async with rpc("Doing it"):
            raise OSError("closed")
    assert turns
