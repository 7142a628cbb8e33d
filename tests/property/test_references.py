"""Whatever becomes of a video: what was garbage once is never needed again."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.shared.catalog.videos import restarted
from services.shared.plan import Plan
from services.shared.references import References, references
from services.shared.task import Task, TaskKind
from services.shared.video import ACTIVE, Status
from services.transcoder.restoration import edition_of
from tests.harness.videos import AUDIO_SEGMENTS, done, plan_record, task_records, video_record

_MAX_GENERATION = 3


class VideoLife(RuleBasedStateMachine):
    """A video's records, changed in the ways in which the services change them."""

    def __init__(self) -> None:
        super().__init__()
        self.video = video_record()
        self.plan: Plan | None = None
        self.tasks: list[Task] = []
        self.stored: set[str] = set()
        self.garbage: set[str] = set()

    @property
    def working(self) -> bool:
        return self.video.status in ACTIVE

    def found(self) -> References:
        return references(self.video, self.plan, self.tasks)

    # ---- what workers do ----

    @rule()
    def die_half_way(self):
        self.stored |= self.names_of_attempts()

    @precondition(lambda self: self.video.status is Status.UPLOADED)
    @rule(remuxed_parts=st.integers(0, 2))
    def plan_it(self, remuxed_parts):
        self.plan = plan_record(self.video.generation, remuxed_parts=remuxed_parts)
        self.tasks = task_records()
        self.video = self.video.moved_to(Status.PROCESSING, now_ms=1)

    @precondition(lambda self: self.plan)
    @rule(number=st.integers(0, 3), segments=st.none() | st.integers(0, 2), frames=st.integers(0, 1))
    def finish_a_task(self, number, segments, frames):
        """Results are also accepted after a failure, of workers that were at it; of a picture at any time."""
        task = self.tasks[number]
        if not task.done:
            self.tasks[number] = done(task, segments=segments, frames=frames)

    @precondition(lambda self: self.plan and self.video.status in {Status.PLAYABLE, Status.READY})
    @rule(number=st.integers(0, 2), segments=st.none() | st.integers(0, 2))
    def do_a_task_once_more(self, number, segments):
        task = self.tasks[number]
        if task.result:
            again = done(task, segments=segments).result
            assert again
            tracks = {**task.result.tracks, **again.tracks}
            self.tasks[number] = task.model_copy(
                update={"result": again.model_copy(update={"tracks": tracks})}
            )

    @precondition(lambda self: self.plan and self.working)
    @rule(segments=st.integers(0, AUDIO_SEGMENTS))
    def report_sound(self, segments):
        sound = self.tasks[2]
        if not sound.done:
            self.tasks[2] = sound.model_copy(update={"segments_done": max(segments, sound.segments_done)})

    @precondition(lambda self: self.plan and self.working)
    @rule()
    def leave_a_rendition_out(self):
        assert self.plan
        self.plan = self.plan.without("480p")

    @precondition(lambda self: self.plan and self.video.status in ACTIVE | {Status.READY})
    @rule()
    def measure(self):
        complete = all(task.done for task in self.tasks if task.kind is not TaskKind.PICTURES)
        pictures = self.tasks[3].result
        status = Status.READY if complete else self.video.status
        self.video = self.video.moved_to(status, now_ms=1, poster=bool(pictures and pictures.frames))

    @precondition(lambda self: self.plan and self.plan.left_out and self.video.status is Status.READY)
    @rule()
    def have_it_made_again(self):
        assert self.plan
        self.plan = self.plan.model_copy(update={"restoring": "480p"})

    @precondition(lambda self: self.plan and self.plan.restoring)
    @rule(given_up=st.booleans())
    def end_that(self, given_up):
        assert self.plan
        if given_up:
            self.plan = self.plan.model_copy(update={"restoring": ""})
            return
        self.plan = self.plan.restored()
        former = (*self.video.former_editions, self.video.edition)
        changes = {"edition": edition_of(self.plan), "former_editions": former}
        self.video = self.video.moved_to(Status.READY, now_ms=1, **changes)

    @precondition(lambda self: self.working)
    @rule(refused=st.booleans())
    def fail(self, refused):
        refused = refused and self.plan is None
        self.video = self.video.moved_to(Status.FAILED, now_ms=1, refused=refused)

    # ---- what people do ----

    @precondition(lambda self: self.video.retryable and self.plan)
    @rule()
    def go_on(self):
        self.video = self.video.moved_to(Status.PROCESSING, now_ms=1)

    @precondition(lambda self: self.working)
    @rule()
    def cancel(self):
        self.plan, self.tasks = None, []
        self.video = self.video.moved_to(Status.FAILED, now_ms=1, poster=False)

    @precondition(
        lambda self: (self.working or self.video.retryable) and self.video.generation < _MAX_GENERATION
    )
    @rule()
    def start_over(self):
        self.plan, self.tasks = None, []
        self.video = restarted(self.video)

    # ---- what must hold ----

    @invariant()
    def garbage_is_never_needed_again(self):
        found = self.found()
        self.stored |= found.needed
        self.garbage |= {name for name in self.stored if found.is_garbage(name)}
        assert not self.garbage & found.needed

    @invariant()
    def garbage_is_stray(self):
        found = self.found()
        assert all(found.is_stray(name) for name in self.stored if found.is_garbage(name))

    def names_of_attempts(self) -> set[str]:
        """What killed workers may have left of the present plan."""
        if self.plan is None:
            return set()
        finished = self.video.model_copy(update={"status": Status.READY, "poster": True})
        whole = plan_record(self.plan.generation)
        return set(references(finished, whole, map(done, task_records())).needed)


TestVideoLife = VideoLife.TestCase
