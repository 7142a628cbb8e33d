"""What the admin command shows: to people on a terminal, to programs in a pipe."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from services.admin.display.changes import outcome, pace_note, recorded, show_preview, show_requests
from services.admin.display.files import Verdict, show_finding, show_summary
from services.admin.display.pace import Pace
from services.admin.display.progress import Lines, Reporter, reporting
from services.admin.display.ring import BLOCKS, LETTERS, bars, show_location, show_ring
from services.admin.display.status import remarks, show_status
from services.admin.display.tables import count, from_to, show_list, show_rows, span
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=140, color_system=None)


def pipe() -> Console:
    return Console(file=io.StringIO(), width=20)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def node(name: str, now: int, then: int, **more: Any) -> pb.NodeStatus:
    values = {"state": pb.NODE_STATE_ACTIVE, "live": True, "share": now / 8192, **more}
    return pb.NodeStatus(id=name, partitions=now, next_partitions=then, **values)


GROWING = pb.GetStatusResponse(
    epoch=4,
    phase=pb.PHASE_MIGRATING,
    replicas=2,
    nodes=[
        node("a", 4096, 2731),
        node("b", 4096, 2731, live=False),
        node("c", 0, 2730, state=pb.NODE_STATE_JOINING),
        node("old", 0, 0, state=pb.NODE_STATE_REMOVED),
    ],
    change=pb.Change(id="1", kind=pb.CHANGE_KIND_ADD, node_id="c"),
    progress=[
        pb.NodeProgress(
            node_id="a", partitions=4, partitions_done=1, bytes_moved=1_000_000, bytes_left=3_000_000
        ),
        pb.NodeProgress(node_id="b", waiting_for="c has no room."),
    ],
    queue=[pb.ChangeRequest(request_id="r2", kind=pb.CHANGE_KIND_DRAIN, node_id="a")],
    suspects=[
        pb.Suspect(node_id="b", since_ms=1_700_000_000_000, dead_at_ms=1_700_000_900_000),
        pb.Suspect(node_id="z", since_ms=1_700_000_000_000),
    ],
    under_replicated=12,
)

DONE = pb.ChangeRequest(
    request_id="r1",
    kind=pb.CHANGE_KIND_DRAIN,
    node_id="a",
    state=pb.REQUEST_STATE_DONE,
    requested_at_ms=1_700_000_000_000,
    began_at_ms=1_700_000_001_000,
    ended_at_ms=1_700_000_083_000,
)


def changed(request: pb.ChangeRequest, **fields: Any) -> pb.ChangeRequest:
    copy = pb.ChangeRequest()
    copy.CopyFrom(request)
    copy.MergeFrom(pb.ChangeRequest(**fields))
    return copy


# ---- words ----


def test_numbers_come_with_their_noun():
    assert [count(n, "copy") for n in (0, 1, 1200)] == ["0 copies", "1 copy", "1,200 copies"]
    assert count(2, "file") == "2 files"


def test_a_share_that_stays_is_said_once():
    assert (from_to(1 / 3, 0.25), from_to(0.5, 0.5)) == ("33.3% -> 25.0%", "50.0%")


def test_spans_are_read_like_a_clock():
    assert (span(0.9), span(80), span(90_000)) == ("0:00:00", "0:01:20", "1 day, 1:00:00")


def test_a_terminal_gets_tables_and_a_pipe_plain_lines():
    for show, wanted in ((terminal(), "│ x"), (pipe(), "A\tB\nx\ty\n")):
        show_rows(show, ("A", "B"), [("x", "y")])
        assert wanted in shown(show)
    empty = pipe()
    show_rows(empty, ("A",), [])
    show_list(empty, "A", [])
    assert shown(empty) == ""


def test_text_is_never_taken_for_markup():
    console = terminal()
    show_rows(console, ("A",), [("[red]x[/red]",)])
    assert "[red]x[/red]" in shown(console)


# ---- status ----


def test_the_status_tells_what_goes_on_waits_and_is_amiss():
    assert list(remarks(GROWING)) == [
        "In progress: add c.",
        "25% of it is done: 1.0 MB moved, 3.0 MB left.",
        "b waits: c has no room.",
        "Waiting for its turn: drain a (r2).",
        "b has been away since 2023-11-14 22:13:20, and will be declared dead at 2023-11-14 22:28:20.",
        "z has been away since 2023-11-14 22:13:20.",
        "12 copies still to be made, as far as is known.",
        "Removed: old.",
    ]


def test_a_picture_from_before_etcd_went_away_says_from_when_it_is():
    console = pipe()
    show_status(console, pb.GetStatusResponse(epoch=1, phase=pb.PHASE_STABLE, as_of_ms=1_700_000_000_000))
    assert (
        shown(console).splitlines()[1] == "etcd does not answer: this is how it was at 2023-11-14 22:13:20."
    )


def test_a_node_that_was_removed_is_told_apart_from_one_that_can_go():
    usages = {"full": pb.NodeUsage(files=7), "empty": pb.NodeUsage()}
    nodes = [node(name, 0, 0, state=pb.NODE_STATE_REMOVED, usage=usage) for name, usage in usages.items()]
    assert list(remarks(pb.GetStatusResponse(epoch=1, nodes=nodes))) == [
        "full was removed and still holds 7 files: leave it on until it holds none.",
        "empty was removed and holds nothing: it may be switched off.",
    ]


def test_the_share_to_come_stands_beside_the_share_there_is():
    console = pipe()
    show_status(console, GROWING)
    rows = {line.split("\t")[0]: line.split("\t") for line in shown(console).splitlines() if "\t" in line}
    assert rows["a"][5] == "50.0% -> 33.3%"
    assert rows["b"][4] == "active, down"
    assert "old" not in rows
    assert shown(console).startswith("Ring of 3 nodes at epoch 4")


# ---- the ring ----


def test_each_node_has_a_bar_as_long_as_its_share():
    a, b, c, key = bars(GROWING, LETTERS)
    assert a == f"a  active          {'#' * 27 + '-' * 13}  50.0% -> 33.3%"
    assert b.startswith("b  active, down    ###")
    assert c == f"c  joining         {'+' * 27 + ' ' * 13}  0.0% -> 33.3%"
    assert key == "# stays  + is to come  - is to go"


def test_a_ring_at_rest_needs_no_key_and_one_not_formed_has_no_bars():
    assert len(list(bars(pb.GetStatusResponse(epoch=1, nodes=[node("a", 8192, 8192)]), BLOCKS))) == 1
    console = pipe()
    show_ring(console, pb.GetStatusResponse())
    assert shown(console) == "The storage ring has not been formed yet.\n"


def test_a_location_tells_owners_and_holders_apart():
    console = pipe()
    copies = [
        pb.CopyStatus(node_id="a", owner=True, held=True),
        pb.CopyStatus(node_id="b", owner=True, next_owner=True, problem="b cannot be reached."),
        pb.CopyStatus(node_id="c", next_owner=True),
        pb.CopyStatus(node_id="d", held=True),
    ]
    show_location(console, pb.LocateFileResponse(partition=7, position=7 << 52, copies=copies))
    assert shown(console).splitlines() == [
        "Partition 7, position 0x0070000000000000.",
        "NODE\tOWNER\tHOLDS IT\tPROBLEM",
        "a\tnow\tyes\t-",
        "b\tnow, after the change\tunknown\tb cannot be reached.",
        "c\tafter the change\tno\t-",
        "d\tno\tyes\t-",
    ]


# ---- changes ----


def test_a_preview_tells_what_moves_and_what_to_mind():
    console = pipe()
    moves = [
        pb.NodeMove(
            node_id="a", partitions_before=9, partitions_after=6, share_before=0.5, share_after=1 / 3
        ),
        pb.NodeMove(node_id="b", partitions_before=4, partitions_after=4, files=3, moved_bytes=2_500_000),
    ]
    preview = pb.PreviewChangeResponse(
        nodes=moves, partitions=3, files=1, moved_bytes=2_500_000, warnings=["b is nearly full."]
    )
    show_preview(console, preview)
    assert shown(console).splitlines()[1:] == [
        "a\t50.0% -> 33.3%\t9 -> 6\t0\t0 bytes",
        "b\t0.0%\t4\t3\t2.5 MB",
        "3 partitions would have other owners; 1 copy, 2.5 MB, would be made.",
        "Warning: b is nearly full.",
        "Nothing was changed.",
    ]


def test_requests_are_listed_with_how_long_they_took():
    console = pipe()
    queued = pb.ChangeRequest(request_id="r2", kind=pb.CHANGE_KIND_REBALANCE, state=pb.REQUEST_STATE_QUEUED)
    show_requests(console, [queued, DONE])
    assert shown(console).splitlines()[1:] == [
        "r2\trebalance\t-\tqueued\t1970-01-01 00:00:00\t-\t-",
        "r1\tdrain\ta\tdone\t2023-11-14 22:13:20\t0:01:22\t-",
    ]


def test_where_nothing_was_ever_asked_a_terminal_says_so():
    console, piped = terminal(), pipe()
    show_requests(console, [])
    show_requests(piped, [])
    assert (shown(console), shown(piped)) == ("No change has been asked for yet.\n", "")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            pb.REQUEST_STATE_QUEUED,
            "is recorded, and begins when no other change is in progress. Follow it with: tritontube",
        ),
        (pb.REQUEST_STATE_RUNNING, "is in progress. Follow it with: tritontube-admin watch here:1 r1"),
        (pb.REQUEST_STATE_DONE, "is done after 0:01:22."),
        (pb.REQUEST_STATE_ABORTED, "was aborted."),
    ],
)
def test_an_order_that_is_not_waited_for_says_how_it_stands(state, sentence):
    assert sentence in recorded(changed(DONE, state=state), "here:1")


def test_an_end_tells_how_long_it_took_or_why_not():
    assert outcome(DONE) == "Request r1 (drain a) is done after 0:01:22."
    refused = changed(DONE, state=pb.REQUEST_STATE_REFUSED, reason="a is the last node.")
    assert outcome(refused) == "Request r1 (drain a) was refused: a is the last node."


# ---- progress ----


def news(done: int, *, state: pb.RequestState.ValueType = pb.REQUEST_STATE_RUNNING, waits=""):
    """Of a node that has moved `done` of 100 MB."""
    progress = pb.NodeProgress(
        node_id="a",
        partitions=100,
        partitions_done=done,
        bytes_moved=done * 1_000_000,
        bytes_left=(100 - done) * 1_000_000,
        waiting_for=waits,
    )
    request = pb.ChangeRequest(request_id="r1", kind=pb.CHANGE_KIND_DRAIN, node_id="a", state=state)
    return pb.WatchChangeResponse(request=request, epoch=2, nodes=[progress])


def test_a_pipe_gets_a_line_every_few_seconds_and_when_the_state_changes():
    console = pipe()
    reporter = Reporter(Lines(console))
    for second in range(11):
        reporter.show(news(second * 10), second)
    reporter.show(news(100, state=pb.REQUEST_STATE_DONE), 10.5)
    assert shown(console).splitlines() == [
        "drain a: running\t0%\t0 bytes moved, 100.0 MB left",
        "drain a: running\t50%\t50.0 MB moved, 50.0 MB left, 10.0 MB/s, 0:00:05",
        "drain a: running\t100%\t100.0 MB moved, 10.0 MB/s, 0:00:00",
        "drain a: done\t100%\t100.0 MB moved",
    ]


def test_what_a_node_waits_for_is_said_once():
    console = pipe()
    reporter = Reporter(Lines(console))
    for second in range(3):
        reporter.show(news(1, waits="b is full."), second)
    assert shown(console).count("a waits: b is full.") == 1


def test_an_end_without_a_word_on_the_nodes_is_an_end_all_the_same():
    console = pipe()
    reporter = Reporter(Lines(console))
    reporter.show(news(90), 0)
    reporter.show(pb.WatchChangeResponse(request=DONE, epoch=3), 1)
    assert shown(console).splitlines()[-1] == "drain a: done\t100%\t90.0 MB moved"


def test_an_end_tells_what_was_moved_though_little_of_it_was_seen():
    """The server was away meanwhile."""
    console = pipe()
    reporter = Reporter(Lines(console))
    reporter.show(news(10), 0)
    reporter.show(pb.WatchChangeResponse(request=changed(DONE, bytes_moved=90_000_000), epoch=3), 1)
    assert shown(console).splitlines()[-1] == "drain a: done\t100%\t90.0 MB moved"


def test_a_terminal_gets_a_bar():
    console = terminal()
    with reporting(console) as reporter:
        reporter.show(news(40, waits="[b] is full."), 0)
    text = shown(console)
    assert "drain a: running" in text
    assert " 40%" in text
    assert "60.0 MB left" in text
    assert "a waits: [b] is full." in text


def test_a_program_gets_no_progress():
    console = pipe()
    with reporting(console, quiet=True) as reporter:
        reporter.show(news(40, waits="b is full."), 0)
    assert shown(console) == ""


def test_a_pace_without_a_rate_promises_nothing():
    pace = Pace(done=0.1, files_moved=0, bytes_moved=0, bytes_left=9_000, bytes_per_s=None, left_s=None)
    assert pace_note(pace) == "0 bytes moved, 9.0 kB left"


# ---- checks ----

LACKING = pb.Finding(kind=pb.FINDING_KIND_UNDER_REPLICATED, key="v/1.m4s", nodes=["a", "b"])


def test_findings_are_one_line_each():
    console, piped = terminal(), pipe()
    show_finding(console, LACKING)
    show_finding(piped, pb.Finding(kind=pb.FINDING_KIND_ORPHAN, key="v/2", nodes=["a"], repaired=True))
    assert shown(console) == "under-replicated v/1.m4s  a,b\n"
    assert shown(piped) == "orphan\tv/2\ta\trepaired\n"


def test_the_end_of_a_check_tells_what_was_found():
    console = pipe()
    show_summary(console, pb.CheckSummary(files=2, copies=4, stored_bytes=1_000))
    show_summary(
        console, pb.CheckSummary(files=1, copies=1, missing=1, orphans=2, repaired=1, unreachable=["c"])
    )
    assert shown(console).splitlines() == [
        "2 files in 4 copies, 1.0 kB: nothing to mend.",
        "1 file in 1 copy, 0 bytes: 1 missing, 2 orphaned.",
        "1 finding repaired.",
        "c could not be asked: what only it would hold is not called missing.",
    ]


def test_a_check_is_sound_unless_copies_lack_or_somebody_was_away():
    verdict = Verdict()
    assert verdict.is_sound(pb.CheckSummary())
    assert not verdict.is_sound(pb.CheckSummary(unreachable=["a"]))
    for finding in (
        pb.Finding(kind=pb.FINDING_KIND_SURPLUS),
        pb.Finding(kind=pb.FINDING_KIND_CORRUPT, repaired=True),
    ):
        verdict.add(finding)
        assert verdict.is_sound(pb.CheckSummary())
    verdict.add(LACKING)
    assert not verdict.is_sound(pb.CheckSummary())
