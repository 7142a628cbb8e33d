"""An upload that stops half-way until the test lets it go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from tests.harness.plain_http import NO_TLS

_BOUNDARY = "tritontube-test-boundary"
_CHUNK_BYTES = 64 * 1024


class GatedUpload:
    """Sends the first half of a file as a form, then waits for `release`."""

    def __init__(self, url: str, file: Path, *, title: str = "gated") -> None:
        self._url = url
        self._file = file
        self._title = title
        self._gate = asyncio.Event()
        self.half_sent = asyncio.Event()
        self._answer: asyncio.Task[httpx.Response] | None = None

    async def start(self) -> None:
        """Begin, and return when the first half is on its way."""
        self._answer = asyncio.create_task(self._post())
        await asyncio.wait_for(self.half_sent.wait(), 60)

    async def finish(self) -> dict[str, Any]:
        """Send the rest; the video as answered."""
        self._gate.set()
        assert self._answer is not None
        answer = await self._answer
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return dict(answer.json())

    async def _post(self) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=120, verify=NO_TLS) as http:
            return await http.post(
                f"{self._url}/upload",
                content=self._body(),
                headers={
                    "Accept": "application/json",
                    "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
                },
            )

    async def _body(self) -> AsyncIterator[bytes]:
        yield _field('name="title"', self._title.encode()) + b"\r\n"
        yield _field(f'name="file"; filename="{self._file.name}"', b"")
        data = self._file.read_bytes()
        half = len(data) // 2
        for start in range(0, half, _CHUNK_BYTES):
            yield data[start : min(start + _CHUNK_BYTES, half)]
        self.half_sent.set()
        await self._gate.wait()
        for start in range(half, len(data), _CHUNK_BYTES):
            yield data[start : start + _CHUNK_BYTES]
        yield f"\r\n--{_BOUNDARY}--\r\n".encode()


def _field(disposition: str, value: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + value
