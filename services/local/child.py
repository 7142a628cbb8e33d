"""One child process of the stack: started, watched until it is ready, restarted when it dies, stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from time import monotonic, time
from typing import Final

from services.local import logs, processes
from services.local.backoff import Backoff
from services.shared.errors import UnavailableError
from services.shared.lifecycle import background

log = logging.getLogger(__name__)

START_ATTEMPTS: Final = 3
"""A child that dies so often without ever having been ready will not come up by itself."""

_PROBE_EVERY_S: Final = 0.1
_ORPHANS_TIMEOUT_S: Final = 10.0
_TAIL_LINES: Final = 8


class State(StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    DEAD = "dead"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a child runs."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    """Probed until it is true; what depends on this program starts only then."""
    address: str = ""
    """Where it can be reached, for people."""
    ready_timeout_s: float = 120.0
    stop_timeout_s: float = 15.0
    """After SIGTERM; then SIGKILL."""
    release: Callable[[], None] = field(default=lambda: None)
    """Called before each start: lets go of the ports that were held for it."""


class Child:
    """A program under supervision. `run` is its life; everything else reads it or ends it."""

    def __init__(
        self, program: Program, *, stack: Path, restart: bool, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.program = program
        self.state = State.STARTING
        self.pid: int | None = None
        """The process of its newest life (which may have ended)."""
        self.restarts = 0
        self.since = time()
        """When it came into its present state, seconds since 1970."""
        self._mark = processes.mark(stack, program.name)
        self._restart = restart
        self._changed = changed
        self._stopping = asyncio.Event()
        self._first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._first_ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._ready_at: float | None = None

    async def run(self) -> None:
        """Keep the program running until `stop` (or until its first death, if it is not to be restarted)."""
        backoff = Backoff()
        while not self._stopping.is_set():
            steady_s = await self._live()
            if self._stopping.is_set():
                break
            if not self._restart:
                return self._give_up()
            backoff = backoff.after_death(steady_s=steady_s)
            await self._pause(backoff)
        self._become(State.STOPPED)
        return None

    def stop(self) -> None:
        """Ask the program to end; `run` returns once it has, or was killed at its deadline."""
        self._stopping.set()

    async def until_ready(self) -> None:
        """Wait for the first time it is ready.

        Raises:
            UnavailableError: it keeps dying; the message says where and with what last words.
        """
        await asyncio.shield(self._first_ready)

    async def _live(self) -> float:
        """One life of the program; how long it was ready, in seconds."""
        self._ready_at = None
        process = await self._spawn()
        async with background(self._probe(process), self._end_on_stop(process)):
            await process.wait()
        self._log_death(process)
        await processes.end_marked(self._mark, timeout_s=_ORPHANS_TIMEOUT_S)
        return monotonic() - self._ready_at if self._ready_at else 0.0

    async def _spawn(self) -> Process:
        self.program.release()
        with logs.open_log(self.program.log) as output:
            process = await asyncio.create_subprocess_exec(
                # The kernel kills the child when the launcher dies, however that happens.
                *("setpriv", "--pdeathsig", "KILL", "--"),
                *self.program.argv,
                env={**self.program.env, processes.MARK: self._mark},
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                start_new_session=True,
            )
        self.pid = process.pid
        self._become(State.STARTING)
        return process

    async def _probe(self, process: Process) -> None:
        try:
            async with asyncio.timeout(self.program.ready_timeout_s):
                while not await self.program.ready():  # noqa: ASYNC110 - another process has no event for us
                    await asyncio.sleep(_PROBE_EVERY_S)
        except TimeoutError:
            log.warning("%s is not ready after %g s", self.program.name, self.program.ready_timeout_s)
            _send(process, signal.SIGKILL)
            return
        self._ready_at = monotonic()
        self._become(State.READY)
        if not self._first_ready.done():
            self._first_ready.set_result(None)

    async def _end_on_stop(self, process: Process) -> None:
        await self._stopping.wait()
        _send(process, signal.SIGTERM)
        await asyncio.sleep(self.program.stop_timeout_s)
        log.warning("%s did not end within %g s: killed", self.program.name, self.program.stop_timeout_s)
        _send(process, signal.SIGKILL)

    async def _pause(self, backoff: Backoff) -> None:
        if backoff.failures >= START_ATTEMPTS:
            self._report_failed_start()
        self.restarts += 1
        self._become(State.RESTARTING)
        try:
            async with asyncio.timeout(backoff.pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _give_up(self) -> None:
        self._report_failed_start()
        self._become(State.DEAD)

    def _report_failed_start(self) -> None:
        if self._first_ready.done():
            return
        words = logs.tail(self.program.log, lines=_TAIL_LINES) or "(it said nothing)"
        self._first_ready.set_exception(
            UnavailableError(f"{self.program.name} does not start. {self.program.log} ends with:\n{words}")
        )

    def _log_death(self, process: Process) -> None:
        if self._stopping.is_set():
            return
        log.warning("%s %s", self.program.name, describe_exit(process.returncode or 0))

    def _become(self, state: State) -> None:
        self.state = state
        self.since = time()
        self._changed()


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may have ended, and we have not been told yet
        process.send_signal(number)


def describe_exit(code: int) -> str:
    """How a process ended, as the end of a sentence that begins with its name."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
