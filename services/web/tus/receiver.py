"""Adding the bodies of requests to uploads, whatever becomes of their clients."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from services.shared.catalog import Resumables
from services.shared.content import ContentStore
from services.shared.errors import (
    NotFoundError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaError,
)
from services.shared.resumable import ResumableUpload
from services.shared.settings import WebSettings
from services.shared.video import Video
from services.web.body import body_of
from services.web.herald import Herald
from services.web.slots import Slots
from services.web.tus.headers import Checksum
from services.web.tus.take import Take

log = logging.getLogger(__name__)


class Receiver:
    """Receives what is added to resumable uploads.

    When `stopping` is set it takes no more from anyone: what has come is made durable, and clients go on at
    another process.
    """

    def __init__(
        self,
        settings: WebSettings,
        *,
        resumables: Resumables,
        store: ContentStore,
        herald: Herald,
        slots: Slots,
        stopping: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._resumables = resumables
        self._store = store
        self._herald = herald
        self._slots = slots
        self._stopping = stopping

    async def receive(self, request: Request, upload_id: str, *, offset: int) -> ResumableUpload:
        """Add a request's body to an upload from `offset` on; the upload after it.

        Raises:
            RequestError: there is no such upload, it does not end there, others are at it, or the body is
                not what it should be.
            FencedError: the upload was ended meanwhile.
            UnavailableError: a backing service is away, this process is stopping, or too busy.
            ClientDisconnect: the client left; what it had sent is kept.
            HTTPException: 408, likewise: it fell silent.
        """
        checksum = request.headers.get("upload-checksum")
        wanted = Checksum.parse(checksum) if checksum else None
        receiving = self._resumables.receiving(upload_id, offset=offset, instance=self._settings.instance)
        with self._slots.taken():
            async with receiving as reception:
                coming_bytes = _coming(request, reception.upload)
                take = Take(reception, store=self._store, coming_bytes=coming_bytes, checksum=wanted)
                async with aclosing(take):
                    video = await self._fill(take, request, upload_id)
        await self._submit(video)
        return reception.upload

    async def receive_nothing(self, request: Request) -> None:
        """Make sure that a request adds nothing to an upload that is complete.

        Raises:
            TooLargeError: it brings something.
            ClientDisconnect: the client left; HTTPException: 408, it fell silent.
        """
        body = body_of(request, idle_timeout_s=self._settings.upload_idle_timeout_s)
        async with aclosing(body) as chunks:
            async for chunk in chunks:
                if chunk:
                    raise TooLargeError("More was sent than the upload's length.")

    async def give_up(self, upload_id: str) -> None:
        """End an upload that nothing can come of; if this fails, it expires."""
        with suppress(NotFoundError, UnavailableError):
            await self._resumables.terminate(upload_id)

    async def _fill(self, take: Take, request: Request, upload_id: str) -> Video | None:
        try:
            await take.begin()
            await self._pass_on(request, take)
            return await take.finish()
        except (ClientDisconnect, HTTPException):
            await self._submit(await take.keep())
            raise
        except UnsupportedMediaError:
            await self.give_up(upload_id)
            raise

    async def _pass_on(self, request: Request, take: Take) -> None:
        body = body_of(request, idle_timeout_s=self._settings.upload_idle_timeout_s)
        async with aclosing(body) as chunks:
            async for chunk in chunks:
                await take.write(memoryview(chunk))
                if self._stopping.is_set():
                    raise HTTPException(503, "This server is stopping.", headers={"Retry-After": "1"})

    async def _submit(self, video: Video | None) -> None:
        if video:
            log.info("video %s: uploaded, %d bytes (%s)", video.id, video.source.size_bytes, video.title)
            await self._herald.submit(video)


def _coming(request: Request, upload: ResumableUpload) -> int | None:
    """The length of a body, if it is known.

    Raises:
        TooLargeError: the upload has no room for it.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return None
    if int(length) > upload.size_bytes - upload.offset:
        raise TooLargeError("The request brings more than the upload's length.")
    return int(length)
