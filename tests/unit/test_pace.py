"""How far and how fast a change is."""

from __future__ import annotations

import pytest

from services.admin.display.pace import Meter
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

MB = 1_000_000


def node(done: int, *, moved: int = 0, left: int = 0, synced: bool = False, of: int = 100) -> pb.NodeProgress:
    return pb.NodeProgress(
        partitions=of, partitions_done=done, bytes_moved=moved, bytes_left=left, synced=synced
    )


def test_before_anything_is_known_nothing_is_done():
    pace = Meter().look(0, epoch=2, nodes=[])
    assert (pace.done, pace.bytes_left, pace.bytes_per_s, pace.left_s) == (0.0, 0, None, None)


def test_without_bytes_it_is_as_far_as_the_slowest_node():
    assert Meter().look(0, epoch=2, nodes=[node(50), node(20), node(0, synced=True)]).done == 0.2
    assert Meter().look(0, epoch=2, nodes=[node(0, synced=True), node(0, of=0)]).done == 0


def test_as_long_as_bytes_are_only_known_to_be_missing_nothing_is_done():
    assert Meter().look(0, epoch=2, nodes=[node(50, left=MB), node(0, synced=True)]).done == 0


def test_what_was_moved_and_what_is_left_add_up_over_all_nodes():
    idle, moving = node(100, synced=True), node(10, moved=100 * MB, left=500 * MB)
    pace = Meter().look(0, epoch=2, nodes=[idle, moving, node(0, left=400 * MB)])
    assert (pace.done, pace.bytes_moved, pace.bytes_left) == (0.1, 100 * MB, 900 * MB)


def test_the_rate_is_that_of_the_last_moments():
    meter = Meter()
    for second in range(100):
        moved = second * MB if second < 50 else (50 + (second - 50) * 10) * MB
        pace = meter.look(second, epoch=2, nodes=[node(50, moved=moved, left=200 * MB)])
    assert pace.bytes_per_s == pytest.approx(10 * MB)
    assert pace.left_s == pytest.approx(20)


def test_a_change_that_stalls_has_no_end_in_sight():
    meter = Meter()
    for second in range(60):
        pace = meter.look(second, epoch=2, nodes=[node(50, moved=MB, left=MB)])
    assert (pace.bytes_per_s, pace.left_s) == (0.0, None)


def test_looks_in_quick_succession_tell_no_rate():
    meter = Meter()
    meter.look(0, epoch=2, nodes=[node(1, moved=MB)])
    assert meter.look(0.1, epoch=2, nodes=[node(1, moved=2 * MB)]).bytes_per_s is None


def test_what_is_done_never_shrinks_until_the_change_is_planned_anew():
    meter = Meter()
    assert meter.look(0, epoch=2, nodes=[node(80)]).done == 0.8
    assert meter.look(1, epoch=2, nodes=[node(80, moved=MB, left=9 * MB)]).done == 0.8
    assert meter.look(2, epoch=3, nodes=[node(10)]).done == 0.1


def test_a_node_that_counts_anew_after_a_restart_does_not_move_backwards():
    meter = Meter()
    meter.look(0, epoch=2, nodes=[node(50, moved=100 * MB)])
    assert meter.look(1, epoch=2, nodes=[node(1, moved=MB)]).bytes_per_s == 0
