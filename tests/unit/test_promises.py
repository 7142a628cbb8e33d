"""Each file is asked of one node at a time."""

from __future__ import annotations

from contextlib import suppress

import pytest

from services.storage.handoff.promises import PROMISE_S, Promises

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def promises(clock: Clock) -> Promises:
    return Promises(clock=clock)


def asked(promises: Promises, key: str, node: str, *, size_bytes: int = MIB) -> bool:
    return promises.ask(key, size_bytes=size_bytes, node=node)


def test_only_the_first_that_offers_a_file_is_asked_for_it(promises):
    assert asked(promises, "file", "a")
    assert not asked(promises, "file", "b")
    assert asked(promises, "file", "a")


def test_a_promise_ends_with_its_time(promises, clock):
    assert asked(promises, "file", "a")
    clock.now += PROMISE_S
    assert asked(promises, "file", "b")
    assert not asked(promises, "file", "a")


def test_asking_again_prolongs_a_promise(promises, clock):
    assert asked(promises, "file", "a")
    assert asked(promises, "other", "a")
    clock.now += PROMISE_S / 2
    assert asked(promises, "file", "a")
    clock.now += PROMISE_S / 2
    assert asked(promises, "other", "b")
    assert not asked(promises, "file", "b")


def test_a_promise_ends_when_the_file_has_come(promises):
    assert asked(promises, "file", "a")
    with promises.arriving("file"):
        assert not asked(promises, "file", "a")
        assert not asked(promises, "file", "b")
    assert asked(promises, "file", "b")


def test_a_promise_ends_when_the_file_has_failed_to_come(promises):
    assert asked(promises, "file", "a")
    with suppress(ConnectionError), promises.arriving("file"):
        raise ConnectionError
    assert asked(promises, "file", "b")


def test_a_file_that_arrives_twice_at_once_is_on_its_way_until_both_are_over(promises):
    with promises.arriving("file"):
        with promises.arriving("file"):
            pass
        assert not asked(promises, "file", "a")
    assert asked(promises, "file", "a")


def test_what_a_node_was_to_send_that_is_gone_is_asked_of_another(clock):
    gone: set[str] = set()
    promises = Promises(is_gone=gone.__contains__, clock=clock)
    assert asked(promises, "file", "a")
    assert not asked(promises, "file", "b")
    gone.add("a")
    assert asked(promises, "file", "b")
    assert promises.promised_bytes(but="c") == MIB


def test_no_node_is_asked_for_so_much_that_others_must_wait_for_it(promises):
    granted = sum(asked(promises, f"file-{number}", "a", size_bytes=32 * MIB) for number in range(20))
    assert granted == 8
    assert asked(promises, "file-19", "b", size_bytes=32 * MIB)


def test_one_file_is_always_asked_for_however_large(promises):
    assert asked(promises, "huge", "a", size_bytes=1 << 40)
    assert not asked(promises, "more", "a", size_bytes=1)


def test_the_number_of_promises_is_bounded(promises):
    granted = sum(
        asked(promises, f"{node}-{number}", f"node-{node}", size_bytes=1)
        for node in range(20)
        for number in range(1001)
    )
    assert granted == 10_000


def test_promised_bytes_leave_out_those_of_the_one_who_asks(promises, clock):
    asked(promises, "one", "a", size_bytes=3)
    asked(promises, "two", "b", size_bytes=5)
    assert promises.promised_bytes(but="a") == 5
    assert promises.promised_bytes(but="c") == 8
    clock.now += PROMISE_S
    assert promises.promised_bytes(but="c") == 0
