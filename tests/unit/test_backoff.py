"""How long a dead child waits for its next start."""

from __future__ import annotations

from services.local.backoff import FIRST_S, LONGEST_S, STEADY_AFTER_S, Backoff


def _deaths(count: int, *, steady_s: float = 0.0) -> Backoff:
    backoff = Backoff()
    for _ in range(count):
        backoff = backoff.after_death(steady_s=steady_s)
    return backoff


def test_the_first_restart_comes_soon():
    assert _deaths(1).pause_s == FIRST_S


def test_pauses_double_from_death_to_death():
    assert [_deaths(count).pause_s for count in (1, 2, 3)] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]


def test_pauses_never_grow_past_the_longest():
    assert _deaths(10_000).pause_s == LONGEST_S


def test_a_steady_run_is_forgiven():
    assert _deaths(9).after_death(steady_s=STEADY_AFTER_S).pause_s == FIRST_S
