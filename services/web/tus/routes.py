"""`/uploads`: uploads that go on after whatever broke them off, at this process or at another one.

Nothing of an upload is kept in this process. Its record in etcd says what of it is durable in the ring, and
that is what `HEAD` tells: a client goes on from there, and what was acknowledged outlives any process.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.shared.catalog import Catalog, Resumables, check_offset
from services.shared.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    TritonTubeError,
    UnavailableError,
)
from services.shared.resumable import ResumableUpload
from services.shared.settings import WebSettings
from services.shared.video import check_video_id, new_video_id
from services.web.description import failing
from services.web.intake import too_large
from services.web.sniff import refuse_obvious
from services.web.titles import title_of_upload
from services.web.tus import headers as tus
from services.web.tus.protocol import TusRoute, offer
from services.web.tus.receiver import Receiver

_PATH: Final = "/uploads"
_NO_STORE: Final = {"Cache-Control": "no-store"}

UploadId = Annotated[
    str, Path(description="as in the `Location` of its creation; the video will have it, too")
]


class ResumableUploads:
    """Answers the requests of tus."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        catalog: Catalog,
        resumables: Resumables,
        receiver: Receiver,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._resumables = resumables
        self._receiver = receiver
        self.router = APIRouter(tags=["resumable uploads"], route_class=TusRoute)
        one = _PATH + "/{upload_id}"
        adding = (400, 403, 404, 408, 409, 410, 412, 413, 415, 423, 460, 503, 507)
        for path, answer, method, status, failures in (
            (_PATH, self.offer, "OPTIONS", 204, ()),
            (_PATH, self.create, "POST", 201, (400, 403, 408, 412, 413, 415, 431, 460, 503, 507)),
            (one, self.look, "HEAD", 200, (404, 410, 412, 503)),
            (one, self.add, "PATCH", 204, adding),
            (one, self.end, "DELETE", 204, (403, 404, 409, 410, 412, 423, 503)),
        ):
            self.router.add_api_route(
                path,
                answer,
                methods=[method],
                status_code=status,
                response_class=Response,
                responses=failing(*failures),
            )
        self.router.add_api_route(one, self.override, methods=["POST"], include_in_schema=False)

    async def offer(self) -> Response:
        """What of tus 1.0.0 is offered, and how large a file may be."""
        return Response(status_code=204, headers=offer(self._settings.max_upload_bytes))

    async def create(self, request: Request) -> Response:
        """Begin an upload of `Upload-Length` bytes; its first bytes may come along."""
        upload = await self._resumables.create(await self._announced(request))
        headers = {"Location": f"{_PATH}/{upload.id}"}
        if tus.brings_bytes(request.headers):
            upload = await self._first_bytes(request, upload.id)
            headers["Upload-Offset"] = str(upload.offset)
        return Response(status_code=201, headers=headers | _expiry(upload))

    async def look(self, upload_id: UploadId) -> Response:
        """How much of an upload is durable."""
        try:
            upload = await self._resumables.get(_checked(upload_id))
        except NotFoundError as missing:
            size_bytes = await self._size_of_finished(upload_id, missing)
            return Response(headers=_NO_STORE | _place(size_bytes, size_bytes))
        metadata = {"Upload-Metadata": upload.metadata} if upload.metadata else {}
        place = _place(upload.offset, upload.size_bytes)
        return Response(headers=_NO_STORE | place | metadata | _expiry(upload))

    async def add(self, request: Request, upload_id: UploadId) -> Response:
        """Add bytes from `Upload-Offset` on. The last ones make it a video, with the upload's id.

        Whoever did not hear of that and repeats its last request is told that the upload is there already.
        """
        if not tus.brings_bytes(request.headers):
            raise HTTPException(415, f"What is added to an upload is sent as {tus.CONTENT_TYPE}.")
        offset = tus.size_in(request.headers, "Upload-Offset")
        try:
            upload = await self._receiver.receive(request, _checked(upload_id), offset=offset)
        except NotFoundError as missing:
            size_bytes = await self._size_of_finished(upload_id, missing)
            check_offset(offset, end=size_bytes)
            await self._receiver.receive_nothing(request)
            return Response(status_code=204, headers={"Upload-Offset": str(size_bytes)})
        return Response(status_code=204, headers={"Upload-Offset": str(upload.offset)} | _expiry(upload))

    async def end(self, upload_id: UploadId) -> Response:
        """Give an upload up; all of it is purged."""
        try:
            await self._resumables.terminate(_checked(upload_id))
        except NotFoundError as missing:
            await self._size_of_finished(upload_id, missing)
            raise ConflictError("This upload is complete: delete the video that it has become.") from None
        return Response(status_code=204)

    async def override(self, request: Request, upload_id: UploadId) -> Response:
        """Do what `X-HTTP-Method-Override` says, for clients that can send no other method than POST."""
        match request.headers.get("x-http-method-override", ""):
            case "PATCH":
                return await self.add(request, upload_id)
            case "DELETE":
                return await self.end(upload_id)
            case "HEAD":
                return await self.look(upload_id)
        raise HTTPException(405)

    async def _first_bytes(self, request: Request, upload_id: str) -> ResumableUpload:
        """Receive what comes with a creation. If that fails nobody knows the upload's address, so it ends."""
        try:
            return await self._receiver.receive(request, upload_id, offset=0)
        except (TritonTubeError, HTTPException, ClientDisconnect):
            await self._receiver.give_up(upload_id)
            raise

    async def _size_of_finished(self, upload_id: str, missing: NotFoundError) -> int:
        """How large the file was that has become a video; raises `missing` if none did by such an upload."""
        try:
            source = (await self._catalog.get(upload_id)).source
        except NotFoundError:
            raise missing from None
        if not source.takes:
            raise missing
        return source.size_bytes

    async def _announced(self, request: Request) -> ResumableUpload:
        size_bytes = tus.size_in(request.headers, "Upload-Length")
        if size_bytes > self._settings.max_upload_bytes:
            raise too_large(self._settings.max_upload_bytes)
        if not size_bytes:
            refuse_obvious(b"")
        text = request.headers.get("upload-metadata", "")
        if len(text) > tus.MAX_METADATA_BYTES:
            raise HTTPException(431, f"Upload-Metadata may have {tus.MAX_METADATA_BYTES} bytes.")
        metadata = tus.metadata_of(text)
        limit = self._settings.max_open_uploads
        if await self._resumables.count(up_to=limit) >= limit:
            raise UnavailableError("Too many uploads are waiting to be continued; try again later.")
        name = metadata.get("filename") or metadata.get("name", "")
        return ResumableUpload(
            id=new_video_id(),
            title=title_of_upload(metadata.get("title", ""), name),
            metadata=text,
            size_bytes=size_bytes,
            part_bytes=self._settings.part_bytes,
        )


def _checked(upload_id: str) -> str:
    """The id, if it can be one."""
    try:
        return check_video_id(upload_id)
    except InvalidRequestError as error:
        raise NotFoundError("There is no such upload.") from error


def _place(offset: int, size_bytes: int) -> dict[str, str]:
    return {"Upload-Offset": str(offset), "Upload-Length": str(size_bytes)}


def _expiry(upload: ResumableUpload) -> dict[str, str]:
    """Until when more has to come; nothing has to come of a complete one."""
    return {} if upload.complete else {"Upload-Expires": tus.http_date(upload.expires_at_ms)}
