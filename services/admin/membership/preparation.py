"""From a request to the decision that carries it out, or to the reason why it is refused.

This is done twice: when the request comes in, so that who asks hears at once of what cannot be; and when its
turn comes, since the ring may be another one by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from services.admin.membership import changes
from services.admin.membership.changes import Decision
from services.admin.membership.examination import Examination, Newcomer
from services.shared.errors import ConflictError
from services.shared.etcd import Compare, absent, unchanged
from services.shared.ring.requests import AT_ONCE, ChangeRequest, ChangeSpec
from services.shared.ring.state import AT_WORK, Change, ChangeKind, NodeState, live_key
from services.shared.ring.view import RingView

_LEAVING: Final = frozenset({NodeState.DRAINING, NodeState.DEAD})


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request that can be carried out."""

    view: RingView
    """What it was decided from."""
    decision: Decision
    node: str
    """Id of the node that it is about."""
    compares: tuple[Compare, ...] = ()
    """What has to be so still, besides the ring's state and the request itself."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A request with who it is about."""

    view: RingView
    spec: ChangeSpec
    change: Change
    newcomer: Newcomer | None = None


class Preparation:
    """Examines and decides; changes nothing."""

    def __init__(self, examination: Examination) -> None:
        self._examination = examination

    async def foresee(self, view: RingView, request: ChangeRequest) -> Prepared:
        """Decide on a request that comes in, as things will be when its turn comes.

        Raises:
            RequestError: it can't be done, or is under way already; the sentence says why.
            UnavailableError: etcd can't be asked.
        """
        case = await self._examined(when_its_turn_comes(view, request.spec), request)
        _check_not_under_way(view, case)
        return await self._decided(case)

    async def prepare(self, view: RingView, request: ChangeRequest) -> Prepared:
        """Decide on a request, as things are in `view`.

        Raises:
            RequestError: it can't be done; the sentence says why.
            UnavailableError: etcd can't be asked.
        """
        return await self._decided(await self._examined(view, request))

    async def _decided(self, case: _Case) -> Prepared:
        compares = await self._presence(case)
        # It takes up to a tenth of a second for a hundred nodes: off the event loop.
        decision = await asyncio.to_thread(_DECIDERS[case.spec.kind], case)
        return Prepared(view=case.view, decision=decision, node=case.change.node or "", compares=compares)

    async def _examined(self, view: RingView, request: ChangeRequest) -> _Case:
        spec = request.spec
        newcomer = await self._examination.newcomer(view, spec.address) if _has_newcomer(spec) else None
        node = await self._subject(view, spec, newcomer)
        if spec.kind is ChangeKind.ABORT:
            _check_same(view, request)
        change = Change(id=request.id, kind=spec.kind, node=node or None, request_id=request.id)
        return _Case(view=view, spec=spec, change=change, newcomer=newcomer)

    async def _subject(self, view: RingView, spec: ChangeSpec, newcomer: Newcomer | None) -> str:
        match spec.kind:
            case ChangeKind.ADD:
                return newcomer.live.id if newcomer else ""
            case ChangeKind.ABORT:
                return (view.state.change.node if view.state.change else None) or ""
            case ChangeKind.REBALANCE if not spec.node:
                return ""
        return await self._examination.member(view, spec.node)

    async def _presence(self, case: _Case) -> tuple[Compare, ...]:
        """Who has to be there still when it is done, and who away."""
        newcomer = (unchanged(case.newcomer.kv),) if case.newcomer else ()
        return newcomer + await self._absence(case)

    async def _absence(self, case: _Case) -> tuple[Compare, ...]:
        node = case.change.node or ""
        gives_up = case.spec.kind is ChangeKind.DEAD
        if not gives_up and (case.spec.kind is not ChangeKind.REPLACE or node in case.view.up):
            return ()
        if not _is_at_work(case.view, node):
            return ()  # Whether it is up does not matter: the decision is to refuse.
        if await self._examination.live_key(node) is None:
            return (absent(live_key(node)),)
        raise ConflictError(
            f"{node} is up: drain it instead; only a node that is down can be given up."
            if gives_up
            else f"{node} has just come back: ask again."
        )


def when_its_turn_comes(view: RingView, spec: ChangeSpec) -> RingView:
    """The ring that a new request will find: as the change in progress leaves it, where it waits for that."""
    settled = changes.commit(view, changes.required_syncs(view.state))
    if settled is None or spec.kind in AT_ONCE:
        return view
    return replace(view, state=settled)


def _has_newcomer(spec: ChangeSpec) -> bool:
    return spec.kind in {ChangeKind.ADD, ChangeKind.REPLACE}


def _is_at_work(view: RingView, node: str) -> bool:
    entry = view.entry(node)
    return entry is not None and entry.state in AT_WORK


def _check_not_under_way(now: RingView, case: _Case) -> None:
    """Refuse what the change in progress is about to bring, naming its request."""
    running = now.state.change
    if running is None or case.view is now:
        return
    newcomer = case.newcomer.live.id if case.newcomer else ""
    for node, states, what in (
        ("" if case.spec.kind is ChangeKind.ADD else case.change.node or "", _LEAVING, "removed"),
        (newcomer, {NodeState.JOINING}, "added"),
    ):
        entry = now.entry(node)
        if entry and entry.state in states:
            raise ConflictError(f"{node} is being {what} already, by request {running.request_id}.")


def _check_same(view: RingView, request: ChangeRequest) -> None:
    """An abort is of the change that was in progress when it was asked for, not of whatever follows."""
    running = view.state.change
    if running and request.aborts and running.id != request.aborts:
        raise ConflictError("The change that was to be aborted has ended; another one is in progress.")


# ---- one decision per kind ----


def _add(case: _Case) -> Decision:
    assert case.newcomer is not None
    weight = 1.0 if case.spec.weight is None else case.spec.weight
    return changes.add(case.view, case.newcomer.live, change=case.change, weight=weight)


def _drain(case: _Case) -> Decision:
    accept = case.spec.accept_fewer_copies
    return changes.drain(case.view, case.change.node or "", change=case.change, accept_fewer_copies=accept)


def _declare_dead(case: _Case) -> Decision:
    accept = case.spec.accept_data_loss
    return changes.declare_dead(
        case.view, case.change.node or "", change=case.change, accept_data_loss=accept
    )


def _replace(case: _Case) -> Decision:
    assert case.newcomer is not None
    return changes.replace(
        case.view,
        case.change.node or "",
        case.newcomer.live,
        change=case.change,
        accept_data_loss=case.spec.accept_data_loss,
    )


def _rebalance(case: _Case) -> Decision:
    if case.change.node is None:
        return changes.rebalance(case.view, change=case.change)
    weight = case.spec.weight or 0.0
    return changes.set_weight(case.view, case.change.node, weight, change=case.change)


def _abort(case: _Case) -> Decision:
    return changes.abort(case.view, change=case.change)


_DECIDERS: Final[dict[ChangeKind, Callable[[_Case], Decision]]] = {
    ChangeKind.ADD: _add,
    ChangeKind.DRAIN: _drain,
    ChangeKind.DEAD: _declare_dead,
    ChangeKind.REPLACE: _replace,
    ChangeKind.REBALANCE: _rebalance,
    ChangeKind.ABORT: _abort,
}
