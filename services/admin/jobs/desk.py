"""What operators do about jobs: look at those that were given up, have them done after all, cancel, redo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from services.shared.broker import Broker, Envelope
from services.shared.catalog import (
    Catalog,
    Restorations,
    Starts,
    Verifications,
    WorkBook,
    check_original,
    is_left_out,
)
from services.shared.dispatch import Dispatcher
from services.shared.errors import ConflictError, NotFoundError
from services.shared.etcd import EtcdClient
from services.shared.messages import JOB_QUEUES
from services.shared.record import Record
from services.shared.task import EXTRAS, Task, due
from services.shared.verification import Verification
from services.shared.video import PLAYABLE, Status, Video


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which dead letters are meant: all that is set must fit."""

    message_id: str = ""
    video_id: str = ""

    @property
    def name(self) -> str:
        """What is looked for, for people; empty: everything."""
        named = (("id", self.message_id), ("video", self.video_id))
        return " and ".join(f"{what} {value}" for what, value in named if value)

    def fits(self, letter: Envelope) -> bool:
        """Whether a letter is meant."""
        return self.message_id in {"", letter.message_id} and self.video_id in {"", letter.correlation_id}


@dataclass(frozen=True, kw_only=True)
class Requeued:
    """What became of the videos whose jobs were to be done after all, by id, and of what is no job."""

    resumed: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    """Why nothing is done for them, in a sentence."""
    unreadable: list[str] = field(default_factory=list)
    """Ids of messages that nobody can read."""


@dataclass(frozen=True, kw_only=True)
class Worklist:
    """A video, and how each of its tasks stands."""

    video: Video
    tasks: list[Task]
    claimed: dict[str, str]
    begun: dict[str, list[str]]


class _About(Record):
    """What all jobs say."""

    video_id: str
    generation: int


class JobDesk:
    """The jobs of all videos."""

    def __init__(self, etcd: EtcdClient, broker: Broker) -> None:
        self._catalog = Catalog(etcd)
        self._book = WorkBook(etcd)
        self._restorations = Restorations(etcd)
        self._starts = Starts(etcd)
        self._verifications = Verifications(etcd)
        self._dead_letters = broker.dead_letters
        self._dispatcher = Dispatcher(broker)

    async def dead(self, selection: Selection, *, limit: int) -> list[Envelope]:
        """The oldest of the selected jobs that were given up, at most `limit` of each queue.

        Raises:
            UnavailableError: the broker is away.
        """
        found: list[Envelope] = []
        for queue in JOB_QUEUES:
            found += await self._dead_letters.list(queue, selection.fits, limit=limit)
        return found

    async def discard(self, selection: Selection) -> int:
        """Throw jobs that were given up away; how many.

        Raises:
            NotFoundError: there is none of that id or video.
            UnavailableError: the broker is away; some may be gone.
        """
        discarded = sum([await self._dead_letters.discard(queue, selection.fits) for queue in JOB_QUEUES])
        _check_found(selection, discarded)
        return discarded

    async def requeue(self, selection: Selection) -> Requeued:
        """Have given-up jobs done after all. What is to be done is read from the records, not the letters.

        A video goes on where it stopped, unless that would be without some of its renditions. The letters
        are held until that is settled: those of jobs that fail once more meanwhile are not thrown away.

        Raises:
            NotFoundError: there is none of that id or video.
            UnavailableError: etcd or the broker is away; what was not done yet can be asked for again.
        """
        outcome = Requeued()
        async with self._dead_letters.borrowed(JOB_QUEUES, selection.fits) as letters:
            _check_found(selection, len(letters))
            for about in _subjects([letter.envelope for letter in letters], outcome):
                await self._revive(about, outcome)
            for letter in letters:
                await letter.ack()
        return outcome

    async def worklist(self, video_id: str) -> Worklist:
        """The tasks of a video.

        Raises:
            NotFoundError: there is no such video.
        """
        video = await self._catalog.get(video_id)
        name = (video.id, video.generation)
        return Worklist(
            video=video,
            tasks=sorted(await self._book.tasks(*name), key=lambda task: task.order),
            claimed=await self._book.claimed(*name),
            begun=await self._starts.of(*name),
        )

    async def cancel(self, video_id: str) -> None:
        """Stop processing a video. One that is finished stays as it is: only a track is no longer made again.

        Raises:
            NotFoundError: there is no such video.
            ConflictError: it is not being processed.
        """
        stopped = await self._restorations.cancel(video_id)
        await self._dispatcher.news(stopped or await self._catalog.cancel(video_id), what="cancelled")

    async def redo(self, video_id: str, *, piece: int | None, track: str) -> list[str]:
        """Have finished tasks done once more; their names.

        A track that was left out of a finished video is made again, and part of it when it is complete.

        Args:
            video_id: whose.
            piece: only this one.
            track: only this rendition or sound track; empty: all. Or one of the extras: `pictures`,
                `storyboard`, `captions`.

        Raises:
            NotFoundError: there is no such video, piece or track.
            ConflictError: the video cannot be played: nothing of it is finished. Or its original is gone. Or
                the track was left out, and cannot be made just now.
        """
        video = await self._catalog.get(video_id)
        if is_left_out(video, track):
            return await self._restore(video, piece, track)
        check_original(video)
        if video.status not in PLAYABLE:
            raise ConflictError(f"Only what has been done can be done again; this video is {video.status}.")
        tasks = await self._book.tasks(video.id, video.generation)
        chosen = [task for task in tasks if task.done and _is_chosen(task, piece, track)]
        if not chosen:
            raise NotFoundError("The video has no such piece or track that is finished.")
        for task in chosen:
            await self._dispatcher.redo(video, task, tracks=(track,) if track and task.piece else ())
        return [task.name for task in chosen]

    async def _restore(self, video: Video, piece: int | None, track: str) -> list[str]:
        if piece is not None:
            raise ConflictError(f"{track} was left out of this video: it can only be made as a whole.")
        video, tasks = await self._restorations.begin(video.id, track)
        await self._dispatcher.news(video)
        for task in tasks:
            await self._dispatcher.redo(video, task, tracks=(track,))
        return [task.name for task in tasks]

    async def verify(self, video_id: str, *, mend: bool) -> Verification:
        """Ask for a look at a finished video as a whole.

        Raises:
            NotFoundError: there is no such video.
            ConflictError: it is not finished.
        """
        video = await self._catalog.get(video_id)
        if video.status is not Status.READY:
            raise ConflictError(f"Only a finished video can be verified; this one is {video.status}.")
        asked = await self._verifications.want(video, mend=mend)
        await self._dispatcher.verification(video)
        return asked

    async def verification(self, video_id: str) -> Verification | None:
        """The last verification of a video, or the present one; None: there was none.

        Raises:
            NotFoundError: there is no such video.
        """
        await self._catalog.get(video_id)
        return await self._verifications.of(video_id)

    async def _revive(self, about: _About, outcome: Requeued) -> None:
        try:
            video = await self._catalog.get(about.video_id)
        except NotFoundError:
            outcome.dropped[about.video_id] = "It was deleted."
            return
        if video.generation != about.generation or not video.retryable:
            outcome.dropped[video.id] = _why_nothing(video, about.generation)
        elif await self._book.plan(video.id, video.generation) and not video.omitted:
            await self._resume(video)
            outcome.resumed.append(video.id)
        else:
            again = await self._catalog.retry(video.id)
            await self._dispatcher.plan(again)
            await self._dispatcher.news(again)
            outcome.restarted.append(video.id)

    async def _resume(self, video: Video) -> None:
        await self._starts.forget(video.id, video.generation)
        video = await self._catalog.resume(video.id, video.generation)
        await self._dispatcher.news(video)
        tasks = await self._book.tasks(video.id, video.generation)
        for task in due(tasks):
            await self._dispatcher.task(video, task)


def _is_chosen(task: Task, piece: int | None, track: str) -> bool:
    if task.piece is not None:
        return piece in {None, task.piece.index} and (not track or track in task.piece.renditions)
    if task.audio is not None:
        return piece is None and track in {"", task.audio.name}
    return task.kind in EXTRAS and piece is None and track == task.kind


def _check_found(selection: Selection, letters: int) -> None:
    if selection.name and not letters:
        raise NotFoundError(f"There is no job of {selection.name} that was given up.")


def _why_nothing(video: Video, generation: int) -> str:
    """Why a job that was given up at a generation is not done after all."""
    if video.refused:
        return "It has failed for good: its file is no video that can be played, and is gone. Upload another."
    if video.generation != generation:
        return "It was started over since."
    if video.omitted and video.status is Status.READY:
        return (
            "It is ready, without a track. To have that made:"
            f" tritontube-admin jobs redo {video.id} --rendition {video.omitted[0].rendition}"
        )
    return f"It is {video.status}: nothing has to be done for it."


def _subjects(letters: Sequence[Envelope], outcome: Requeued) -> list[_About]:
    """What the letters are about, each once. Letters that nobody can read are about nothing."""
    found: dict[tuple[str, int], _About] = {}
    for letter in letters:
        try:
            about = _About.model_validate_json(letter.body)
        except ValidationError:
            outcome.unreadable.append(letter.message_id)
            continue
        found[about.video_id, about.generation] = about
    return [*found.values()]
