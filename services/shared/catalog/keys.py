"""Where things stand in etcd. One key per thing, never a list that grows inside one value.

====================================  =====================================================================
``videos/<id>``                       the video's record
``active/<id>``                       empty; exists while work remains, so that sweepers scan only these
``availability/<id>``                 how much of each track is in the ring: what live manifests are made from
``plans/<id>/<generation>``           how it is cut and encoded; immutable
``tasks/<id>/<generation>/<task>``    one unit of work, and its result
``claims/<id>/<generation>/<task>``   who works on it now; under the worker's lease
``uploads/<id>``                      an upload that has not been answered yet
``uploaders/<id>``                    the web process that receives it; under that process's lease
``workers/<instance>``                a live transcoder worker; under its lease
``sweep``                             when somebody last looked for lost work
``tombstones/<id>``                   deleted: storage nodes purge every file of it
``purged/<id>/<node>``                that node has purged it
====================================  =====================================================================
"""

from __future__ import annotations

from typing import Final

VIDEOS: Final = "videos/"
ACTIVE: Final = "active/"
UPLOADS: Final = "uploads/"
UPLOADERS: Final = "uploaders/"
TOMBSTONES: Final = "tombstones/"
WORKERS: Final = "workers/"
SWEEP: Final = "sweep"


def video(video_id: str) -> str:
    """Key of a video's record."""
    return f"{VIDEOS}{video_id}"


def active(video_id: str) -> str:
    """Key of the mark that work remains."""
    return f"{ACTIVE}{video_id}"


def availability(video_id: str) -> str:
    """Key of what can be played."""
    return f"availability/{video_id}"


def plan(video_id: str, generation: int) -> str:
    """Key of a plan."""
    return f"plans/{video_id}/{generation}"


def tasks(video_id: str, generation: int) -> str:
    """Prefix of a plan's tasks."""
    return f"tasks/{video_id}/{generation}/"


def task(video_id: str, generation: int, name: str) -> str:
    """Key of a task."""
    return f"{tasks(video_id, generation)}{name}"


def claims(video_id: str, generation: int) -> str:
    """Prefix of the claims on a plan's tasks."""
    return f"claims/{video_id}/{generation}/"


def claim(video_id: str, generation: int, name: str) -> str:
    """Key of the claim on a task."""
    return f"{claims(video_id, generation)}{name}"


def upload(video_id: str) -> str:
    """Key of an unanswered upload."""
    return f"{UPLOADS}{video_id}"


def uploader(video_id: str) -> str:
    """Key of the process that receives an upload."""
    return f"{UPLOADERS}{video_id}"


def tombstone(video_id: str) -> str:
    """Key of a deletion mark."""
    return f"{TOMBSTONES}{video_id}"


def purged(video_id: str, node_id: str) -> str:
    """Key by which a storage node says that it holds nothing of a deleted video any more."""
    return f"purged/{video_id}/{node_id}"


def everything_of(video_id: str) -> tuple[str, ...]:
    """Prefixes that hold a video's plans, tasks and claims, of all generations."""
    return f"plans/{video_id}/", f"tasks/{video_id}/", f"claims/{video_id}/"
