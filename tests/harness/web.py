"""A real web process on loopback, and clients of it that behave well or badly."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.harness.plain_http import NO_TLS
from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess
from tests.harness.waiting import eventually

_READY_DEADLINE_S = 60.0
BOUNDARY = "tritontube-test"

Json = dict[str, Any]


@dataclass(kw_only=True)
class WebProcess:
    """One web process and its addresses."""

    folder: Path
    etcd: Sequence[str]
    amqp_url: str
    name: str = "web"
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    server: ServerProcess = field(init=False)
    _paths: Json = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.server = ServerProcess(
            command=[
                *(sys.executable, "-m", "services.web"),
                *("--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin_port}"),
                *("--etcd-endpoints", ",".join(self.etcd), "--amqp-url", self.amqp_url),
                *("--instance", f"{self.name}-{self.port}"),
                *self.options,
            ],
            log=self.folder / f"{self.name}.log",
        )

    @property
    def url(self) -> str:
        """The library page."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        self.server.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it says that everything it needs is there."""
        await eventually(self._is_ready, deadline_s=_READY_DEADLINE_S, what="the web process is ready")

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client that asks for JSON, and follows no redirects."""
        headers, hooks = {"Accept": "application/json"}, {"response": [self._check_described]}
        client = partial(httpx.AsyncClient, trust_env=False, timeout=60.0, verify=NO_TLS, event_hooks=hooks)
        async with client(base_url=self.url, headers=headers, **options) as http:
            yield http

    async def _check_described(self, answer: httpx.Response) -> None:
        """See that an error is one that the interface says it may answer there."""
        asked = answer.request
        if answer.is_success or answer.is_redirect or asked.headers["accept"] != "application/json":
            return
        if answer.status_code != httpx.codes.METHOD_NOT_ALLOWED and (told := await self._described(asked)):
            content = told[str(answer.status_code)]["content"]
            assert answer.headers["content-type"] in content, (asked, answer, content)

    async def _described(self, asked: httpx.Request) -> Json:
        """What may be answered there; empty: the interface does not say."""
        if not self._paths:
            async with httpx.AsyncClient(trust_env=False, timeout=60.0, verify=NO_TLS) as http:
                self._paths = (await http.get(f"{self.url}/openapi.json")).json()["paths"]
        method = asked.method.lower()
        for path, methods in self._paths.items():
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), asked.url.path):
                described = methods.get(method) or (methods.get("get") if method == "head" else None)
                return dict(described["responses"]) if described else {}
        return {}

    async def upload(self, data: bytes, *, name: str = "clip.mp4", title: str | None = None) -> Json:
        """Upload a file; the answer's JSON."""
        async with self.client() as http:
            fields = {} if title is None else {"title": title}
            answer = await http.post("/upload", files={"file": (name, data)}, data=fields)
            assert answer.status_code == httpx.codes.CREATED, answer.text
            found: Json = answer.json()
            return found

    def peak_memory_bytes(self) -> int:
        """The most memory it has held so far."""
        assert self.server.process is not None
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    async def _is_ready(self) -> bool:
        assert self.server.running, self.server.log_tail()
        async with httpx.AsyncClient(trust_env=False, timeout=5.0, verify=NO_TLS) as http:
            return (await http.get(f"{self.url}/readyz")).is_success


@asynccontextmanager
async def web_process(
    folder: Path, *, etcd: Sequence[str], amqp_url: str, options: Sequence[str] = (), name: str = "web"
) -> AsyncIterator[WebProcess]:
    """A web process that is ready; killed at the end."""
    web = WebProcess(folder=folder, etcd=etcd, amqp_url=amqp_url, options=options, name=name)
    try:
        await web.start()
        yield web
    finally:
        if web.server.running:
            web.server.kill()


def head_of_form(name: str = "file", file_name: str | None = "clip.mp4") -> bytes:
    """The beginning of a form up to where its file's bytes go."""
    described = f'; filename="{file_name}"' if file_name is not None else ""
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{described}\r\n\r\n'.encode()


def tail_of_form() -> bytes:
    """What ends a form after its file's bytes."""
    return f"\r\n--{BOUNDARY}--\r\n".encode()


FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def like_a_video(size_bytes: int) -> bytes:
    """Bytes that nothing tells at a glance from a video, and that a web process cannot compress."""
    head = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
    seed = hashlib.sha256(str(size_bytes).encode()).digest()
    return (head + seed * (size_bytes // len(seed) + 1))[:size_bytes]


@dataclass
class RawConnection:
    """A connection that sends exactly what it is told."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    @asynccontextmanager
    async def to(cls, web: WebProcess) -> AsyncIterator[RawConnection]:
        """Connect."""
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def begin_upload(self, *, length: int, headers: Mapping[str, str] | None = None) -> None:
        """Send the head of a request that announces a form of `length` bytes."""
        lines = {
            "Host": "test",
            "Accept": "application/json",
            "Content-Type": FORM_TYPE,
            "Content-Length": str(length),
            **(headers or {}),
        }
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.send(f"POST /upload HTTP/1.1\r\n{text}\r\n".encode())

    async def send(self, data: bytes) -> None:
        """Send bytes, all of them."""
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> int:
        """The status of the answer."""
        line = await asyncio.wait_for(self.reader.readline(), 60)
        return int(line.split()[1])
