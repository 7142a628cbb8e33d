"""The one source of randomness of a run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Draws from a seed. Collections are put in order first, so that a seed means the same everywhere."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.calm = False
        """No more mishaps: everything is quick, nothing gets lost."""

    def odds(self, probability: float) -> bool:
        """Whether something unlucky happens."""
        return not self.calm and self._random.random() < probability

    def flip(self, probability: float = 0.5) -> bool:
        """Whether something that is no mishap happens."""
        return self._random.random() < probability

    def between(self, low: float, high: float) -> float:
        """A number."""
        return self._random.uniform(low, high)

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randint(low, high)

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[self._random.randrange(len(items))]

    def pick_name(self, names: Iterable[str]) -> str | None:
        """One of them, None if there are none."""
        ordered = sorted(names)
        return self.pick(ordered) if ordered else None

    def hop_s(self) -> float:
        """How long a message or a sync to disk takes: mostly little, sometimes far too much."""
        luck = 0.0 if self.calm else self._random.random()
        if luck < 0.9:
            return self._random.uniform(0.001, 0.02)
        if luck < 0.985:
            return self._random.uniform(0.02, 0.6)
        return self._random.uniform(0.6, 8.0)

    def sync_s(self) -> float:
        """How long a disk, or a long transfer, takes: now and then longer than a whole change of the ring."""
        return self._random.uniform(0.5, 6.0) if self.odds(0.1) else self._random.uniform(0.001, 0.02)

    async def hop(self) -> None:
        """Wait for as long as a message takes."""
        await asyncio.sleep(self.hop_s())

    async def pause(self, low_s: float, high_s: float) -> None:
        """Wait for a while."""
        await asyncio.sleep(self._random.uniform(low_s, high_s))
