"""What a verification has found, shown to operators."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal

from services.admin.display.tables import count
from services.admin.views.verification import FaultView, VerificationView


def lines_of(found: VerificationView) -> Iterator[str]:
    """A line for each fault, then how it stands."""
    yield from map(_fault, found.faults)
    if found.faults_untold:
        yield f"and {count(found.faults_untold, 'fault')} more"
    for node in found.unreachable:
        yield f"{node} could not be asked: whether it holds what it should is not known"
    if found.reason:
        yield found.reason
    yield _standing(found)


def _fault(fault: FaultView) -> str:
    """Track, segment, what, which file, whose, what became of it."""
    place = fault.track or "-"
    number = "-" if fault.segment is None else str(fault.segment)
    fields = (
        place,
        number,
        fault.kind,
        fault.file,
        ",".join(fault.nodes),
        fault.outcome,
        fault.problem or "",
    )
    return "\t".join(fields).rstrip()


def _standing(found: VerificationView) -> str:
    seen = (
        f"{count(found.files, 'file')}, {decimal(found.size_bytes)}, {count(found.frames, 'frame')} decoded"
    )
    if found.verdict is None:
        return f"not finished: step {found.steps_done} of {found.steps or '?'}, {seen}"
    return f"{found.verdict}: {seen}, {count(len(found.faults) + found.faults_untold, 'fault')}"
