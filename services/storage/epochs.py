"""What the parts of a node need to know of its place in the ring."""

from __future__ import annotations

from typing import Protocol


class EpochSource(Protocol):
    """Where the node learns of newer rings."""

    @property
    def removed(self) -> bool:
        """Whether the node knows that it has been removed from the ring."""

    async def catch_up(self, epoch: int) -> None:
        """Know a ring at least as new as `epoch`.

        Raises:
            UnavailableError: etcd can't be asked.
        """
