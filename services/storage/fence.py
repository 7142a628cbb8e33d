"""When a write may become durable on this node.

A write is judged at the moment of its commit, not when its stream began: a ring change, a lost lease or a
deletion in between must count. Commits run side by side; taking up a new epoch or a deletion waits for those
under way and holds up the next ones for that long. So once `adopt` returns, no commit of an older epoch is in
flight or can follow, and once `bury` returns, none of that video.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from services.shared.errors import ConflictError, StaleRingError, UnavailableError


class Fence:
    """Closed until the ring has been read. Any thread may use it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._commits = 0
        self._turns = 0
        self._buried: set[str] = set()
        self.epoch = 0
        self.closed_reason = "The node has not read the ring yet."

    @contextmanager
    def commit(self, *, epoch: int, video_id: str = "") -> Iterator[None]:
        """Around a durable change that its caller makes under `epoch`; `video_id` where a file is added.

        Raises:
            StaleRingError: the node knows a newer ring.
            ConflictError: the video has been deleted.
            UnavailableError: the node takes no writes now.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._turns)
            self.check(epoch=epoch, video_id=video_id)
            self._commits += 1
        try:
            yield
        finally:
            with self._changed:
                self._commits -= 1
                self._changed.notify_all()

    def check(self, *, epoch: int, video_id: str = "") -> None:
        """Judge a change without making it: spares the transfer of one that would be refused anyway.

        Raises: as `commit` does.
        """
        if self.closed_reason:
            raise UnavailableError(self.closed_reason)
        if epoch < self.epoch:
            raise StaleRingError(f"The ring is at epoch {self.epoch}, not {epoch}.", epoch=self.epoch)
        if epoch > self.epoch:
            raise UnavailableError(f"The node has not seen epoch {epoch} yet.")
        if video_id in self._buried:
            raise ConflictError("The video has been deleted.")

    def adopt(self, epoch: int) -> None:
        """Take up an epoch; an older one than the node's own changes nothing."""
        if epoch > self.epoch:
            with self._alone():
                self.epoch = max(self.epoch, epoch)

    def open(self) -> None:
        """Let commits pass: the ring was read, and the node's lease is held."""
        self.closed_reason = ""

    def close(self, reason: str) -> None:
        """Let no commit begin, for a reason that callers are told."""
        self.closed_reason = reason

    def bury(self, video_id: str) -> None:
        """Refuse a deleted video's files from now on."""
        with self._alone():
            self._buried.add(video_id)

    def forget(self, video_id: str) -> None:
        """The video's deletion is over everywhere."""
        self._buried.discard(video_id)

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
