from services.shared.tracks import AudioTrack
from tests.harness.videos import RENDITIONS, SOUND, plan_record, task_records

COMMENT = AudioTrack(index=1, duration_samples=SOUND.duration_samples)
PLAN = plan_record().model_copy(update={"audio": (SOUND, COMMENT)})


def test_a_track_that_is_left_out_is_remembered_with_its_place():
    smaller = PLAN.without("240p").without("a0")
    assert smaller.tracks == {"480p", "a1"}
    assert smaller.left_out == {"240p", "a0"}
    assert smaller.full.renditions == RENDITIONS
    assert smaller.full.audio == (SOUND, COMMENT)


def test_a_plan_of_which_nothing_is_left_out_remembers_nothing():
    assert (PLAN.ladder, PLAN.left_out) == ((), frozenset())
    assert PLAN.full == PLAN
    assert PLAN.without("480p").full == PLAN


def test_a_track_that_comes_back_takes_its_place():
    smaller = PLAN.without("240p").without("a0")
    one = smaller.model_copy(update={"restoring": "240p"}).restored()
    assert one.renditions == RENDITIONS
    assert one.audio == (COMMENT,)
    assert one.restoring == ""
    assert one.model_copy(update={"restoring": "a0"}).restored() == PLAN


def test_what_is_being_made_again_is_not_wanted_before_it_is_back():
    restoring = PLAN.without("480p").model_copy(update={"restoring": "480p"})
    [piece, *_] = task_records()
    assert restoring.wanted_of(piece) == ("240p",)
    assert restoring.full.wanted_of(piece) == ("240p", "480p")
    assert restoring.full.restoring == "480p"
