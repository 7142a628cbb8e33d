"""Which files of the ring a video refers to, and which of those it has nobody will ever ask for. Pure.

A video's files are named in its record (the parts of the original), in its plan (the original in another
container) and in the results of its tasks (segments, a picture). A file may be removed only where it follows
from these records that it is not wanted now and never will be:

- Generations only grow, and work is only ever done for the present one. What belongs to an earlier one is out
  of use for good once the video is done with: `ready`, `failed`, or refused.
- A track that was left out of a finished video may come back. When it does, the manifests without it are out
  of use. (What is left of a track that stays away goes by a tombstone of its own.)
- A refused video has no files. An original that was dropped does not come back.
- Of an upload that came by several requests, what the record does not name was cut off or has been put
  together with what came after it.
- Captions that somebody gave are out of use for good when the record names others, or none, and has changed
  since: each of them gets a name of its own.

Everything else stays: whatever the present generation may go on with or be asked to do once more, names that
this version does not know (a newer one may), and generations that the records have not come to (they may have
been restored from a backup that is older than the files).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.shared.captions import given_edition
from services.shared.filenames import PART_SUFFIX, final_file, init_file, poster_file, segment_file
from services.shared.manifest import manifest_names
from services.shared.plan import Plan
from services.shared.storyboard import storyboard_files
from services.shared.task import EXTRAS, Task, TaskKind, TaskResult
from services.shared.video import Source, Status, Video

SETTLED: Final = frozenset({Status.READY, Status.FAILED})
"""Statuses in which nobody works for a video."""
_MADE: Final = re.compile(
    r"(?P<track>[a-z0-9]+(-[a-z0-9]+)?)-g(?P<generation>\d+)"
    r"(-\d{5}\.m4s|-init\.mp4|-\d{5}\.part|-\d{5}\.jpg|\.jpg|\.vtt|(?P<manifest>(-(?P<edition>[0-9a-f]{8}))?\.(mpd|m3u8)))"
)
"""Names of what this version makes of an original."""

_TAKEN: Final = re.compile(r"source-t\d+-\d{5}\.part")
"""Names of what the requests of a resumable upload store; the record of its video never names others."""

_LATE: Final = re.compile(r"poster|storyboard|text\d+")
"""What may still come to a video that is ready."""


@dataclass(frozen=True, kw_only=True)
class References:
    """What one video's records say about its files, by file name."""

    video: Video
    needed: frozenset[str]
    """Must be there: the records vouch for them."""
    restoring: str = ""
    """A track that is no part of it, and may become that again."""

    @property
    def settled(self) -> bool:
        """Whether nobody works for this video: nothing is added to it as long as that is so."""
        return self.video.status in SETTLED

    def is_stray(self, name: str) -> bool:
        """Whether nothing refers to a file of this video, which is settled, and no work left to do would."""
        return self.settled and name not in self.needed and not self._may_come(name)

    def is_garbage(self, name: str) -> bool:
        """Whether a file may be removed: nobody wants it, whatever becomes of the video."""
        if name in self.needed or not self.settled:
            return False
        if self.video.refused or (self.video.original_dropped and name.endswith(PART_SUFFIX)):
            return True
        if (edition := given_edition(name)) is not None:
            return edition <= self.video.captions.edition
        made = _MADE.fullmatch(name)
        if made is None:
            return bool(_TAKEN.fullmatch(name))
        generation = int(made["generation"])
        if generation == self.video.generation:
            former = made["manifest"] is not None and (made["edition"] or "") in self.video.former_editions
            return self.video.status is Status.READY and former
        return generation < self.video.generation

    def _may_come(self, name: str) -> bool:
        """Whether a step that the present generation has not taken may bring this file."""
        if self.video.refused:
            return False
        if (edition := given_edition(name)) is not None:
            return edition > self.video.captions.edition
        made = _MADE.fullmatch(name)
        if made is None or int(made["generation"]) != self.video.generation:
            return False
        late = made["track"] == self.restoring or _LATE.fullmatch(made["track"])
        return self.video.status is not Status.READY or bool(late)


def references(video: Video, plan: Plan | None, tasks: Iterable[Task]) -> References:
    """What a video refers to.

    Args:
        video: its record.
        plan: of its present generation; None: there is none.
        tasks: of that plan.
    """
    tasks = [*tasks]
    return References(
        video=video,
        needed=frozenset(_needed(video, plan, tasks)),
        restoring=plan.restoring if plan else "",
    )


def made_by(task: Task, plan: Plan) -> Iterator[str]:
    """The files of wanted tracks that a task of a plan has put into the ring, as far as that is recorded."""
    if task.kind in EXTRAS:
        yield from _extras(task.kind, task.result, plan.generation) if task.result else ()
        return
    for track, first, segments in _recorded(task):
        if segments and track in plan.tracks:
            yield init_file(track, plan.generation)
            yield from (segment_file(track, plan.generation, first + number) for number in range(segments))


def _needed(video: Video, plan: Plan | None, tasks: Iterable[Task]) -> Iterator[str]:
    if video.refused:
        return
    if not video.original_dropped:
        yield from _parts(video.source)
    if video.poster:
        yield poster_file(video.generation)
    if video.storyboard:
        yield from storyboard_files(video.storyboard, video.generation)
    yield from (caption.file for caption in video.captions.offered)
    if plan is None:
        return
    if plan.remuxed and not video.original_dropped:
        yield from _parts(plan.remuxed)
    for task in tasks:
        yield from made_by(task, plan)
    if video.status is Status.READY:
        yield from (final_file(name, plan.generation, video.edition) for name in manifest_names(plan))


def _parts(source: Source) -> Iterator[str]:
    return map(source.part_file, range(source.parts))


def _extras(kind: TaskKind, made: TaskResult, generation: int) -> Iterator[str]:
    if kind is TaskKind.PICTURES and made.frames:
        yield poster_file(generation)
    if made.storyboard:
        yield from storyboard_files(made.storyboard, generation)
    yield from (caption.file for caption in made.captions)


def _recorded(task: Task) -> Iterator[tuple[str, int, int]]:
    """Of each track of a task: its name, its first segment, and how many are in the ring."""
    if task.audio and not task.result:
        yield task.audio.name, 0, task.segments_done
    if task.result:
        first = task.piece.first_segment if task.piece else 0
        for track, made in task.result.tracks.items():
            yield track, first, made.segments
