"""Where things stand in etcd. One key per thing, never a list that grows inside one value.

====================================  =====================================================================
``videos/<id>``                       the video's record
``active/<id>``                       empty; exists while work remains, so that sweepers scan only these
``availability/<id>``                 how much of each track is in the ring: what live manifests are made from
``plans/<id>/<generation>``           how it is cut and encoded
``tasks/<id>/<generation>/<task>``    one unit of work, and its result
``claims/<id>/<generation>/<task>``   who works on it now; under the worker's lease
``claims/<id>/<generation>/plan``     who plans it now; likewise
``claims/<id>/<generation>/verify``   who verifies it now; likewise
``starts/<id>/<generation>/<job>``     who has begun it, and not yet said how it ended
``verifications/<id>``                what its last verification has found, or the present one so far
``unverified/<id>``                   a verification is wanted, and when somebody was last asked for it
``uploads/<id>``                      an upload that has not been answered yet
``uploaders/<id>``                    the web process that receives it; under that process's lease
``resumable/<id>``                    an upload that may go on later: what is durable of it
``receivers/<id>``                    the request that receives more of it; under its process's lease
``workers/<instance>``                a live transcoder worker; under its lease
``rooms/<instance>``                  bytes that its disk could hold, were it empty; likewise
``sweep``                             when somebody last looked for lost work
``dispensable/<id>``                  its original is to go as soon as no task needs it
``tombstones/<id>``                   deleted: storage nodes purge every file of it
``tombstones/<id>.g<generation>``     given up: they purge the files that were made under that generation
``tombstones/<id>.g<n>.<track>``      left out: they purge what was made of a track
``tombstones/<id>.original``          finished: they purge the uploaded file
``purged/<tombstone>/<node>``         that node has done so
====================================  =====================================================================
"""

from __future__ import annotations

import re
from typing import Final

from services.shared.filenames import PART_SUFFIX

VIDEOS: Final = "videos/"
ACTIVE: Final = "active/"
UNVERIFIED: Final = "unverified/"
UPLOADS: Final = "uploads/"
UPLOADERS: Final = "uploaders/"
RESUMABLE: Final = "resumable/"
DISPENSABLE: Final = "dispensable/"
TOMBSTONES: Final = "tombstones/"
WORKERS: Final = "workers/"
ROOMS: Final = "rooms/"
SWEEP: Final = "sweep"

_GENERATION: Final = re.compile(r"(?P<track>.+?)-(?P<generation>g\d+)[-.]")
"""How the names of the files begin that `services.shared.filenames` makes up."""


def video(video_id: str) -> str:
    """Key of a video's record."""
    return f"{VIDEOS}{video_id}"


def active(video_id: str) -> str:
    """Key of the mark that work remains."""
    return f"{ACTIVE}{video_id}"


def availability(video_id: str) -> str:
    """Key of what can be played."""
    return f"availability/{video_id}"


def verification(video_id: str) -> str:
    """Key of a video's verification."""
    return f"verifications/{video_id}"


def unverified(video_id: str) -> str:
    """Key of the mark that a verification is wanted."""
    return f"{UNVERIFIED}{video_id}"


def dispensable(video_id: str) -> str:
    """Key of the mark that a video's original is to go."""
    return f"{DISPENSABLE}{video_id}"


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


def starts(video_id: str, generation: int) -> str:
    """Prefix of the notes of who began a generation's jobs."""
    return f"starts/{video_id}/{generation}/"


def start(video_id: str, generation: int, job: str) -> str:
    """Key of the note of who began a job: a task's name, or `plan`."""
    return f"{starts(video_id, generation)}{job}"


def upload(video_id: str) -> str:
    """Key of an unanswered upload."""
    return f"{UPLOADS}{video_id}"


def uploader(video_id: str) -> str:
    """Key of the process that receives an upload."""
    return f"{UPLOADERS}{video_id}"


def resumable(video_id: str) -> str:
    """Key of a resumable upload that is not complete."""
    return f"{RESUMABLE}{video_id}"


def receiver(video_id: str) -> str:
    """Key of the request that receives more of a resumable upload."""
    return f"receivers/{video_id}"


def grave(video_id: str, generation: int) -> str:
    """Name of the tombstone of one generation of a video; that of the whole video is its id."""
    return f"{video_id}.g{generation}"


def track_grave(video_id: str, generation: int, track: str) -> str:
    """Name of the tombstone of one track of a generation."""
    return f"{grave(video_id, generation)}.{track}"


def original_grave(video_id: str) -> str:
    """Name of the tombstone of a video's original, in all forms that it has."""
    return f"{video_id}.original"


def graves(video_id: str, file_name: str) -> tuple[str, ...]:
    """Names of all tombstones under which a file would lie."""
    found = _GENERATION.match(file_name)
    made = f"{video_id}.{found['generation']}" if found else ""
    names = (video_id, made, f"{made}.{found['track']}") if found else (video_id,)
    return (*names, original_grave(video_id)) if file_name.endswith(PART_SUFFIX) else names


def tombstone(name: str) -> str:
    """Key of a deletion mark: of a video, or of one `grave`."""
    return f"{TOMBSTONES}{name}"


def purged(name: str, node_id: str) -> str:
    """Key by which a storage node says that it holds nothing any more of what a tombstone names."""
    return f"purged/{name}/{node_id}"


def everything_of(video_id: str) -> tuple[str, ...]:
    """Prefixes that hold a video's plans, tasks, claims and starts, of all generations."""
    return tuple(f"{kind}/{video_id}/" for kind in ("plans", "tasks", "claims", "starts"))
