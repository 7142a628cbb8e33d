"""Our own scripts, styles and pictures, and the player: read once, served from memory, compressed.

Their address holds a digest of them all, so browsers keep them for ever and a new release is seen at once.
Modules that import one another by relative addresses stay within one release that way.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.shared.errors import NotFoundError
from services.web.conditions import etag_of, is_known
from services.web.files import IMMUTABLE, REVALIDATE

_FOLDER: Final = Path(__file__).parent / "static"
_COMPRESSED: Final = frozenset({".css", ".js", ".svg", ".txt"})
_DIGEST_CHARS: Final = 12
_TYPES: Final = {
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, kw_only=True)
class _Asset:
    media_type: str
    etag: str
    data: bytes
    gzipped: bytes | None


class Assets:
    """The files below `static/`."""

    def __init__(self) -> None:
        self._assets = dict(_read_all(_FOLDER))
        etags = "".join(f"{name}{asset.etag}" for name, asset in sorted(self._assets.items()))
        self._release = hashlib.sha256(etags.encode()).hexdigest()[:_DIGEST_CHARS]
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/static/{release}/{name:path}", self.get, methods=["GET", "HEAD"])
        self.router.add_api_route("/favicon.ico", self.icon, methods=["GET", "HEAD"])

    def path(self, name: str) -> str:
        """Where a file is found.

        Raises:
            KeyError: there is none of that name.
        """
        assert self._assets[name]
        return f"/static/{self._release}/{name}"

    async def get(self, request: Request, release: str, name: str) -> Response:
        """A file. One asked for under another release than ours is given, but not to be kept."""
        asset = self._assets.get(name)
        if asset is None:
            raise NotFoundError("There is no such file.")
        headers = {
            "ETag": f"W/{asset.etag}",  # weak: the same for both encodings
            "Cache-Control": IMMUTABLE if release == self._release else REVALIDATE,
            "Vary": "Accept-Encoding",
        }
        if is_known(request.headers.get("if-none-match"), asset.etag):
            return Response(status_code=304, headers=headers)
        if asset.gzipped and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.gzipped, headers=headers, media_type=asset.media_type)
        return Response(asset.data, headers=headers, media_type=asset.media_type)

    async def icon(self, request: Request) -> Response:
        """The icon, for whoever does not read the page to find it."""
        return await self.get(request, "", "logo.svg")


def _read_all(folder: Path) -> Iterator[tuple[str, _Asset]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), _read(path)


def _read(path: Path) -> _Asset:
    data = path.read_bytes()
    guessed = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _Asset(
        media_type=guessed,
        etag=etag_of(hashlib.sha256(data).hexdigest()),
        data=data,
        gzipped=gzip.compress(data, compresslevel=9, mtime=0) if path.suffix in _COMPRESSED else None,
    )
