"""The supervisor with real, tiny children: shell scripts that say what happens to them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.local import processes
from services.local.child import Child, Program, State
from services.local.supervisor import Supervisor
from services.shared.errors import UnavailableError
from tests.harness.waiting import eventually

# Waits for ever, and takes SIGTERM for an answer.
_OBEDIENT = (
    "trap 'echo stopped >> {diary}; exit 0' TERM; echo started >> {diary}; while :; do sleep 60 & wait; done"
)
_STUBBORN = "trap '' TERM; echo started >> {diary}; while :; do sleep 60 & wait; done"


class Stage:
    """A folder, and children in it whose diaries are files there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def child(
        self, name: str, script: str = _OBEDIENT, *, restart: bool = True, stop_timeout_s: float = 20.0
    ) -> Child:
        program = Program(
            name=name,
            argv=("sh", "-c", script.format(diary=self.diary(name))),
            env={"PATH": os.environ["PATH"]},
            log=self.folder / f"{name}.log",
            ready=self._ready(name),
            stop_timeout_s=stop_timeout_s,
        )
        return Child(program, stack=self.folder, restart=restart)

    def diary(self, name: str) -> Path:
        return self.folder / f"{name}.diary"

    def entries(self, name: str) -> list[str]:
        return self.diary(name).read_text().split() if self.diary(name).exists() else []

    def _ready(self, name: str) -> Callable[[], asyncio.Future[bool]]:
        def probe() -> asyncio.Future[bool]:
            answer = asyncio.get_running_loop().create_future()
            answer.set_result("started" in self.entries(name))
            return answer

        return probe


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@asynccontextmanager
async def running(*tiers: list[Child]) -> AsyncIterator[None]:
    """Run children from all ready to all stopped."""
    stop, ready = asyncio.Event(), asyncio.Event()
    run = asyncio.create_task(Supervisor(tiers).run(stop, ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        async with asyncio.timeout(60):
            await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if ready.is_set():
            yield
    finally:
        waiting.cancel()
        stop.set()
        async with asyncio.timeout(60):
            await run


def pid_of(child: Child) -> int:
    assert child.pid is not None
    return child.pid


async def test_a_killed_child_is_started_again(stage: Stage):
    child = stage.child("web-1")
    async with running([child]):
        first = pid_of(child)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: child.restarts == 1 and child.state == State.READY, what="restart")
        assert pid_of(child) != first
        assert not processes.is_running(first)


async def test_without_restart_a_killed_child_stays_dead_and_the_others_run_on(stage: Stage):
    child, other = stage.child("web-1", restart=False), stage.child("web-2", restart=False)
    async with running([child, other]):
        os.kill(pid_of(child), signal.SIGKILL)
        await eventually(lambda: child.state == State.DEAD, what="death noticed")
        assert other.state == State.READY
        assert stage.entries("web-1") == ["started"]


async def test_a_tier_starts_when_the_one_before_is_ready_and_stops_before_it(stage: Stage):
    needs = "test -e {diary}.first || exit 9; " + _OBEDIENT
    first = stage.child(
        "first", "sleep 0.3; touch {diary}; touch " + f"{stage.diary('second')}.first; " + _OBEDIENT
    )
    second = stage.child(
        "second",
        needs.replace("echo stopped", "cat {first} > {diary}.seen; echo stopped").replace(
            "{first}", str(stage.diary("first"))
        ),
    )
    async with running([first], [second]):
        assert second.restarts == 0
    seen = stage.diary("second").with_suffix(".diary.seen").read_text().split()
    assert seen == ["started"], "the first tier was stopped before the second"
    assert stage.entries("first") == ["started", "stopped"]


async def test_a_child_that_ignores_sigterm_is_killed_at_its_deadline(stage: Stage):
    child = stage.child("web-1", _STUBBORN, stop_timeout_s=0.5)
    async with running([child]):
        pid = pid_of(child)
    assert not processes.is_running(pid)
    assert child.state == State.STOPPED


async def test_a_child_that_never_starts_fails_the_start_with_its_last_words(stage: Stage):
    broken = stage.child("web-1", "echo no such disk; exit 3")
    fine = stage.child("web-2")
    with pytest.raises(ExceptionGroup) as caught:
        async with running([broken, fine]):
            pass
    [error] = caught.value.exceptions
    assert isinstance(error, UnavailableError)
    assert "web-1 does not start" in str(error)
    assert "no such disk" in str(error)
    assert stage.entries("web-2") == ["started", "stopped"], "what had started was stopped again"


async def test_processes_that_a_dead_child_left_behind_are_ended(stage: Stage):
    """A worker that is killed cannot kill its ffmpeg, which has a session of its own."""
    child = stage.child("worker", "setsid sleep 1000 & " + _OBEDIENT)
    async with running([child]):
        left = [pid for pid in processes.marked(processes.mark(stage.folder, "worker")) if pid != child.pid]
        assert left
        os.kill(pid_of(child), signal.SIGKILL)
        await eventually(lambda: child.restarts == 1 and child.state == State.READY, what="restart")
        assert not any(map(processes.is_running, left))


async def test_a_stop_during_the_start_leaves_nothing_behind(stage: Stage):
    never_ready = stage.child("slow", "trap 'exit 0' TERM; while :; do sleep 60 & wait; done")
    stop = asyncio.Event()
    run = asyncio.create_task(
        Supervisor([[never_ready], [stage.child("next")]]).run(stop, ready=lambda: None)
    )
    await eventually(lambda: never_ready.pid, what="the child's process")
    stop.set()
    await asyncio.wait_for(run, 60)
    assert processes.marked(processes.mark(stage.folder)) == []
    assert stage.entries("next") == []


async def test_changes_are_reported(tmp_path: Path):
    states: list[State] = []

    async def ready() -> bool:
        return True

    program = Program(
        name="web-1", argv=("sleep", "1000"), env=dict(os.environ), log=tmp_path / "log", ready=ready
    )
    child = Child(program, stack=tmp_path, restart=True, changed=lambda: states.append(child.state))
    async with running([child]):
        os.kill(pid_of(child), signal.SIGKILL)
        await eventually(lambda: states.count(State.READY) > 1, what="ready again")
    assert states == [
        *(State.STARTING, State.READY, State.RESTARTING),
        *(State.STARTING, State.READY, State.STOPPED),
    ]


def test_stacks_whose_folders_share_a_beginning_do_not_share_marks(tmp_path: Path):
    assert not processes.mark(tmp_path / "ab", "web-1").startswith(processes.mark(tmp_path / "a"))
