"""The real `tritontube up` in a folder of its own, driven as a person or a script would."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from services.local import endpoints, processes, status
from services.local.child import State
from services.local.endpoints import Endpoints
from services.local.status import ChildStatus
from tests.harness.plain_http import NO_TLS
from tests.harness.waiting import POLL_S, eventually

TRITONTUBE = str(Path(sys.executable).with_name("tritontube"))

_READY_DEADLINE_S = 180.0
_STOP_DEADLINE_S = 120.0
_RESTART_DEADLINE_S = 90.0
_COMMAND_DEADLINE_S = 300.0
_LASTING = frozenset({"ready", "failed"})
_PATIENT_POLL_S = 0.25

Json = dict[str, Any]


@dataclass(kw_only=True)
class Stack:
    """One stack: its folder, and the launcher that runs it."""

    data: Path
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    """Set on top of our own environment."""
    launcher: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """All that the launcher has printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def endpoints(self) -> Endpoints:
        """What `endpoints.json` says now."""
        return Endpoints.model_validate_json(endpoints.file_in(self.data).read_bytes())

    @property
    def children(self) -> dict[str, ChildStatus]:
        """The processes that the launcher watches, by name."""
        found = status.read_status(self.data)
        assert found is not None, "the stack does not run"
        return {child.name: child for child in found.children}

    @property
    def left_running(self) -> list[int]:
        """Processes of this stack, other than the launcher, that live."""
        return processes.marked(processes.mark(self.data))

    async def start(self) -> None:
        """Run `tritontube up` until everything is ready."""
        self.launch()
        await eventually(self._ready_or_ended, deadline_s=_READY_DEADLINE_S, what="the stack is ready")
        assert endpoints.file_in(self.data).exists(), f"the stack did not start:\n{self.output}"

    def launch(self) -> None:
        """Run `tritontube up`, and wait for nothing. The kernel ends it with the tests."""
        self.data.mkdir(parents=True, exist_ok=True)
        with self._output.open("ab") as output:
            self.launcher = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", TRITONTUBE, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
            )

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the launcher a signal (Ctrl-C if not told); its exit code once it has ended."""
        assert self.launcher is not None
        self.launcher.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """The exit code of the launcher, once it has ended."""
        assert self.launcher is not None
        waiting = asyncio.to_thread(self.launcher.wait, _STOP_DEADLINE_S)
        return await waiting

    async def kill_launcher(self) -> None:
        """Kill -9 of the launcher alone."""
        assert await self.stop(signal.SIGKILL) == -signal.SIGKILL

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a child a signal, kill -9 if not told; the process it hit."""
        pid = self.children[name].pid
        assert pid is not None, f"{name} is not running"
        os.kill(pid, number)
        return pid

    async def wait_restarted(self, name: str, killed: int) -> ChildStatus:
        """Wait until the child is ready again in another process than `killed`."""
        return await eventually(
            lambda: self._ready_in_another(name, killed),
            deadline_s=_RESTART_DEADLINE_S,
            what=f"{name} is ready again",
        )

    async def upload(self, file: Path, *, title: str | None = None) -> Json:
        """Upload through the first web process; the video as answered."""
        with file.open("rb") as source:
            content: Json = {"data": {"title": title} if title else None, "files": {"file": source}}
            answer = await asyncio.to_thread(self._request, "POST", "/upload", **content)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return dict(answer.json())

    async def video(self, video_id: str) -> Json:
        """The video as the API shows it."""
        answer = await asyncio.to_thread(self._request, "GET", f"/api/videos/{video_id}")
        answer.raise_for_status()
        return dict(answer.json())

    async def wait_status(self, video_id: str, wanted: str, *, deadline_s: float = 240.0) -> Json:
        """Wait until the video has a status; fails at once if it failed instead."""

        async def reached() -> Json | None:
            video = await self.video(video_id)
            final = video["status"] in {wanted, "failed"}
            return video if final else None

        poll_s = _PATIENT_POLL_S if wanted in _LASTING else POLL_S
        video = await eventually(reached, deadline_s=deadline_s, what=f"video is {wanted}", poll_s=poll_s)
        assert video["status"] == wanted, video
        return video

    async def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `tritontube` with these arguments."""
        return await command(*arguments, env=self.env)

    @property
    def _output(self) -> Path:
        return self.data.with_name(f"{self.data.name}.output")

    def _arguments(self) -> tuple[str, ...]:
        port = () if "--port" in self.options else ("--port", "0")
        return ("up", "--data", str(self.data), *port, *self.options)

    def _ready_or_ended(self) -> bool:
        assert self.launcher is not None
        return endpoints.file_in(self.data).exists() or self.launcher.poll() is not None

    def _ready_in_another(self, name: str, killed: int) -> ChildStatus | None:
        child = self.children[name]
        return child if child.state == State.READY and child.pid != killed else None

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        with httpx.Client(base_url=self.endpoints.web, trust_env=False, timeout=60.0, verify=NO_TLS) as http:
            return http.request(method, path, headers={"Accept": "application/json"}, **content)


@asynccontextmanager
async def running_stack(
    data: Path, *options: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """A stack that is ready; gone at the end."""
    stack = Stack(data=data, options=options, env=env or {})
    try:
        await stack.start()
        yield stack
    finally:
        await end(stack)


async def end(stack: Stack) -> None:
    """Make sure that nothing of a stack runs on; the quick way, since RabbitMQ takes 8 s to stop in order."""
    if stack.launcher is not None and stack.launcher.poll() is None:
        await stack.stop(signal.SIGKILL)
    detached = status.launcher_of(stack.data)
    if detached is not None:
        processes.kill(detached, signal.SIGKILL)
    await processes.end_marked(processes.mark(stack.data), timeout_s=30.0)


async def command(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `tritontube` with these arguments."""
    return await asyncio.to_thread(
        subprocess.run,
        [TRITONTUBE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_DEADLINE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
    )
