"""A client of tus 1.0.0 that does one step at a time, and requests that stop half-way."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from tests.harness.web import RawConnection, WebProcess

TUS = {"Tus-Resumable": "1.0.0"}
_ADDING = {**TUS, "Content-Type": "application/offset+octet-stream"}


def checksum_of(data: bytes, algorithm: str = "sha256") -> dict[str, str]:
    """The header that protects a body."""
    digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


@dataclass(frozen=True)
class TusUpload:
    """An upload, as seen through one web process or another."""

    id: str

    @property
    def path(self) -> str:
        """Its address on every process."""
        return f"/uploads/{self.id}"

    @classmethod
    async def create(cls, web: WebProcess, size_bytes: int, *, name: str = "clip.mp4") -> TusUpload:
        """Begin one."""
        named = f"filename {base64.b64encode(name.encode()).decode()}"
        headers = {**TUS, "Upload-Length": str(size_bytes), "Upload-Metadata": named}
        async with web.client() as http:
            answer = await http.post("/uploads", headers=headers)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return cls(answer.headers["location"].rpartition("/")[2])

    async def head(self, web: WebProcess) -> httpx.Response:
        """Ask how it stands."""
        async with web.client() as http:
            return await http.head(self.path, headers=TUS)

    async def offset(self, web: WebProcess) -> int:
        """How much of it is durable."""
        return int((await self.head(web)).headers["upload-offset"])

    async def patch(
        self, web: WebProcess, offset: int, data: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Add to it."""
        given = {**_ADDING, "Upload-Offset": str(offset), **(headers or {})}
        async with web.client() as http:
            return await http.patch(self.path, content=data, headers=given)

    async def delete(self, web: WebProcess) -> httpx.Response:
        """End it."""
        async with web.client() as http:
            return await http.delete(self.path, headers=TUS)

    @asynccontextmanager
    async def patching(
        self, web: WebProcess, offset: int, *, length: int, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[RawConnection]:
        """A request that has announced `length` bytes and sent none of them yet."""
        lines = {
            **_ADDING,
            "Host": "test",
            "Upload-Offset": str(offset),
            "Content-Length": str(length),
            **(headers or {}),
        }
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        async with RawConnection.to(web) as raw:
            await raw.send(f"PATCH {self.path} HTTP/1.1\r\n{text}\r\n".encode())
            yield raw
