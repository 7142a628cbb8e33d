"""What a check of all files finds, shown to operators as it is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.filesize import decimal

from services.admin.display.tables import count, show_lines
from services.admin.views.names import finding_name
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

SERIOUS: Final = frozenset(
    {pb.FINDING_KIND_UNDER_REPLICATED, pb.FINDING_KIND_MISSING, pb.FINDING_KIND_CORRUPT}
)
"""What endangers files. Surplus copies and orphans only take up room, and go by themselves."""


class Verdict:
    """Adds up findings, to tell whether all is well in the end."""

    def __init__(self) -> None:
        self.open: Counter[pb.FindingKind.ValueType] = Counter()
        """Findings that are not mended, by kind."""

    def add(self, finding: pb.Finding) -> None:
        """Count a finding."""
        if not finding.repaired:
            self.open[finding.kind] += 1

    def is_sound(self, summary: pb.CheckSummary) -> bool:
        """Whether every file has all its copies, as far as that could be seen: everyone answered."""
        return not summary.unreachable and not any(self.open[kind] for kind in SERIOUS)


def show_finding(console: Console, finding: pb.Finding) -> None:
    """Print a finding on a line of its own."""
    nodes = ",".join(finding.nodes)
    outcome = "repaired" if finding.repaired else finding.problem
    if console.is_terminal:
        line = f"{finding_name(finding.kind):<17}{finding.key}  {nodes}  {outcome}".rstrip()
    else:
        line = "\t".join((finding_name(finding.kind), finding.key, nodes, outcome))
    show_lines(console, [line])


def show_summary(console: Console, summary: pb.CheckSummary) -> None:
    """Print how a check ended."""
    show_lines(console, _sentences(summary))


def _sentences(summary: pb.CheckSummary) -> Iterator[str]:
    yield (
        f"{count(summary.files, 'file')} in {count(summary.copies, 'copy')}, "
        f"{decimal(summary.stored_bytes)}: {_found(summary)}."
    )
    if summary.repaired:
        yield f"{count(summary.repaired, 'finding')} repaired."
    for node in summary.unreachable:
        yield f"{node} could not be asked: what only it would hold is not called missing."


def _found(summary: pb.CheckSummary) -> str:
    counts = {
        "under-replicated": summary.under_replicated,
        "missing": summary.missing,
        "corrupt": summary.corrupt,
        "surplus": summary.surplus,
        "orphaned": summary.orphans,
    }
    return ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "nothing to mend"
