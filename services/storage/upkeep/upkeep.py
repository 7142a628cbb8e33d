"""What a node does about damage, put together: it is looked for, set aside, and mended from other copies."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.content.channels import Channels
from services.shared.content.nodes import Nodes
from services.shared.pace import Pace
from services.shared.settings import StorageSettings
from services.shared.topology import Topology
from services.storage.disk.datafolder import DataFolder
from services.storage.threads import Threads
from services.storage.upkeep.fetch import Fetcher
from services.storage.upkeep.inspection import Inspector
from services.storage.upkeep.mend import Mender
from services.storage.upkeep.scrub import Scrubber
from services.storage.upkeep.watch import Watch


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """The parts of it; those with a `run()` are to be run beside the server."""

    inspector: Inspector
    mender: Mender
    scrubber: Scrubber
    watch: Watch


def upkeep(
    folder: DataFolder,
    settings: StorageSettings,
    *,
    threads: Threads,
    topology: Topology,
    channels: Channels,
    pace: Pace,
) -> Upkeep:
    """Put the upkeep of a data folder together; from now on the store's losses are heard of.

    Args:
        folder: the node's.
        settings: the node's.
        threads: for the disk.
        topology: the ring.
        channels: to the other nodes.
        pace: of everything that this node moves between nodes by itself.
    """
    node_id, store = folder.identity.node_id, folder.store
    inspector = Inspector(store, threads)
    fetcher = Fetcher(
        node_id=node_id, store=store, threads=threads, topology=topology, nodes=Nodes(channels), pace=pace
    )
    mender = Mender(
        node_id=node_id, store=store, threads=threads, topology=topology, channels=channels, fetcher=fetcher
    )
    store.on_loss = mender.lost
    scrubber = Scrubber(
        root=folder.root,
        store=store,
        inspector=inspector,
        threads=threads,
        bytes_per_s=settings.scrub_bytes_per_s,
        pause_s=settings.scrub_pause_s,
    )
    return Upkeep(inspector=inspector, mender=mender, scrubber=scrubber, watch=Watch(folder, threads))
