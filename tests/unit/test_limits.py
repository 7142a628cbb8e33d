"""How long a program may run: in proportion to its work."""

from __future__ import annotations

import pytest

from services.shared.settings import TranscoderSettings
from services.transcoder.process import USUAL, Limits

LIMITS = Limits(wall_s=1200, cpu_s=2400, silence_s=60, niceness=4)
GIB = 1 << 30
HOUR_S = 3600
DAY_S = 24 * HOUR_S


@pytest.mark.parametrize(
    "limits",
    [LIMITS.for_pictures(16), LIMITS.for_pictures(60), LIMITS.for_sound(600), LIMITS.for_reading(8 * GIB)],
)
def test_a_usual_piece_of_work_has_the_time_that_was_set(limits: Limits):
    assert limits == LIMITS


@pytest.mark.parametrize(
    ("limits", "times"),
    [
        (LIMITS.for_pictures(HOUR_S), 60),
        (LIMITS.for_sound(10 * HOUR_S), 60),
        (LIMITS.for_reading(64 * GIB), 8),
    ],
)
def test_more_work_has_more_time_and_nothing_else(limits: Limits, times: int):
    assert (limits.wall_s, limits.cpu_s) == (1200 * times, 2400 * times)
    assert (limits.silence_s, limits.memory_bytes, limits.niceness) == (60, LIMITS.memory_bytes, 4)


def test_no_run_takes_longer_than_a_day_unless_that_was_set():
    assert LIMITS.for_pictures(DAY_S).wall_s == DAY_S
    assert LIMITS.for_pictures(DAY_S).cpu_s == 2400 * 72
    assert LIMITS.for_sound(DAY_S).wall_s == DAY_S
    patient = Limits(wall_s=2 * DAY_S)
    assert patient.for_pictures(DAY_S) == patient


def test_a_day_of_sound_may_be_encoded_at_the_pace_it_plays():
    assert USUAL.for_sound(DAY_S).wall_s == DAY_S


def test_what_no_settings_bound_is_bounded_as_by_default():
    assert TranscoderSettings().job_timeout_s == USUAL.wall_s
