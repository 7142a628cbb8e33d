"""Admin instances: several, without a leader, each with its own and possibly old view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from services.admin.membership import changes
from services.admin.membership.changes import Decision
from services.shared.errors import RequestError, UnavailableError
from services.shared.ring.state import Change, ChangeKind, NodeState
from tests.simulation.etcd import Party

if TYPE_CHECKING:
    from tests.simulation.world import World

_DEAD_AFTER_S = (5.0, 15.0)
_ABORTS = 0.12
_WISHES = ("add",) * 3 + ("drain",) * 3 + ("replace",) * 2 + ("weigh", "bury")


class Admin(Party):
    """Asks for changes now and then, ends them, and gives up nodes that stay away."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._away_since: dict[str, float] = {}
        self._asked = 0

    async def operate(self) -> None:
        """Ask for changes until cancelled."""
        while True:
            await self.world.chance.pause(0.3, 4.0)
            await self._carry_out(self._some_change)

    async def coordinate(self) -> None:
        """Bring what is in progress to its end, for ever."""
        while True:
            await self.world.chance.pause(0.3, 1.5)
            await self._commit()
            await self._bury()

    # ---- ending ----

    async def _commit(self) -> None:
        seen = self.view
        await self.world.chance.hop()
        if not seen.migrating or self.cut_off:
            return
        state = changes.commit(seen, self.world.etcd.reports(seen.epoch))
        if state is not None:
            await self.world.chance.hop()
            self._write(seen.state.epoch, Decision(state=state, table=seen.tables[state.cur]), "commits")

    async def _bury(self) -> None:
        """Declare dead who has been away for long."""
        now_s = self.world.now_s
        at_work = changes.required_syncs(self.view.state)
        self._away_since = {
            name: self._away_since.get(name, now_s) for name in sorted(at_work - self.view.up)
        }
        for name, since_s in self._away_since.items():
            if now_s - since_s > self.world.chance.between(*_DEAD_AFTER_S):
                await self._carry_out(partial(self._verdict, name))

    def _verdict(self, name: str) -> Decision | None:
        if not self.world.may_give_up(name):
            return None
        try:
            return changes.declare_dead(self.view, name, change=self._change(ChangeKind.DEAD))
        except RequestError:
            # A change that needs the lost node may have to be taken back first.
            return self._abort()

    # ---- beginning ----

    def _some_change(self) -> Decision | None:
        if self.view.migrating and self.world.chance.flip(_ABORTS):
            return self._abort()
        wish = self.world.chance.pick(_WISHES)
        spare = self.world.chance.pick_name(self.world.spares())
        member = self.world.chance.pick_name(
            name for name, entry in self.view.state.nodes.items() if entry.state is NodeState.ACTIVE
        )
        if member is None or (spare is None and wish in {"add", "replace"}):
            return None
        return self._decide(wish, member, spare or "")

    def _decide(self, wish: str, member: str, spare: str) -> Decision | None:
        match wish:
            case "add":
                live = self.world.nodes[spare].live
                return changes.add(self.view, live, change=self._change(ChangeKind.ADD))
            case "drain":
                return changes.drain(self.view, member, change=self._change(ChangeKind.DRAIN))
            case "replace":
                return self._replacement(member, spare)
            case "weigh":
                weight = self.world.chance.between(0.3, 3.0)
                return changes.set_weight(
                    self.view, member, weight, change=self._change(ChangeKind.REBALANCE)
                )
            case _:
                return self._wrong_verdict(member)

    def _abort(self) -> Decision:
        return changes.abort(self.view, change=self._change(ChangeKind.ABORT))

    def _replacement(self, member: str, spare: str) -> Decision | None:
        if member not in self.view.up and not self.world.may_give_up(member):
            return None
        live = self.world.nodes[spare].live
        return changes.replace(self.view, member, live, change=self._change(ChangeKind.REPLACE))

    def _wrong_verdict(self, member: str) -> Decision | None:
        if not self.world.may_give_up(member) or self.world.chance.calm:
            return None
        return changes.declare_dead(self.view, member, change=self._change(ChangeKind.DEAD))

    def _change(self, kind: ChangeKind) -> Change:
        self._asked += 1
        return Change(id=f"{self.name}-{self._asked}", kind=kind)

    # ---- carrying out ----

    async def _carry_out(self, decide: Callable[[], Decision | None]) -> None:
        try:
            if self.world.chance.flip():
                await self.refresh()
            seen = self.view
            decision = decide()
        except (RequestError, UnavailableError):
            return
        await self.world.chance.hop()
        if decision is None or self.cut_off or not self.world.is_fair(decision):
            return
        kind = decision.state.change.kind if decision.state.change else ""
        if self._write(seen.state.epoch, decision, f"decides on {kind}:"):
            self._send_events(decision)

    def _write(self, seen_epoch: int, decision: Decision, what: str) -> bool:
        done = self.world.etcd.swap(seen_epoch, decision)
        if done:
            nodes = " ".join(f"{name}={e.state}" for name, e in decision.state.nodes.items())
            self.world.note(f"{self.name} {what} epoch {decision.state.epoch} {decision.state.phase} {nodes}")
            self.world.invariants.ring_changed()
        return done

    def _send_events(self, decision: Decision) -> None:
        """Hints to those who hold files, which may be lost, repeated and late."""
        sources = {name for move in changes.moves(self.view.cur, decision.table) for name in move.sources}
        for name in sorted(sources):
            for _ in range(self.world.chance.whole(0, 2)):
                self.world.loop.call_later(self.world.chance.between(0.0, 20.0), self.world.nodes[name].hint)
