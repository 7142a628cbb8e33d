"""What a change would do: the difference of two tables, weighed with what the nodes hold.

The table is built just as it will be when the change begins, and building is deterministic: unless the ring
changes in between, what is shown is what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rich.filesize import decimal

from services.admin.admin import Admin
from services.admin.census import Answer, take_census
from services.admin.membership import changes
from services.admin.membership.inventory import Amount, Inventory, take_inventory
from services.admin.membership.preparation import Prepared
from services.admin.membership.requests import drafted
from services.admin.membership.ring import members
from services.shared.ring.requests import AT_ONCE, ChangeSpec
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_REQUEST_ID: Final = "preview"


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """All that a preview is made from."""

    view: RingView
    """The ring as the change will find it."""
    table: RingTable
    """Where files would belong."""
    wanted_copies: int
    inventory: Inventory
    answers: Mapping[str, Answer]
    """What those that would receive files say of themselves."""
    awaited: frozenset[str]
    """Nodes without which the change cannot end; one that is given up is none of them."""

    def received(self) -> dict[str, Amount]:
        """What each node would receive: what there is of a partition, less what it holds already."""
        total: dict[str, Amount] = {}
        for move in changes.moves(self.view.cur, self.table):
            whole = self.inventory.whole(move.partition)
            lacking = whole.without(self.inventory.of(move.receiver, move.partition))
            total[move.receiver] = total.get(move.receiver, Amount()).plus(lacking)
        return total


async def preview(admin: Admin, spec: ChangeSpec) -> pb.PreviewChangeResponse:
    """Tell what a change would do, and do nothing.

    Raises:
        RequestError: it would be refused.
        UnavailableError: etcd can't be reached, or there is no ring yet.
    """
    now = await admin.topology.refresh()
    prepared = await admin.preparation.foresee(now, drafted(now, spec, _REQUEST_ID))
    outlook = await _outlook(prepared)
    waits = [*_waits(now, spec, waiting=len(admin.records.queue))]
    return preview_message(outlook, waits)


async def _outlook(prepared: Prepared) -> Outlook:
    view, table = prepared.view, prepared.decision.table
    newcomers = set(table.nodes) - members(view).keys()
    addresses = {**members(view), **{node: prepared.decision.state.nodes[node].address for node in newcomers}}
    receivers = {move.receiver for move in changes.moves(view.cur, table)}
    return Outlook(
        view=view,
        table=table,
        wanted_copies=view.state.replicas,
        inventory=await take_inventory(addresses),
        answers=await take_census({node: addresses[node] for node in receivers if node in addresses}),
        awaited=changes.required_syncs(prepared.decision.state),
    )


def preview_message(outlook: Outlook, waits: list[str]) -> pb.PreviewChangeResponse:
    """The outlook as operators see it. `waits`: what keeps the change from beginning at once. Pure."""
    received = outlook.received()
    total = Amount()
    for amount in received.values():
        total = total.plus(amount)
    nodes = sorted({*outlook.view.cur.nodes, *outlook.table.nodes})
    return pb.PreviewChangeResponse(
        nodes=[_node(outlook, node, received.get(node, Amount())) for node in nodes],
        partitions=len(outlook.view.cur.changed(outlook.table)),
        files=total.files,
        moved_bytes=total.size_bytes,
        warnings=[*waits, *_warnings(outlook, received)],
    )


def _node(outlook: Outlook, node: str, amount: Amount) -> pb.NodeMove:
    before, after = outlook.view.cur.counts, outlook.table.counts
    return pb.NodeMove(
        node_id=node,
        partitions_before=before[node],
        partitions_after=after[node],
        share_before=before[node] / before.total(),
        share_after=after[node] / after.total(),
        files=amount.files,
        moved_bytes=amount.size_bytes,
    )


def _waits(view: RingView, spec: ChangeSpec, *, waiting: int) -> Iterator[str]:
    if spec.kind not in AT_ONCE and view.migrating:
        yield "A change is in progress: this one would wait for its end, and is shown as it would be then."
    if spec.kind not in AT_ONCE and waiting:
        yield f"{waiting} changes wait already: what they change is not counted in."


def _warnings(outlook: Outlook, received: Mapping[str, Amount]) -> Iterator[str]:
    if outlook.table.replicas < outlook.wanted_copies:
        copies = "copy" if outlook.table.replicas == 1 else "copies"
        yield f"Each file would have {outlook.table.replicas} {copies} instead of {outlook.wanted_copies}."
    for node in sorted(outlook.awaited & outlook.view.state.nodes.keys() - outlook.view.up):
        yield f"{node} is away: the change does not end before it is back, or given up."
    for node, problem in sorted(outlook.inventory.problems.items()):
        yield f"What {node} holds is not counted: {problem}"
    for node, amount in sorted(received.items()):
        yield from _shortage(node, amount, outlook.answers.get(node, Answer()))


def _shortage(node: str, amount: Amount, answer: Answer) -> Iterator[str]:
    found = answer.description
    if found and found.free_bytes < amount.size_bytes:
        free, needed = decimal(found.free_bytes), decimal(amount.size_bytes)
        yield f"{node} has {free} free and would receive {needed}: give it more room, or add another node."
