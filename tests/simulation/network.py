"""Calls between processes: late, lost, answered in vain, delivered twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from services.shared.errors import UnavailableError

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World

T = TypeVar("T")
Ask = Callable[["Node"], Coroutine[Any, Any, T]]

_LOST = 0.015
_DOUBLED = 0.02
_TIMEOUT_S = 12.0


class Network:
    """Carries calls. Whether a call that failed was carried out, nobody knows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.parted: dict[frozenset[str], float] = {}
        """Pairs that cannot talk, and until when."""

    async def call(self, caller: str, node_id: str, ask: Ask[T]) -> T:
        """Have a node do something.

        Raises:
            UnavailableError: there was no answer.
            TritonTubeError: whatever the node answers.
        """
        world, chance = self._world, self._world.chance
        await chance.hop()
        node = world.nodes[node_id]
        if not node.running or self._parted(caller, node_id) or chance.odds(_LOST):
            await chance.pause(0.01, 0.5)
            raise UnavailableError(f"{node_id} cannot be reached.")
        if chance.odds(_DOUBLED):
            world.loop.call_later(chance.between(0.0, 30.0), self._deliver, node, ask)
        task = node.spawn(ask(node))
        try:
            await asyncio.wait([task], timeout=_TIMEOUT_S)
        finally:
            # Who gives up may or may not be able to call the request back.
            if not task.done() and chance.flip():
                task.cancel()
        if not task.done() or task.cancelled():
            raise UnavailableError(f"{node_id} does not answer.")
        result = task.result()
        await chance.hop()
        if self._parted(caller, node_id) or chance.odds(_LOST):
            raise UnavailableError(f"The answer of {node_id} was lost.")
        return result

    def _parted(self, one: str, other: str) -> bool:
        return self._world.now_s < self.parted.get(frozenset((one, other)), 0.0)

    @staticmethod
    def _deliver(node: Node, ask: Ask[T]) -> None:
        """A message that somebody sent long ago."""
        if node.running:
            node.spawn(ask(node))
