"""Verifications: looking at a finished video as a whole, and what came of it. Pure data and pure rules.

Each piece is checked before it is accepted. What no single piece can show is looked at once all are there: is
every file where it belongs, do the segments of each track join without gap or overlap, is that what the
manifests say, can it all be decoded?
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from services.shared.record import Record
from services.shared.video import Verdict

_MAX_FAULTS: Final = 200
"""A disk's worth of lost files is not listed one by one in a record of etcd; `fsck` does that."""


class FaultKind(StrEnum):
    """What can be wrong."""

    LACKING = "lacking"
    """A node that owns a file has no copy; others do."""
    DAMAGED = "damaged"
    """A node's copy does not match its checksums."""
    MISSING = "missing"
    """Nobody has a copy."""
    TIMELINE = "timeline"
    """A segment is not the one that belongs there: its time, its length or its form is another."""
    MANIFEST = "manifest"
    """A manifest or playlist says something other than what is there."""
    UNDECODABLE = "undecodable"
    """A decoder complains, or makes fewer or more frames than the segment says it has."""


class Outcome(StrEnum):
    """What became of a fault."""

    OPEN = "open"
    MENDED = "mended"
    BEYOND_REPAIR = "beyond repair"
    """Nothing this installation can do by itself helps; the fault's `problem` says why."""


class Fault(Record):
    """Something that is wrong with one file."""

    kind: FaultKind
    file: str
    """Its name, without the video's id."""
    track: str = ""
    """The rendition or sound track it belongs to."""
    segment: int | None = None
    """Which one of the track, counted from 0."""
    nodes: tuple[str, ...] = ()
    """Storage nodes concerned."""
    problem: str = ""
    """A sentence for people."""
    outcome: Outcome = Outcome.OPEN

    @property
    def identity(self) -> tuple[FaultKind, str, tuple[str, ...]]:
        """What makes it the same fault, however often it is met."""
        return self.kind, self.file, self.nodes

    def ended(self, outcome: Outcome, why: str = "") -> Fault:
        """The fault after something was done about it; `why` is added to the problem."""
        problem = " ".join(filter(None, (self.problem, why)))
        return self.model_copy(update={"outcome": outcome, "problem": problem})


class Verification(Record):
    """One verification: as it was asked for, how far it has come, what it has found."""

    generation: int
    requested_at_ms: int
    mend: bool = True
    """Whether to mend what is found."""
    began_at_ms: int = 0
    finished_at_ms: int = 0
    worker: str = ""
    """Who looked last."""
    steps: int = 0
    steps_done: int = 0
    """Long videos are looked at in several goes; each begins where the last one stopped."""
    files: int = 0
    size_bytes: int = 0
    frames: int = 0
    """Decoded, video and sound."""
    faults: tuple[Fault, ...] = ()
    faults_untold: int = 0
    """How many more there were than are listed."""
    unreachable: tuple[str, ...] = ()
    """Storage nodes that did not answer: whether they have what they should is not known."""
    verdict: Verdict | None = None
    """None while it is wanted or under way."""
    reason: str = ""
    """Why it could not be made."""
    cut_short: bool = False
    """It could not be made for a reason that passes: a backing service or the ring was away for long."""

    @property
    def is_worth_another_look(self) -> bool:
        """Whether somebody is to look again later: whoever did not answer now may do so then."""
        return self.cut_short or (self.verdict is Verdict.UNCERTAIN and not self.reason)

    def noting(self, faults: Iterable[Fault]) -> Verification:
        """The record with some more faults. What is known already of a file is not told twice."""
        known = {fault.identity for fault in self.faults}
        found = {fault.identity: fault for fault in faults}
        fresh = [fault for identity, fault in found.items() if identity not in known]
        room = max(0, _MAX_FAULTS - len(self.faults))
        return self.model_copy(
            update={
                "faults": (*self.faults, *fresh[:room]),
                "faults_untold": self.faults_untold + len(fresh[room:]),
            }
        )

    def missing_nodes(self, nodes: Iterable[str]) -> Verification:
        """The record with some more nodes that did not answer."""
        return self.model_copy(update={"unreachable": tuple(sorted({*self.unreachable, *nodes}))})

    def begun_again(self) -> Verification:
        """The same request, with nothing looked at yet."""
        return Verification(generation=self.generation, requested_at_ms=self.requested_at_ms, mend=self.mend)

    def concluded(self, *, now_ms: int, reason: str = "", cut_short: bool = False) -> Verification:
        """The record with its verdict; `reason`: why it was given up, `cut_short`: that this passes."""
        end = {"finished_at_ms": now_ms, "reason": reason, "cut_short": cut_short}
        finished = self.model_copy(update=end)
        return finished.model_copy(update={"verdict": _verdict(finished)})


def _verdict(verification: Verification) -> Verdict:
    unmended = [fault for fault in verification.faults if fault.outcome is not Outcome.MENDED]
    if unmended or verification.faults_untold:
        return Verdict.FAULTY
    if verification.unreachable or verification.reason:
        return Verdict.UNCERTAIN
    return Verdict.SOUND
