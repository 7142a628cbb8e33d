"""Changes that operators asked for: which wait for their turn, which is in progress, what came of the last.

Each is one key, `ring/requests/<request id>`, from the moment it is asked for until it is pruned, long after
its end. So the same request asked for twice meets its own record. They take their turns in the order of the
keys' creation, which etcd itself keeps (`create_revision`): it takes no counter, and no two share a place.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.shared.record import Record
from services.shared.ring.state import ChangeKind

REQUEST_PREFIX: Final = "ring/requests/"


def request_key(request_id: str) -> str:
    """Where a request is recorded."""
    return f"{REQUEST_PREFIX}{request_id}"


class RequestState(StrEnum):
    """How far a request is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    """It was no longer possible when its turn came."""
    ABORTED = "aborted"


_OPEN: Final = frozenset({RequestState.QUEUED, RequestState.RUNNING})

AT_ONCE: Final = frozenset({ChangeKind.ABORT, ChangeKind.DEAD})
"""Kinds that do not wait for the change in progress: they end it, or plan it anew."""


class ChangeSpec(Record):
    """What is asked for, in the words of who asked: the same request again is recognised by it."""

    kind: ChangeKind
    node: str = ""
    """The member that it is about, by id or address; empty where it is about none."""
    address: str = ""
    """Of the newcomer."""
    weight: float | None = None
    """Of the newcomer; of the member where the kind is REBALANCE."""
    accept_fewer_copies: bool = False
    accept_data_loss: bool = False


class ChangeRequest(Record):
    """Value of `ring/requests/<request id>`."""

    id: str
    spec: ChangeSpec
    node: str = ""
    """Id of the node that it turned out to be about."""
    aborts: str = ""
    """Of an abort: the change that was in progress when it was asked for."""
    state: RequestState = RequestState.QUEUED
    reason: str = ""
    """Why it was refused."""
    requested_at_ms: int
    began_at_ms: int = 0
    epoch: int = 0
    """That it began with."""
    ended_at_ms: int = 0
    files_moved: int = 0
    """Copies made by nodes at the last epoch of its change, as they told when they were done."""
    bytes_moved: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in _OPEN

    def begun(self, at_ms: int, *, node: str, epoch: int) -> ChangeRequest:
        """The record once its change is in progress; `node` is what it turned out to be about."""
        began = {"state": RequestState.RUNNING, "began_at_ms": at_ms, "node": node, "epoch": epoch}
        return self.model_copy(update=began)

    def ended(self, at_ms: int, state: RequestState, *, reason: str = "") -> ChangeRequest:
        """The record at its end."""
        return self.model_copy(update={"state": state, "ended_at_ms": at_ms, "reason": reason})
