"""What operators are told of the cluster, and how it is shown."""

from __future__ import annotations

import io
import json

from rich.console import Console

from services.admin.census import Answer
from services.admin.display.status import headline, remarks, show_nodes, show_status
from services.admin.report import ring_report, unformed_report
from services.admin.views.cluster import ClusterView
from services.shared.ring.builder import build
from services.shared.ring.state import Change, ChangeKind, NodeState, Phase
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from tests.harness.ring import node_entry, node_live, ring_state

DESCRIPTION = storage_pb2.DescribeResponse(
    node_id="a", epoch=3, files=12, stored_bytes=3_400_000, free_bytes=10**11, capacity_bytes=10**12
)


def stable(*live: str) -> RingView:
    state, table = ring_state(["a", "b"], epoch=3)
    return RingView(state=state, tables={table.id: table}, live={name: node_live(name) for name in live})


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=140, color_system=None)


def pipe() -> Console:
    return Console(file=io.StringIO(), width=20)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_report_has_the_ring_and_every_node_with_its_share():
    report = ring_report(stable("a"), {"a": Answer(description=DESCRIPTION), "b": Answer(problem="Off.")})
    assert (report.epoch, report.phase, report.replicas, report.write_quorum) == (3, pb.PHASE_STABLE, 2, 2)
    first, second = report.nodes
    assert (first.id, first.live, first.partitions, first.share) == ("a", True, 4096, 0.5)
    assert first.usage.files == 12
    assert (second.id, second.live, second.problem) == ("b", False, "Off.")
    assert not second.HasField("usage")


def test_while_migrating_the_report_tells_what_is_and_what_will_be():
    state, table = ring_state(["a", "b"])
    nodes = {**state.nodes, "c": node_entry("c").model_copy(update={"state": NodeState.JOINING})}
    grown = state.model_copy(update={"nodes": nodes})
    target = build(grown.placeable(), 2, table)
    change = Change(id="1", kind=ChangeKind.ADD, node="c")
    moving = grown.model_copy(update={"phase": Phase.MIGRATING, "next": target.id, "change": change})
    view = RingView(state=moving, tables={table.id: table, target.id: target})
    report = ring_report(view, {})
    joining = report.nodes[2]
    assert (joining.partitions, joining.next_partitions) == (0, target.counts["c"])
    assert joining.state == pb.NODE_STATE_JOINING
    assert (report.change.kind, report.change.node_id) == (pb.CHANGE_KIND_ADD, "c")
    assert "In progress: add c." in remarks(report)


def test_live_nodes_outside_the_ring_are_candidates():
    report = ring_report(stable("a", "x"), {})
    assert [candidate.id for candidate in report.candidates] == ["x"]
    assert list(remarks(report)) == ["x at x:9090 is up and not part of the ring."]


def test_before_the_ring_is_formed_the_report_says_so_and_who_is_there():
    report = unformed_report({"b": node_live("b"), "a": node_live("a")})
    assert headline(report) == "The storage ring has not been formed yet."
    assert [candidate.id for candidate in report.candidates] == ["a", "b"]
    assert ClusterView.of(report).epoch is None


def test_every_state_and_kind_has_a_name_on_the_wire():
    state, table = ring_state(["a"])
    for node_state in NodeState:
        nodes = {"a": node_entry("a").model_copy(update={"state": node_state})}
        for kind in ChangeKind:
            changed = state.model_copy(update={"nodes": nodes, "change": Change(id="1", kind=kind)})
            told = ClusterView.of(ring_report(RingView(state=changed, tables={table.id: table}), {}))
            assert told.nodes[0].state == node_state.value
            assert told.change
            assert told.change.kind == kind.value


def test_a_terminal_gets_a_table():
    console = terminal()
    show_status(console, ring_report(stable("a"), {"a": Answer(description=DESCRIPTION)}))
    text = shown(console)
    assert "Ring of 2 nodes at epoch 3, STABLE, 2 copies of each file." in text
    row_a, row_b = (line for line in text.splitlines() if ":9090" in line)
    assert [cell.strip() for cell in row_a.split("│")[1:-1]] == [
        *("a", "a:9090", "default", "1", "active", "50.0%", "12", "3.4 MB", "100.0 GB")
    ]
    assert "active, down" in row_b


def test_a_pipe_gets_tab_separated_lines_of_any_length():
    console = pipe()
    show_status(console, ring_report(stable("a"), {"a": Answer(description=DESCRIPTION)}))
    lines = shown(console).splitlines()
    assert lines[1].split("\t")[:3] == ["NODE", "ADDRESS", "ZONE"]
    assert lines[2].split("\t")[-1] == "100.0 GB"


def test_nodes_are_listed_one_per_line_in_a_pipe_and_as_a_table_on_a_terminal():
    piped, table = pipe(), terminal()
    show_nodes(piped, ["a:1", "[::1]:2"])
    show_nodes(table, ["a:1", "[::1]:2"])
    assert shown(piped) == "a:1\n[::1]:2\n"
    assert "STORAGE NODE" in shown(table)
    assert "[::1]:2" in shown(table)


def test_the_record_of_a_status_is_plain_json():
    report = ring_report(stable("a"), {"a": Answer(description=DESCRIPTION)})
    record = json.loads(ClusterView.of(report).model_dump_json())
    assert record["phase"] == "STABLE"
    assert record["nodes"][0]["usage"]["stored_bytes"] == 3_400_000
    assert record["nodes"][1]["usage"] is None
    assert record["change"] is None
