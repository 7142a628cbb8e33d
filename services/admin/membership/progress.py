"""How far a change is, from what its sources report. Asks nobody."""

from __future__ import annotations

from services.admin.membership.changes import required_syncs
from services.admin.membership.records import Records
from services.shared.ring.progress import Progress
from services.shared.ring.requests import ChangeRequest
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


def progress_messages(view: RingView, records: Records) -> list[pb.NodeProgress]:
    """How far each source of the change in progress is, in order of id; nothing while none is in progress."""
    if not view.migrating:
        return []
    synced = records.synced(view.epoch)
    return [
        _of_node(view, records, node, synced=node in synced) for node in sorted(required_syncs(view.state))
    ]


def files_moved(request: ChangeRequest, records: Records) -> int:
    """Copies made for a request, as far as nodes tell of them now; 0 before it has begun."""
    if not request.is_open:
        return request.files_moved
    told = (found.record for found in records.progress.entries.values())
    return sum(report.files_moved for report in told if 0 < request.epoch <= report.epoch)


def under_replicated(view: RingView, records: Records) -> int:
    """Copies known to be lacking at owners."""
    return sum(progress.files_left for progress in _current(view, records).values())


def _current(view: RingView, records: Records) -> dict[str, Progress]:
    """What nodes report of this epoch: an earlier one was about another plan."""
    entries = records.progress.entries.items()
    return {node: found.record for node, found in entries if found.record.epoch == view.epoch}


def _of_node(view: RingView, records: Records, node: str, *, synced: bool) -> pb.NodeProgress:
    progress = _current(view, records).get(node)
    if progress is None:
        return pb.NodeProgress(node_id=node, synced=synced, waiting_for=_silence(view, node, synced=synced))
    return pb.NodeProgress(
        node_id=node,
        partitions=progress.partitions,
        partitions_done=progress.partitions_done,
        files_moved=progress.files_moved,
        bytes_moved=progress.bytes_moved,
        bytes_left=0 if synced else progress.bytes_left,
        synced=synced,
        waiting_for="" if synced else progress.waiting_for or _silence(view, node, synced=synced),
    )


def _silence(view: RingView, node: str, *, synced: bool) -> str:
    return "" if synced or node in view.up else f"{node} is away: it has to come back, or be declared dead."
