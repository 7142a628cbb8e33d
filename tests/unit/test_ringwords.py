"""The cluster's state in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.admin.views.cluster import ChangeView, ClusterView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.web.lookout import ClusterStateView, PaceView
from services.web.ringwords import Tone, change_title, count, pace_words, since, until, verdict


def member(
    name: str, *, live: bool = True, state: pb.NodeState.ValueType = pb.NODE_STATE_ACTIVE
) -> pb.NodeStatus:
    return pb.NodeStatus(id=name, live=live, state=state)


WHOLE = pb.GetStatusResponse(epoch=1, phase=pb.PHASE_STABLE, replicas=2, nodes=[member("a"), member("b")])


def state(status: pb.GetStatusResponse, **services: str) -> ClusterStateView:
    return ClusterStateView(cluster=ClusterView.of(status), pace=None, services={"etcd": "ok", **services})


def with_nodes(*nodes: pb.NodeStatus, **more: Any) -> pb.GetStatusResponse:
    return pb.GetStatusResponse(epoch=1, phase=pb.PHASE_STABLE, replicas=2, nodes=nodes, **more)


def test_a_whole_cluster_is_well():
    assert verdict(state(WHOLE)) == (Tone.GOOD, "All is well.")


def test_a_ring_that_is_not_formed_says_so():
    assert verdict(state(pb.GetStatusResponse())).sentence == "The storage ring has not been formed yet."


def test_as_many_nodes_away_as_there_are_copies_are_worse_than_fewer():
    one = verdict(state(with_nodes(member("a"), member("b", live=False), member("c"))))
    two = verdict(state(with_nodes(member("a", live=False), member("b", live=False), member("c"))))
    assert one == (Tone.WARNING, "Away: b. Every file has a copy elsewhere.")
    assert two == (Tone.BAD, "2 storage nodes are away: some files may be out of reach.")


def test_who_knows_of_copies_that_lack_promises_nothing():
    nodes = (member("a"), member("b", live=False), member("c"))
    assert verdict(state(with_nodes(*nodes, under_replicated=2))).sentence == "Away: b. 2 copies are lacking."


@pytest.mark.parametrize("gone", [pb.NODE_STATE_DEAD, pb.NODE_STATE_REMOVED])
def test_nobody_waits_for_a_node_that_is_given_up(gone):
    assert verdict(state(with_nodes(member("a"), member("b", live=False, state=gone)))).tone is Tone.GOOD


def test_what_is_amiss_comes_before_what_goes_on():
    moving = with_nodes(member("a"), change=pb.Change(id="1", kind=pb.CHANGE_KIND_ADD), under_replicated=3)
    assert verdict(state(moving)).sentence == "Files are on the move. Watching and uploading go on."
    assert verdict(state(moving, etcd="Away.", broker="Away.")) == (
        Tone.WARNING,
        "Out of order: etcd, broker. What is shown may be old.",
    )


def test_copies_that_lack_are_being_made():
    assert verdict(state(with_nodes(member("a"), under_replicated=1))).sentence == (
        "1 copy is lacking, and being made."
    )


@pytest.mark.parametrize("kind", pb.ChangeKind.values()[1:])
def test_every_kind_of_change_has_a_title(kind):
    status = pb.GetStatusResponse(epoch=1, change=pb.Change(id="1", kind=kind, node_id="a"))
    change = ClusterView.of(status).change
    assert change
    assert change_title(change)


def test_a_change_without_a_node_reads_well():
    assert change_title(ChangeView(id="1", kind="add", node=None)) == "Adding a node"


def test_a_pace_tells_only_what_is_known():
    pace = PaceView(done=0.5, files_moved=1, bytes_moved=1 << 20, bytes_left=0, bytes_per_s=None, left_s=None)
    assert pace_words(pace) == ["1 MiB moved"]
    known = pace.model_copy(update={"bytes_left": 3 << 20, "bytes_per_s": 1048576.0, "left_s": 3.0})
    assert pace_words(known) == ["1 MiB moved", "3 MiB left", "1 MiB per second", "0:03 to go"]


def test_moments_are_told_from_now():
    now = datetime.now(UTC)
    assert since(now - timedelta(minutes=3)) == "3 minutes ago"
    assert until(now - timedelta(seconds=1)) == "now"
    assert until(now + timedelta(seconds=100)).startswith("in 1:")


def test_numbers_come_with_their_noun():
    assert (count(1, "copy", "copies"), count(1_200, "copy", "copies")) == ("1 copy", "1,200 copies")
