"""When a write may become durable on this node.

A write is judged at the moment of its commit, not when its stream began: a ring change, a lost lease or a
deletion in between must count. Commits run side by side; taking up a new epoch or a deletion waits for those
under way and holds up the next ones for that long. So once `adopt` returns, no commit of an older epoch is in
flight or can follow, and once `bury` returns, none of that video.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from services.shared.errors import ConflictError, StaleRingError, UnavailableError


class Obstacle(Enum):
    """What can stand in the way of all writes."""

    LEASE = "lease"
    PLACE = "place"
    TOMBSTONES = "tombstones"
    RETIRED = "retired"
    """Adds nothing any more, but hands over what it holds, and drops it."""


_AT_START: Final = {
    Obstacle.LEASE: "The node is not registered in etcd yet.",
    Obstacle.PLACE: "The node has not read the ring yet.",
    Obstacle.TOMBSTONES: "The node does not know yet which videos have been deleted.",
}


class Fence:
    """Closed until every obstacle of the start is cleared. Any thread may use it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._commits = 0
        self._turns = 0
        self._buried: set[str] = set()
        self._obstacles = dict(_AT_START)
        self.epoch = 0

    @property
    def closed_reason(self) -> str:
        """Why no write passes now; empty while they do."""
        return self._closed_reason(but=set())

    @contextmanager
    def commit(
        self, *, epoch: int, video_id: str = "", graves: Collection[str] = (), removal: bool = False
    ) -> Iterator[None]:
        """Around a durable change that its caller makes under `epoch`; `video_id` where a file is added.

        `graves` are the names of all tombstones under which that file would lie.

        A `removal` may also be made by a node that has retired.

        Raises:
            StaleRingError: the node knows a newer ring.
            ConflictError: the video has been deleted.
            UnavailableError: the node takes no writes now.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._turns)
            self.check(epoch=epoch, video_id=video_id, graves=graves, removal=removal)
            self._commits += 1
        try:
            yield
        finally:
            with self._changed:
                self._commits -= 1
                self._changed.notify_all()

    def check(
        self, *, epoch: int, video_id: str = "", graves: Collection[str] = (), removal: bool = False
    ) -> None:
        """Judge a change without making it: spares the transfer of one that would be refused anyway.

        Raises: as `commit` does.
        """
        if reason := self._closed_reason(but={Obstacle.RETIRED} if removal else set()):
            raise UnavailableError(reason)
        if epoch < self.epoch:
            raise StaleRingError(f"The ring is at epoch {self.epoch}, not {epoch}.", epoch=self.epoch)
        if epoch > self.epoch:
            raise UnavailableError(f"The node has not seen epoch {epoch} yet.")
        if any(map(self.is_buried, (video_id, *graves))):
            raise ConflictError("The video has been deleted.")

    def is_buried(self, video_id: str) -> bool:
        """Whether the video has been deleted."""
        return video_id in self._buried

    def adopt(self, epoch: int) -> None:
        """Take up an epoch; an older one than the node's own changes nothing."""
        if epoch > self.epoch:
            with self._alone():
                self.epoch = max(self.epoch, epoch)

    def block(self, obstacle: Obstacle, reason: str) -> None:
        """Let no commit begin, for a reason that callers are told."""
        self._obstacles[obstacle] = reason

    def clear(self, obstacle: Obstacle) -> None:
        """Take an obstacle away: commits pass once none is left."""
        self._obstacles.pop(obstacle, None)

    def bury(self, graves: Iterable[str]) -> None:
        """Refuse the files under these tombstones from now on."""
        with self._alone():
            self._buried.update(graves)

    def forget(self, grave: str) -> None:
        """The deletion is over everywhere."""
        self._buried.discard(grave)

    def _closed_reason(self, *, but: Collection[Obstacle]) -> str:
        obstacles = self._obstacles.copy().items()
        return next((reason for obstacle, reason in obstacles if obstacle not in but), "")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._changed:
            self._turns += 1
            self._changed.wait_for(lambda: not self._commits)
            try:
                yield
            finally:
                self._turns -= 1
                self._changed.notify_all()
