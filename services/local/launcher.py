"""`tritontube up`: from an empty folder, or one with a stack's state in it, to a running stack."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.local import logs, processes, programs, status
from services.local import shape as shapes
from services.local.child import Child
from services.local.endpoints import Endpoints, file_in
from services.local.files import replace_text
from services.local.layout import AMQP_VARIABLE, ETCD_VARIABLE, Layout
from services.local.ports import PortBook
from services.local.stack import Stack
from services.local.status import ChildStatus, Status
from services.local.supervisor import Supervisor
from services.shared import lifecycle
from services.shared.errors import UnavailableError
from services.shared.folders import make_usable

log = logging.getLogger(__name__)

_LEFTOVERS_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked `up` for; None: as before, or the default."""

    data: Path
    port: int
    numbers: dict[str, int | None] = field(default_factory=dict)
    """Fields of `Shape`."""
    base_port: int | None = None
    restart: bool = True


def up(options: Options, *, announce: Callable[[Endpoints], None]) -> int:
    """Run a stack until SIGINT or SIGTERM; `announce` is called once everything is ready.

    Returns:
        The exit code.

    Raises:
        TritonTubeError: the stack cannot be started like this; nothing is running.
    """
    _require_programs()
    folder = options.data.resolve()
    make_usable(folder)
    _set_up_logging()
    with status.locked(folder):
        asyncio.run(_end_leftovers(folder))
        stack = _make_stack(options, folder)
        return lifecycle.run(lambda stop: _run(stack, stop, announce, restart=options.restart))


def _make_stack(options: Options, folder: Path) -> Stack:
    alone = ETCD_VARIABLE not in os.environ
    shape = shapes.settle(options.numbers, shapes.Shape.remembered(folder), alone=alone)
    if alone and shape.shortage:
        log.warning("%s Until there are as many, each node keeps one copy.", shape.shortage)
    ports = PortBook(folder / "ports.json", base=options.base_port)
    layout = Layout(folder=folder, shape=shape, ports=ports, http_port=options.port, environ=os.environ)
    stack = layout.stack()
    stack.prepare()
    ports.save()
    shape.remember(folder)
    return stack


async def _run(
    stack: Stack, stop: asyncio.Event, announce: Callable[[Endpoints], None], *, restart: bool
) -> None:
    await _Run(stack, restart=restart).until(stop, announce)
    log.info("Everything has stopped.")


class _Run:
    """One run of a stack: its supervisor, and the files that say how it is."""

    def __init__(self, stack: Stack, *, restart: bool) -> None:
        self._stack = stack
        self._ready = False
        self._supervisor = Supervisor(
            [
                [
                    Child(program, stack=stack.folder, restart=restart, changed=self._changed)
                    for program in tier
                ]
                for tier in stack.tiers()
            ]
        )

    async def until(self, stop: asyncio.Event, announce: Callable[[Endpoints], None]) -> None:
        """Run until `stop` is set."""
        folder = self._stack.folder
        files = [child.program.log for child in self._supervisor.children]
        log.info("Starting %d processes; their logs are in %s", len(files), folder / "logs")
        try:
            async with lifecycle.background(logs.keep_trimmed(files)):
                await self._supervisor.run(stop, ready=lambda: self._become_ready(announce))
        finally:
            file_in(folder).unlink(missing_ok=True)
            await processes.end_marked(processes.mark(folder), timeout_s=_LEFTOVERS_TIMEOUT_S)

    def _become_ready(self, announce: Callable[[Endpoints], None]) -> None:
        self._ready = True
        self._changed()
        announce(self._endpoints())

    def _changed(self) -> None:
        try:
            self._write_files()
        except OSError as error:  # a full disk: the stack must not stop for files that only describe it
            log.warning("the state of the stack cannot be written: %s", error)

    def _write_files(self) -> None:
        if self._ready:  # first: who reads in the status that the stack is ready finds them
            replace_text(file_in(self._stack.folder), self._endpoints().model_dump_json(indent=2) + "\n")
        children = tuple(map(ChildStatus.of, self._supervisor.children))
        Status(launcher=os.getpid(), ready=self._ready, children=children).write(self._stack.folder)

    def _endpoints(self) -> Endpoints:
        return self._stack.endpoints({child.program.name: child.pid for child in self._supervisor.children})


def _require_programs() -> None:
    needed = ["setpriv", "prlimit", "ffmpeg", "ffprobe"]
    if ETCD_VARIABLE not in os.environ:
        needed.append("etcd")
    if AMQP_VARIABLE not in os.environ:
        needed.append("rabbitmq-server")
    programs.require(needed)


async def _end_leftovers(folder: Path) -> None:
    """End what a killed launcher may have left: it would hold our ports and folders."""
    file_in(folder).unlink(missing_ok=True)
    left = await processes.end_marked(processes.mark(folder), timeout_s=_LEFTOVERS_TIMEOUT_S)
    if left:
        raise UnavailableError(f"Processes of an earlier run do not end: {left}. End them, then try again.")


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
