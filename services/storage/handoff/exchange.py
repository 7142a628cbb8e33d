"""What a node does with other nodes, put together: it takes in what they hand over, and hands over itself."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.broker import Broker
from services.shared.content.channels import Channels
from services.shared.etcd import EtcdClient
from services.shared.pace import Pace
from services.shared.settings import StorageSettings
from services.shared.topology import Topology
from services.storage.disk.datafolder import DataFolder
from services.storage.handoff.gear import Gear
from services.storage.handoff.handoff import Handoff
from services.storage.handoff.inbox import HandoffInbox
from services.storage.handoff.offers import Offers
from services.storage.handoff.peers import Peers
from services.storage.handoff.promises import Promises
from services.storage.handoff.pushing import Pusher
from services.storage.handoff.reports import Reports
from services.storage.handoff.summaries import Summaries
from services.storage.handoff.surplus import Surplus
from services.storage.membership import Membership
from services.storage.threads import Threads
from services.storage.upkeep.inspection import Inspector


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """What the node is connected to."""

    etcd: EtcdClient
    topology: Topology
    channels: Channels
    broker: Broker


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """The parts of it that others talk to."""

    offers: Offers
    promises: Promises
    handoff: Handoff
    reports: Reports
    inbox: HandoffInbox


def exchange(
    folder: DataFolder,
    settings: StorageSettings,
    links: Links,
    *,
    threads: Threads,
    membership: Membership,
    inspector: Inspector,
    pace: Pace,
) -> Exchange:
    """Put it together for a data folder. `pace` is that of all that the node moves by itself."""
    node_id, store = folder.identity.node_id, folder.store
    promises = Promises(is_gone=lambda node: node not in links.topology.live)
    summaries = Summaries(store.index)
    offers = Offers(
        store=store,
        space=folder.space,
        threads=threads,
        epochs=membership,
        promises=promises,
        summaries=summaries,
    )
    peers = Peers(links.channels, node_id=node_id, threads=threads, pace=pace)
    gear = Gear(
        store=store,
        threads=threads,
        topology=links.topology,
        summaries=summaries,
        peers=peers,
        pusher=Pusher(
            store=store, threads=threads, peers=peers, inspector=inspector, streams=settings.handoff_streams
        ),
        pace=pace,
        interval_s=settings.repair_interval_s,
    )
    surplus = Surplus(gear, node_id=node_id, grace_s=settings.delete_grace_s)
    reports = Reports(etcd=links.etcd, node_id=node_id)
    handoff = Handoff(node_id=node_id, membership=membership, gear=gear, surplus=surplus, reports=reports)
    inbox = HandoffInbox(links.broker, node_id=node_id, handoff=handoff)
    return Exchange(offers=offers, promises=promises, handoff=handoff, reports=reports, inbox=inbox)
