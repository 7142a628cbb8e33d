"""Who has shown nothing new for a while."""

from __future__ import annotations

from services.admin.membership.silence import Silence


def test_a_node_that_shows_the_same_is_silent_after_the_limit_and_again_after_another():
    silence = Silence(30)
    named = [silence.of(2, {"a": None}, now_s=now) for now in range(0, 100, 10)]
    assert [bool(nodes) for nodes in named] == [False, False, False, True] + [False, False, True] * 2


def test_a_node_that_shows_something_new_is_not():
    silence = Silence(30)
    assert not any(silence.of(2, {"a": now}, now_s=now) for now in range(0, 100, 10))


def test_a_new_epoch_makes_everybody_begin_anew():
    silence = Silence(30)
    assert silence.of(2, {"a": None}, now_s=0) == set()
    assert silence.of(3, {"a": None}, now_s=30) == set()
    assert silence.of(3, {"a": None}, now_s=60) == {"a"}


def test_each_node_has_a_time_of_its_own():
    silence = Silence(30)
    silence.of(2, {"a": None}, now_s=0)
    silence.of(2, {"a": None, "b": None}, now_s=20)
    assert silence.of(2, {"a": None, "b": None}, now_s=30) == {"a"}
    assert silence.of(2, {"a": None, "b": None}, now_s=50) == {"b"}


def test_who_is_named_no_more_is_forgotten():
    silence = Silence(30)
    silence.of(2, {"a": None}, now_s=0)
    silence.of(2, {}, now_s=20)
    assert silence.of(2, {"a": None}, now_s=40) == set()
