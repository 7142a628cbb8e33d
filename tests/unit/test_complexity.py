"""How little quality will do for a video, judged by samples of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.encoding import Encoding
from services.shared.task import Piece, Task, TaskKind, TaskResult
from services.shared.tracks import Rendition
from services.transcoder.complexity import MAX_RELIEF, ahead, relief, sampled, yardstick
from tests.harness.videos import plan_record

SIMILARITY = st.floats(0, 1)


def piece(order: int, *, urgent: bool = False, done: bool = False) -> Task:
    made = Piece(
        index=order,
        first_frame=order * 100,
        end_frame=None,
        first_segment=order,
        segments=1,
        renditions=("240p",),
        seeks_s=(None,),
    )
    result = TaskResult(worker="w") if done else None
    return Task(
        name=f"{order:05d}-piece",
        kind=TaskKind.VIDEO,
        order=order,
        urgent=urgent,
        piece=made,
        result=result,
    )


SOUND = Task(name="00009-audio", kind=TaskKind.AUDIO, order=9, result=TaskResult(worker="w"))


def orders(tasks: list[Task]) -> list[int]:
    return [task.order for task in tasks]


def test_only_pieces_behind_all_that_was_begun_may_change():
    tasks = [piece(0, urgent=True, done=True), piece(1, done=True), *map(piece, range(2, 6)), SOUND]
    assert orders(ahead(tasks, [])) == [2, 3, 4, 5]
    assert orders(ahead(tasks, ["00003-piece"])) == [4, 5]


def test_pieces_in_front_of_others_that_were_begun_stay_as_they_are():
    """Whoever had them may have put part of them into the ring before it died."""
    tasks = [*map(piece, range(2)), piece(2, done=True), piece(3)]
    assert orders(ahead(tasks, [])) == [3]


def test_a_piece_that_was_begun_and_handed_back_stays_as_it_is():
    tasks = [piece(0, done=True), piece(1).model_copy(update={"begun": True}), piece(2)]
    assert orders(ahead(tasks, [])) == [2]


def test_what_comes_first_is_never_changed():
    assert ahead([piece(0, urgent=True), piece(1, urgent=True)], []) == []


@given(st.integers(1, 500))
def test_samples_are_different_pieces_from_everywhere(count):
    pieces = [piece(order) for order in range(count)]
    found = orders(sampled(pieces))
    assert len(found) == min(count, 4) == len(set(found))
    assert found == sorted(found)
    gaps = [after - before for before, after in zip([0, *found], [*found, count], strict=True)]
    assert max(gaps) <= -(-count // 4) + 1


@pytest.mark.parametrize(
    ("samples", "steps"),
    [
        ([], 0),
        ([(0.97, 0.93)], 0),
        ([(0.9992, 0.998)], 6),
        ([(1.0, 1.0)], 6),
        ([(0.9874, 0.9772)], 4),
        ([(0.9874, 0.9772), (0.9992, 0.998)], 4),
        ([(0.9874, 0.9772), (0.9785, 0.959)], 0),
    ],
)
def test_the_most_delicate_sample_decides(samples, steps):
    assert relief(samples) == steps


@given(st.lists(st.tuples(SIMILARITY, SIMILARITY).map(lambda pair: (max(pair), min(pair)))))
def test_relief_is_bounded_and_more_samples_never_make_it_more(samples):
    assert 0 <= relief(samples) <= MAX_RELIEF
    assert not samples or relief(samples) <= relief(samples[:1])


def test_what_is_judged_is_of_moderate_size_and_in_the_codec_that_everybody_gets():
    def rung(lines: int, profile: str = "h264") -> Rendition:
        return Rendition(
            name=f"{lines}-{profile}",
            width=2 * lines,
            height=lines,
            bitrate=1,
            encoding=Encoding(profile=profile),
        )

    several = (rung(240), rung(480), rung(480, "av1"), rung(720))
    assert yardstick(plan_record().model_copy(update={"renditions": several})).name == "480-h264"
    assert yardstick(plan_record().model_copy(update={"renditions": (rung(720),)})).name == "720-h264"
