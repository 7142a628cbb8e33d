from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from services.shared.errors import ConflictError, StaleRingError, UnavailableError
from services.storage.fence import Fence, Obstacle

DEADLINE_S = 30.0


@pytest.fixture
def fence() -> Fence:
    fence = Fence()
    fence.adopt(5)
    for obstacle in Obstacle:
        fence.clear(obstacle)
    return fence


def in_thread(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_a_new_fence_lets_nothing_pass_until_every_obstacle_is_cleared():
    fence = Fence()
    for obstacle in (Obstacle.LEASE, Obstacle.PLACE, Obstacle.TOMBSTONES):
        with pytest.raises(UnavailableError):
            fence.check(epoch=0)
        fence.clear(obstacle)
    fence.check(epoch=0)


def test_an_obstacle_stops_writes_with_its_reason(fence):
    fence.block(Obstacle.LEASE, "The lease is lost.")
    with pytest.raises(UnavailableError, match="lease is lost"), fence.commit(epoch=5):
        pass
    fence.clear(Obstacle.LEASE)
    with fence.commit(epoch=5):
        pass


def test_older_epochs_are_stale_and_unknown_newer_ones_are_not_taken(fence):
    with pytest.raises(StaleRingError) as stale:
        fence.check(epoch=4)
    assert stale.value.epoch == 5
    with pytest.raises(UnavailableError):
        fence.check(epoch=6)
    fence.check(epoch=5)


def test_the_epoch_never_goes_back(fence):
    fence.adopt(3)
    assert fence.epoch == 5


def test_a_buried_video_takes_no_files_and_others_do(fence):
    fence.bury({"gone"})
    with pytest.raises(ConflictError):
        fence.check(epoch=5, video_id="gone")
    fence.check(epoch=5, video_id="here")
    fence.check(epoch=5)
    fence.forget("gone")
    fence.check(epoch=5, video_id="gone")


@pytest.mark.parametrize("change", [lambda fence: fence.adopt(6), lambda fence: fence.bury({"v"})])
def test_a_change_waits_for_commits_under_way_and_holds_up_the_next(fence, change):
    log: list[str] = []
    committing, finish, changing = threading.Event(), threading.Event(), threading.Event()

    def commit() -> None:
        with fence.commit(epoch=5, video_id="v"):
            committing.set()
            finish.wait(DEADLINE_S)
            log.append("committed")

    def make_change() -> None:
        changing.set()
        change(fence)
        log.append("changed")

    def commit_after() -> None:
        with suppress(StaleRingError, ConflictError), fence.commit(epoch=5, video_id="v"):
            log.append("too late")

    first = in_thread(commit)
    assert committing.wait(DEADLINE_S)
    second = in_thread(make_change)
    assert changing.wait(DEADLINE_S)
    while not fence._turns:
        second.join(0.001)
    third = in_thread(commit_after)
    assert log == []
    finish.set()
    for thread in (first, second, third):
        thread.join(DEADLINE_S)
    assert log == ["committed", "changed"]


def test_commits_run_side_by_side(fence):
    both = threading.Barrier(2)

    def commit() -> None:
        with fence.commit(epoch=5):
            both.wait(DEADLINE_S)

    for thread in [in_thread(commit), in_thread(commit)]:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert not both.broken


def test_one_generation_of_a_video_can_be_buried_and_the_others_not(fence):
    fence.bury(["v.g0"])
    with pytest.raises(ConflictError, match="deleted"), fence.commit(epoch=5, graves=("v", "v.g0")):
        pass
    with fence.commit(epoch=5, graves=("v", "v.g1")), fence.commit(epoch=5, graves=("v",)):
        pass
