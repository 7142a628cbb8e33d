"""How long a node is waited for before it gets company."""

from __future__ import annotations

import pytest

from services.shared.content.hedge import MIN_DELAY_S, Hedge


def after(*answers_s: float) -> float:
    hedge = Hedge()
    for took_s in answers_s:
        hedge.note(took_s)
    return hedge.delay_s


def test_nodes_that_answer_quickly_are_given_little_time():
    assert after() == MIN_DELAY_S
    assert after(*[0.005] * 50) == MIN_DELAY_S


def test_where_all_are_slow_nobody_is_asked_twice_for_that():
    assert after(*[0.2] * 100) == pytest.approx(0.6, rel=0.01)


def test_one_slow_answer_changes_little():
    assert after(*[0.005] * 50, 0.4) == MIN_DELAY_S


def test_however_slow_all_are_somebody_else_is_asked_within_a_second():
    assert after(*[5.0] * 100) == 1.0


def test_it_recovers_with_the_nodes():
    assert after(*[2.0] * 100, *[0.005] * 50) == MIN_DELAY_S
