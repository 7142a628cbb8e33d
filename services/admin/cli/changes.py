"""The commands that change the cluster's membership."""

from __future__ import annotations

from typing import Annotated

import typer

from services.admin.cli.input import (
    AcceptDataLoss,
    AcceptFewerCopies,
    AddressWords,
    NodeWords,
    NoWords,
    PlainUsage,
    ReplaceWords,
    WeightWords,
)
from services.admin.cli.orders import changing
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

Weight = Annotated[float, typer.Option(help="Its share of the files relative to the other nodes.")]
Dead = Annotated[bool, typer.Option("--dead", help="It is lost: make its copies anew from the others.")]

app = typer.Typer()


@app.command(cls=PlainUsage)
@changing
def add(words: AddressWords, *, weight: Weight = 1.0) -> pb.ChangeSpec:
    """Add a storage node, and move to it its share of the files."""
    (address,) = words
    return pb.ChangeSpec(add=pb.AddNode(address=address, weight=_checked_weight(weight)))


@app.command(cls=PlainUsage)
@changing
def remove(
    words: NodeWords,
    *,
    dead: Dead = False,
    accept_fewer_copies: AcceptFewerCopies = False,
    accept_data_loss: AcceptDataLoss = False,
) -> pb.ChangeSpec:
    """Move all files off a node, then remove it; with --dead, give up a node that is down."""
    if dead:
        (node,) = words
        return pb.ChangeSpec(remove_dead=pb.RemoveDeadNode(node=node, accept_data_loss=accept_data_loss))
    if accept_data_loss:
        raise typer.BadParameter("--accept-data-loss goes with --dead: draining a node loses nothing.")
    return _drained(words, accept_fewer_copies=accept_fewer_copies)


@app.command(cls=PlainUsage)
@changing
def drain(words: NodeWords, *, accept_fewer_copies: AcceptFewerCopies = False) -> pb.ChangeSpec:
    """Move all files off a node, then remove it."""
    return _drained(words, accept_fewer_copies=accept_fewer_copies)


@app.command(cls=PlainUsage)
@changing
def replace(words: ReplaceWords, *, accept_data_loss: AcceptDataLoss = False) -> pb.ChangeSpec:
    """Put a new node in another's place; the old one may be up or down."""
    node, address = words
    return pb.ChangeSpec(
        replace=pb.ReplaceNode(node=node, address=address, accept_data_loss=accept_data_loss)
    )


# A weight below zero must not be taken for an option.
@app.command(cls=PlainUsage, context_settings={"ignore_unknown_options": True})
@changing
def set_weight(words: WeightWords) -> pb.ChangeSpec:
    """Give a node a larger or smaller share of the files."""
    node, weight = words
    return pb.ChangeSpec(set_weight=pb.SetWeight(node=node, weight=_checked_weight(weight)))


@app.command(cls=PlainUsage)
@changing
def rebalance(words: NoWords = None) -> pb.ChangeSpec:  # noqa: ARG001 - only the server's
    """Spread the files anew by the nodes' weights and zones."""
    return pb.ChangeSpec(rebalance=pb.Rebalance())


@app.command(cls=PlainUsage)
@changing
def abort(words: NoWords = None) -> pb.ChangeSpec:  # noqa: ARG001 - only the server's
    """End the change in progress, and move files back to where they were."""
    return pb.ChangeSpec(abort=pb.Abort())


def _drained(words: list[str], *, accept_fewer_copies: bool) -> pb.ChangeSpec:
    (node,) = words
    return pb.ChangeSpec(drain=pb.DrainNode(node=node, accept_fewer_copies=accept_fewer_copies))


def _checked_weight(given: str | float) -> float:
    """A weight that makes sense; in a message, 0 would stand for one that was not given."""
    try:
        weight = float(given)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise typer.BadParameter(f"{given} is not a weight: write a number above 0; 1 is usual.")
    return weight
