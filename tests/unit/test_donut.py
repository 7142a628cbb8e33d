"""The ring as a picture."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.admin.views.cluster import NodeView
from services.web.donut import donut_of


def node(name: str, now: int, then: int | None = None) -> NodeView:
    then = now if then is None else then
    return NodeView(
        id=name,
        address=f"{name}:1",
        zone="default",
        weight=1.0,
        state="active",
        live=True,
        partitions=now,
        next_partitions=then,
        share=now / 100,
        next_share=then / 100,
        usage=None,
        problem=None,
    )


def test_arcs_follow_one_another_around_the_circle():
    donut = donut_of([node("a", 50), node("b", 30), node("c", 20)])
    assert [arc.start for arc in donut.now] == pytest.approx([0, 50, 80])
    assert [arc.length for arc in donut.now] == pytest.approx([49.5, 29.5, 19.5])
    assert donut.then == ()


def test_a_ring_of_one_node_is_closed():
    (arc,) = donut_of([node("a", 100)]).now
    assert arc.length == 100


def test_a_small_share_can_still_be_seen():
    arcs = donut_of([node("a", 100), node("b", 0).model_copy(update={"share": 0.001})]).now
    assert arcs[1].length > 0


def test_during_a_change_there_is_what_will_be_besides():
    donut = donut_of([node("a", 100, 60), node("b", 0, 40)])
    assert [arc.node.id for arc in donut.now] == ["a"]
    assert [arc.node.id for arc in donut.then] == ["a", "b"]
    assert donut.then[1].hue == donut.hues["b"]


def test_a_hundred_nodes_have_a_hundred_colours():
    hues = sorted(donut_of([node(f"n{number}", 1) for number in range(100)]).hues.values())
    assert all(later - earlier > 1 for earlier, later in pairwise(hues))


def test_without_nodes_there_is_nothing_to_draw():
    assert donut_of([]).now == ()
