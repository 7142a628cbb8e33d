"""What follows from finished tasks: the video becomes playable, then ready. Anyone may call it at any time.

There is no "last worker" to wait for: whoever finishes a task, and every sweep, measures what is there and
publishes it in one transaction. A worker that dies between finishing and publishing leaves nothing behind
that the next call does not complete.
"""

from __future__ import annotations

import logging

from services.shared.catalog import (
    Catalog,
    Measured,
    WorkBook,
    left_out_ops,
    now_ms,
    restored_ops,
    wanted_ops,
)
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.errors import ConflictError, FencedError, UnavailableError
from services.shared.etcd import Op
from services.shared.filenames import final_file
from services.shared.manifest import final_files, is_begun, playable_s
from services.shared.plan import Availability, Plan
from services.shared.task import AFTERWARDS, Task, TaskKind, due
from services.shared.tracks import Rendition
from services.shared.video import ACTIVE, Status, Video
from services.transcoder.availability import availability, progress
from services.transcoder.restoration import edition_of, omissions, with_restored

log = logging.getLogger(__name__)


class Progress:
    """Moves videos along as their tasks get done."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        content: ContentStore,
        dispatcher: Dispatcher,
        verify: bool,
    ) -> None:
        """Set up.

        Args:
            catalog: the videos.
            book: their tasks.
            content: where manifests go.
            dispatcher: publishes news and work.
            verify: whether videos that become ready are to be verified.
        """
        self._catalog = catalog
        self._book = book
        self._content = content
        self._dispatcher = dispatcher
        self._verify = verify

    async def advance(self, video_id: str, generation: int) -> Video:
        """Publish what is in the ring by now.

        Raises:
            NotFoundError: the video is gone.
            UnavailableError: etcd or the ring is away; call again.
        """
        before = await self._catalog.get(video_id)
        try:
            after = await self._catalog.publish(video_id, lambda video: self._measure(video, generation))
        except FencedError:
            return before
        if after != before:
            await self._tell(before, after)
        return after

    async def _measure(self, video: Video, generation: int) -> Measured:
        plan, tasks = await self._work(video, generation)
        whole = with_restored(plan, tasks)
        available = availability(whole, tasks)
        after = _measured(video, whole, tasks, available)
        if plan.restoring:
            after = _with_track_back(after, plan, whole, tasks)
        if _is_finished_anew(video, after):
            await self._store_manifests(after, whole, available)
        return Measured(video=after, availability=available, also=self._consequences(video, after, whole))

    def _consequences(self, before: Video, after: Video, plan: Plan) -> list[Op]:
        if not _is_finished_anew(before, after):
            return []
        back = after.edition != before.edition
        tracks = restored_ops(after.id, plan) if back else left_out_ops(after.id, plan)
        return [*tracks, *(wanted_ops(after) if self._verify else [])]

    async def restore_manifests(self, video_id: str, generation: int) -> None:
        """Store the manifests of a finished video again, as far as they are gone.

        Raises:
            NotFoundError: the video is gone.
            FencedError: it has moved on.
            UnavailableError: etcd or the ring is away.
        """
        video = await self._catalog.get(video_id)
        plan, tasks = await self._work(video, generation)
        await self._store_manifests(video, plan, availability(plan, tasks))

    async def _work(self, video: Video, generation: int) -> tuple[Plan, list[Task]]:
        # A video that is ready may still get its poster.
        if video.generation != generation or video.status not in ACTIVE | {Status.READY}:
            raise FencedError(f"Video {video.id} has moved on.")
        plan = await self._book.plan(video.id, generation)
        if plan is None:
            raise FencedError(f"Video {video.id} is not planned yet.")
        return plan, await self._book.tasks(video.id, generation)

    async def _store_manifests(self, video: Video, plan: Plan, available: Availability) -> None:
        for name, text in final_files(plan, available).items():
            key = f"{video.id}/{final_file(name, plan.generation, video.edition)}"
            try:
                await self._content.put(key, text)
            except ConflictError:
                # Another worker, perhaps of another version, wrote it first: any one of them will do.
                log.info("%s is there already", key)

    async def _tell(self, before: Video, after: Video) -> None:
        if after.status is not before.status:
            log.info("video %s: %s (%s)", after.id, after.status, after.title)
        await self._dispatcher.news(after, what="progress" if after.status is before.status else "status")
        if _has_become_ready(before, after):
            await self._ask_for_the_rest(after)
        if self._verify and _is_finished_anew(before, after):
            await self._ask_for_verification(after)

    async def _ask_for_the_rest(self, video: Video) -> None:
        """Have done what needs the finished tracks."""
        try:
            for task in due(await self._book.tasks(video.id, video.generation)):
                if task.kind in AFTERWARDS:
                    await self._dispatcher.task(video, task)
        except UnavailableError as error:  # then a sweep asks
            log.warning("video %s: nobody could be asked for its extras: %s", video.id, error)

    async def _ask_for_verification(self, video: Video) -> None:
        try:
            await self._dispatcher.verification(video)
        except UnavailableError as error:  # then a sweep asks
            log.warning("video %s: nobody could be asked to verify it: %s", video.id, error)


def _has_become_ready(before: Video, after: Video) -> bool:
    return after.status is Status.READY and before.status is not Status.READY


def _is_finished_anew(before: Video, after: Video) -> bool:
    """Whether it has become ready, or has got a track back."""
    return _has_become_ready(before, after) or after.edition != before.edition


def _with_track_back(video: Video, plan: Plan, whole: Plan, tasks: list[Task]) -> Video:
    """The record of a finished video of which a track is being made again.

    Args:
        video: the record, as measured.
        plan: without that track.
        whole: the same plan; with the track, if all of it is there.
        tasks: of the plan.
    """
    changes: dict[str, object] = {"omitted": omissions(video, plan, tasks)}
    if whole != plan:
        changes["edition"] = edition_of(whole)
        changes["former_editions"] = (*video.former_editions, video.edition)
    after = video.model_copy(update=changes)
    return video if after == video else after.moved_to(after.status, now_ms=now_ms())


def _measured(video: Video, plan: Plan, tasks: list[Task], available: Availability) -> Video:
    """The record that follows from what is available. Unchanged if nothing new is."""
    results = [task.result for task in tasks if task.result]
    changes: dict[str, object] = {
        "progress": 1.0 if available.complete else round(min(progress(plan, tasks), 0.99), 4),
        "poster": any(task.result.frames for task in tasks if task.kind is TaskKind.PICTURES and task.result),
        "playable_s": playable_s(plan, available),
        "frames": available.frames if available.complete else plan.frames,
        "duration_s": _duration_s(plan, available),
        "renditions": _measured_ladder(plan, available) if available.complete else _growing(plan, available),
        "audio": plan.audio,
        "storyboard": next((made.storyboard for made in results if made.storyboard), None),
        "captions": video.captions.found(caption for made in results for caption in made.captions),
        "extras_due": available.complete and bool(plan.restoring or due(tasks)),
    }
    status = _status(video, plan, available)
    if video.model_copy(update={"status": status, **changes}) == video:
        return video
    return video.moved_to(status, now_ms=now_ms(), **changes)


def _growing(plan: Plan, available: Availability) -> tuple[Rendition, ...]:
    begun = {name for name, segments in available.video_segments.items() if segments}
    return tuple(
        rendition.model_copy(update={"begun": rendition.name in begun}) for rendition in plan.renditions
    )


def _measured_ladder(plan: Plan, available: Availability) -> tuple[Rendition, ...]:
    ladder = [(rendition, available.tracks[rendition.name]) for rendition in plan.renditions]
    return tuple(
        rendition.model_copy(update={"codec": track.codec, "bitrate": track.peak_bitrate})
        for rendition, track in ladder
    )


def _status(video: Video, plan: Plan, available: Availability) -> Status:
    if available.complete:
        return Status.READY
    if video.status is Status.PLAYABLE or is_begun(plan, available):
        return Status.PLAYABLE
    return Status.PROCESSING


def _duration_s(plan: Plan, available: Availability) -> float:
    frames = available.frames if available.complete else plan.frames
    return frames * plan.fps.den / plan.fps.num
