"""The write rule in action: rings, and nodes that take a file, refuse it, or never answer, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.shared.content.attempt import Attempt
from services.shared.content.files import StoredFile
from services.shared.content.part import Part
from services.shared.errors import (
    ConflictError,
    OutOfSpaceError,
    StaleRingError,
    TritonTubeError,
    UnavailableError,
)
from services.shared.ring.view import RingView
from tests.property.test_ring_view import NAMES, keys, views
from tests.simulation.clock import run as in_virtual_time

DATA = b"content"
PATIENCE_S = 0.02
TIMEOUT_S = 0.5

outcomes = st.sampled_from(["stores", "stores", "stores", "is slow", "is away", "is full", "never answers"])
behaviours = st.fixed_dictionaries(dict.fromkeys(NAMES, outcomes))


class Scripted:
    """Nodes that behave as written."""

    def __init__(self, behaviour: Mapping[str, str]) -> None:
        self._behaviour = behaviour
        self.holding: set[str] = set()
        self.asked: list[str] = []

    async def put(self, node: str, key: str, part: Part, *, epoch: int) -> StoredFile:
        self.asked.append(node)
        received = b"".join([chunk async for chunk in part.chunks()])
        assert received == DATA
        assert epoch == 1
        match self._behaviour[node]:
            case "is away":
                raise UnavailableError("away")
            case "is full":
                raise OutOfSpaceError("full")
            case "is stale":
                raise StaleRingError("stale", epoch=2)
            case "has other content":
                raise ConflictError("other content")
            case "never answers":
                await asyncio.Event().wait()
            case "is slow":
                await asyncio.sleep(PATIENCE_S * 3)
        self.holding.add(node)
        return StoredFile(key=key, size_bytes=len(DATA), sha256=part.sha256.hex())


def attempt(view: RingView, key: str, nodes: Scripted) -> TritonTubeError | TimeoutError | StoredFile:
    async def run() -> StoredFile:
        part = Part(limit_bytes=100)
        filling = asyncio.create_task(part.fill(DATA))
        async with asyncio.timeout(TIMEOUT_S):
            stored = await Attempt(nodes, view, key, part, patience_s=PATIENCE_S).run()
        await filling
        return stored

    try:
        return in_virtual_time(run())
    except (TritonTubeError, TimeoutError) as error:
        return error


@settings(deadline=None, max_examples=40)
@given(views(), keys, behaviours)
def test_a_file_is_stored_exactly_if_enough_nodes_can_take_it(view, key, behaviour):
    nodes = Scripted(behaviour)
    outcome = attempt(view, key, nodes)
    reachable = {*view.write_sets(key).targets, *view.handoff(key)}
    able = {node for node in reachable if behaviour[node] in {"stores", "is slow"}}
    if view.acknowledged(key, able):
        assert isinstance(outcome, StoredFile)
        assert view.acknowledged(key, nodes.holding)
    else:
        assert not isinstance(outcome, StoredFile)
    assert len(nodes.asked) == len(set(nodes.asked))


@settings(deadline=None, max_examples=40)
@given(views(), keys, behaviours)
def test_stand_ins_are_only_asked_when_owners_do_not_answer(view, key, behaviour):
    nodes = Scripted(behaviour)
    attempt(view, key, nodes)
    targets = view.write_sets(key).targets
    if all(behaviour[node] == "stores" and node in view.up for node in targets):
        assert set(nodes.asked) == set(targets)
        assert nodes.holding == set(targets)


@settings(deadline=None, max_examples=40)
@given(views(), keys, st.sampled_from(["is stale", "has other content"]))
def test_a_final_word_of_any_owner_ends_the_attempt(view, key, word):
    assume(view.write_sets(key).targets)
    dissenter = view.write_sets(key).targets[0]
    behaviour = dict.fromkeys(NAMES, "never answers") | {dissenter: word}
    assert isinstance(attempt(view, key, Scripted(behaviour)), (StaleRingError, ConflictError))


@settings(deadline=None, max_examples=40)
@given(views(), keys)
def test_full_nodes_are_told_apart_from_absent_ones(view, key):
    assume(view.write_sets(key).targets)
    outcome = attempt(view, key, Scripted(dict.fromkeys(NAMES, "is full")))
    assert isinstance(outcome, OutOfSpaceError)
