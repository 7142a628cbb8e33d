"""What is held of each file, from the lists of all nodes at once, in constant memory."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

from services.shared.content.holders import Copy
from services.shared.errors import TritonTubeError
from services.shared.ring.placement import partition_of

Order = Callable[[str], Any]
"""What a list is sorted by, of a key."""

Listing = AsyncGenerator[Copy, None]


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A file, and who says that it has a copy."""

    key: str
    copies: Mapping[str, Copy]
    """By node."""

    @property
    def newest_ms(self) -> int:
        """When its youngest copy was stored; 0 without any."""
        return max((copy.stored_at_ms for copy in self.copies.values()), default=0)


class _Head(NamedTuple):
    """The next copy of one list."""

    order: Any
    node: str
    copy: Copy


def by_partition(key: str) -> tuple[int, str]:
    """The order of a list of everything."""
    return partition_of(key), key


def by_key(key: str) -> str:
    """The order of a list of one video."""
    return key


async def merged(
    listings: Mapping[str, Listing], order: Order, *, on_failure: Callable[[str, str], None]
) -> AsyncGenerator[Sighting, None]:
    """Go through sorted lists of several nodes at once: each key once, with all who hold it.

    Args:
        listings: by node; each is closed at the end.
        order: of all the lists.
        on_failure: told the node and the reason where a list breaks off. Files that would have come after
            that are seen without it.
    """
    async with AsyncExitStack() as stack:
        for listing in listings.values():
            await stack.enter_async_context(aclosing(listing))

        async def advance(node: str) -> None:
            try:
                if copy := await anext(listings[node], None):
                    heapq.heappush(heads, _Head(order(copy.key), node, copy))
            except TritonTubeError as error:
                on_failure(node, str(error))

        heads: list[_Head] = []
        for node in listings:
            await advance(node)
        while heads:
            key, copies = heads[0].copy.key, {}
            while heads and heads[0].copy.key == key:
                head = heapq.heappop(heads)
                copies[head.node] = head.copy
                await advance(head.node)
            yield Sighting(key=key, copies=copies)
