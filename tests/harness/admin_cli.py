"""The real `tritontube-admin`: run to its end, followed while it works, or on a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.harness.waiting import eventually

CLI = str(Path(sys.executable).with_name("tritontube-admin"))

_INTERRUPTIBLE = ("env", "--default-signal=INT")
"""A shell lets its background jobs ignore Ctrl-C, and tests that run in one would pass that on."""

_DEADLINE_S = 90.0
_READ_BYTES = 65_536


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


async def cli(*arguments: str, admin: str | None = None) -> Outcome:
    """Run a command to its end. `admin`: what TRITONTUBE_ADMIN says."""
    async with running_cli(*arguments, admin=admin) as command:
        return await command.ended()


@dataclass(kw_only=True)
class Command:
    """A command that runs."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    """Of its standard output, so far."""
    errors: bytearray = field(default_factory=bytearray)

    async def says(self, part: str) -> str:
        """Wait for a line that contains this; return it."""
        return await eventually(
            lambda: next((line for line in self.lines if part in line), None),
            deadline_s=_DEADLINE_S,
            what=f"a line with {part!r}",
        )

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    async def ended(self) -> Outcome:
        """Wait for its end."""
        code = await asyncio.wait_for(self.process.wait(), _DEADLINE_S)
        await eventually(
            lambda: self.process.stdout and self.process.stdout.at_eof(),
            deadline_s=_DEADLINE_S,
            what="all read",
        )
        return Outcome(code, "".join(self.lines), self.errors.decode())

    async def _read_lines(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.lines.append(line.decode())

    async def _read_errors(self) -> None:
        assert self.process.stderr
        while chunk := await self.process.stderr.read(_READ_BYTES):
            self.errors += chunk


@asynccontextmanager
async def running_cli(*arguments: str, admin: str | None = None) -> AsyncIterator[Command]:
    """A command while it works; killed at the end if it still does."""
    process = await asyncio.create_subprocess_exec(
        *(*_INTERRUPTIBLE, CLI, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(admin),
    )
    command = Command(process=process)
    async with asyncio.TaskGroup() as readers:
        readers.create_task(command._read_lines())
        readers.create_task(command._read_errors())
        try:
            yield command
        finally:
            if process.returncode is None:
                process.kill()


async def on_terminal(*arguments: str) -> str:
    """Run a command to its end on a terminal of its own; all that appeared there."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(CLI, *arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=_environment(None)
    )
    os.close(theirs)
    try:
        return await asyncio.wait_for(asyncio.to_thread(_read_all, ours), _DEADLINE_S)
    finally:
        os.close(ours)
        await process.wait()


def _read_all(terminal: int) -> str:
    shown = bytearray()
    while True:
        try:
            chunk = os.read(terminal, _READ_BYTES)
        except OSError:  # how Linux says that nobody writes any more
            return shown.decode()
        shown += chunk


def _environment(admin: str | None) -> Mapping[str, str]:
    named = {"TRITONTUBE_ADMIN": admin} if admin else {}
    return {**os.environ, "COLUMNS": "200", "TERM": "xterm-256color", "TZ": "UTC", **named}
