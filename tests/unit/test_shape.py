"""Which changes of a stack's size its data survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.local.shape import Shape, settle
from services.shared.errors import ConflictError, InvalidRequestError


def test_a_new_stack_has_the_defaults():
    assert settle({"storage_nodes": None}, None) == Shape(
        etcd_nodes=3, storage_nodes=3, transcoders=2, webs=1, replicas=2
    )


def test_what_was_chosen_once_is_remembered(tmp_path: Path):
    settle({"transcoders": 4, "storage_nodes": 5}, None).remember(tmp_path)
    again = settle({"transcoders": None}, Shape.remembered(tmp_path))
    assert (again.transcoders, again.storage_nodes) == (4, 5)


def test_a_damaged_memory_is_not_taken_for_a_new_stack(tmp_path: Path):
    (tmp_path / "stack.json").write_text("")
    with pytest.raises(ConflictError, match="damaged"):
        Shape.remembered(tmp_path)


def test_workers_and_web_processes_may_come_and_go():
    shape = settle({"transcoders": 0, "webs": 2}, Shape(transcoders=3, webs=4))
    assert (shape.transcoders, shape.webs) == (0, 2)


def test_storage_nodes_may_be_added():
    assert settle({"storage_nodes": 5}, Shape(storage_nodes=3)).storage_nodes == 5


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"etcd_nodes": 1}, "3 members"),
        ({"storage_nodes": 2}, "3 storage nodes"),
        ({"replicas": 3}, "2 copies"),
    ],
)
def test_a_change_that_would_cost_data_is_refused_and_explained(wanted: dict[str, int | None], says: str):
    with pytest.raises(ConflictError, match=says):
        settle(wanted, Shape())


def test_more_copies_than_nodes_are_refused_with_both_ways_out():
    says = (
        "5 copies of each file need 5 storage nodes, not 2.* --storage-nodes, or choose fewer .* --replicas"
    )
    with pytest.raises(InvalidRequestError, match=says):
        settle({"replicas": 5, "storage_nodes": 2}, None)
    with pytest.raises(InvalidRequestError, match="not 3"):
        settle({"replicas": 4}, None)


def test_as_many_copies_as_nodes_will_do():
    assert not settle({"replicas": 1, "storage_nodes": 1}, None).shortage
    assert not settle({"replicas": 5, "storage_nodes": 5}, None).shortage


def test_a_single_node_may_begin_with_one_of_the_copies_that_nobody_asked_for():
    shape = settle({"storage_nodes": 1, "replicas": None}, None)
    assert shape.replicas == 2
    assert "2 storage nodes, not 1" in shape.shortage


def test_a_stack_that_has_more_copies_than_nodes_is_not_locked_out():
    before = Shape(storage_nodes=2, replicas=5)
    assert settle({"replicas": 5}, before) == before
    assert not settle({"storage_nodes": 5}, before).shortage


def test_copies_may_be_kept_by_nodes_of_other_stacks():
    assert settle({"replicas": 3, "storage_nodes": 1}, None, alone=False).replicas == 3
