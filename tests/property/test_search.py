"""The read rule in action: any copy that can be had is found, and absence is never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.content.search import Found, Search
from services.shared.errors import NotFoundError, TritonTubeError, UnavailableError
from services.shared.ring.view import RingView
from tests.property.test_ring_view import NAMES, keys, views
from tests.simulation.clock import run as in_virtual_time

LATE_S = 0.001

answers = st.sampled_from(["has it", "has it late", "has none", "is away"])
worlds = st.fixed_dictionaries(dict.fromkeys(NAMES, answers))
sparse_worlds = st.fixed_dictionaries({name: st.sampled_from(["has none", "is away"]) for name in NAMES})


class Etcd:
    """A ring that may have moved on by the time it is read again, or cannot be read."""

    def __init__(self, view: RingView, *, moved: bool = False, away: bool = False) -> None:
        self.view = view
        self._moved = moved
        self._away = away

    async def refresh(self) -> RingView:
        if self._away:
            raise UnavailableError("etcd is away")
        if self._moved:
            state = self.view.state.model_copy(update={"epoch": self.view.epoch + 1})
            return RingView(state=state, tables=self.view.tables, live=self.view.live)
        return self.view


def look(ring: Etcd, key: str, world: Mapping[str, str]) -> tuple[Found[str] | TritonTubeError, list[str]]:
    asked: list[str] = []

    async def ask(node: str) -> str | None:
        asked.append(node)
        if world[node] == "is away":
            raise UnavailableError("away")
        if world[node] == "has it late":
            await asyncio.sleep(LATE_S)
        return None if world[node] == "has none" else node

    try:
        return in_virtual_time(Search(ring, key, ask=ask, deadline_s=0).run()), asked
    except TritonTubeError as error:
        return error, asked


@settings(deadline=None, max_examples=60)
@given(views(), keys, worlds)
def test_a_copy_on_any_node_that_may_hold_one_is_found(view, key, world):
    outcome, _ = look(Etcd(view), key, world)
    holders = {node for node in view.read_order(key) if world[node].startswith("has it")}
    if holders:
        assert isinstance(outcome, Found)
        assert outcome.answer in holders
        assert all(world[node] == "has none" for node in outcome.without)
    else:
        assert isinstance(outcome, (NotFoundError, UnavailableError))


@settings(deadline=None, max_examples=60)
@given(views(), keys, sparse_worlds)
def test_absence_takes_two_rounds_in_which_everyone_says_no(view, key, world):
    outcome, asked = look(Etcd(view), key, world)
    order = view.read_order(key)
    if order and all(world[node] == "has none" for node in order):
        assert isinstance(outcome, NotFoundError)
        assert asked == [*order, *order]
    else:
        assert isinstance(outcome, UnavailableError)


@settings(deadline=None, max_examples=30)
@given(views(), keys, st.booleans())
def test_absence_is_not_claimed_of_a_ring_that_moved_or_cannot_be_read(view, key, moved):
    outcome, _ = look(Etcd(view, moved=moved, away=not moved), key, dict.fromkeys(NAMES, "has none"))
    assert isinstance(outcome, UnavailableError)
