"""`POST /upload`: a form with a video in it, streamed into the ring while it arrives.

Killing this process at any moment loses no upload that was answered with success: by then the parts are in
the ring and the record is in etcd, whose sweeper asks for the work if our message never got out. An upload
that was not answered is purged.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.requests import ClientDisconnect

from services.shared.catalog import Catalog, now_ms
from services.shared.content import ContentStore
from services.shared.errors import InvalidRequestError
from services.shared.etcd import EtcdClient
from services.shared.settings import MIB, WebSettings
from services.shared.video import Source, Status, Video, new_video_id
from services.web.announcement import Announcement
from services.web.body import body_of
from services.web.description import Answers, failing
from services.web.herald import Herald
from services.web.intake import Intake, too_large
from services.web.multipart import FormEvent, PartBegin, PartData, boundary_of, read_form
from services.web.negotiation import prefers_json
from services.web.slots import Slots
from services.web.titles import title_of_upload
from services.web.views import UploadView, watch_path

log = logging.getLogger(__name__)

_FILE: Final = "file"
_TITLE: Final = "title"
_MAX_TITLE_BYTES: Final = 4096
_FORM_BYTES: Final = MIB
"""What a form may need on top of its file."""

_ANSWERS: Final[Answers] = {
    303: {"description": "Without `Accept: application/json`: to the library page"},
    **failing(400, 403, 408, 413, 415, 503, 507),
}

_OPENAPI: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [_FILE],
                    "properties": {
                        _FILE: {"type": "string", "format": "binary", "description": "the video"},
                        _TITLE: {"type": "string", "description": "free text; else the file's name is taken"},
                    },
                }
            }
        },
    }
}


class Uploads:
    """Receives videos."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        etcd: EtcdClient,
        catalog: Catalog,
        store: ContentStore,
        herald: Herald,
        slots: Slots,
    ) -> None:
        self._settings = settings
        self._etcd = etcd
        self._catalog = catalog
        self._store = store
        self._herald = herald
        self._slots = slots
        self.router = APIRouter(tags=["videos"])
        self.router.add_api_route(
            "/upload",
            self.upload,
            methods=["POST"],
            status_code=201,
            response_model=UploadView,
            responses=_ANSWERS,
            openapi_extra=_OPENAPI,
        )

    async def upload(self, request: Request) -> Response:
        """Upload a video of any container, as a form with a field `file` and perhaps a field `title`."""
        try:
            with self._slots.taken():
                video = await self._receive(request)
        except ClientDisconnect:
            log.info("an upload was broken off by its client")
            return Response(status_code=400)
        await self._herald.submit(video)
        return _answer(request, video)

    async def _receive(self, request: Request) -> Video:
        self._check_length(request)
        boundary = boundary_of(request.headers.get("content-type", ""))
        video_id = new_video_id()
        announcement = Announcement(
            etcd=self._etcd, catalog=self._catalog, instance=self._settings.instance, video_id=video_id
        )
        async with announcement, aclosing(self._intake(video_id, announcement)) as intake:
            form = _Form(intake)
            body = body_of(request, idle_timeout_s=self._settings.upload_idle_timeout_s)
            async with aclosing(read_form(body, boundary)) as events:
                async for event in events:
                    await form.take(event)
            video = _uploaded(video_id, form.title, await form.finish())
            await announcement.finish(video)
        log.info("video %s: uploaded, %d bytes (%s)", video.id, video.source.size_bytes, video.title)
        return video

    def _intake(self, video_id: str, announcement: Announcement) -> Intake:
        return Intake(
            store=self._store,
            announce=announcement.make,
            video_id=video_id,
            part_bytes=self._settings.part_bytes,
            max_bytes=self._settings.max_upload_bytes,
        )

    def _check_length(self, request: Request) -> None:
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._settings.max_upload_bytes + _FORM_BYTES:
            raise too_large(self._settings.max_upload_bytes)


class _Form:
    """Gathers what an upload form says, and passes the file on."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._field = ""
        self._file_name: str | None = None
        self._title = b""

    @property
    def title(self) -> str:
        """The title that was given, or one made of the file's name."""
        return title_of_upload(self._title.decode("utf-8", "replace"), self._file_name or "")

    async def take(self, event: FormEvent) -> None:
        """Look at the next thing in the form.

        Raises:
            RequestError: there is something in it that has no place in it.
            UnavailableError: the ring does not take the file.
        """
        if isinstance(event, PartBegin):
            self._begin(event)
        elif isinstance(event, PartData):
            await self._data(event.data)

    async def finish(self) -> Source:
        """The file, all of which is in the ring now.

        Raises:
            RequestError: there was none, or it is no video.
            UnavailableError: the ring does not take it.
        """
        if self._file_name is None:
            raise InvalidRequestError(f'The form has no field named "{_FILE}" with a video in it.')
        return await self._intake.finish()

    def _begin(self, part: PartBegin) -> None:
        self._field = part.name
        if part.name != _FILE:
            if part.file_name is not None:
                raise InvalidRequestError(
                    f'The video goes into a field named "{_FILE}"; this form has it in "{part.name}".'
                )
            return
        if self._file_name is not None:
            raise InvalidRequestError("Upload one video at a time: this form has several.")
        if part.file_name == "":
            raise InvalidRequestError("No file was chosen.")
        self._file_name = part.file_name or ""

    async def _data(self, data: memoryview) -> None:
        if self._field == _FILE:
            await self._intake.write(data)
        elif self._field == _TITLE and len(self._title) < _MAX_TITLE_BYTES:
            self._title += data[:_MAX_TITLE_BYTES]


def _uploaded(video_id: str, title: str, source: Source) -> Video:
    now = now_ms()
    return Video(
        id=video_id,
        title=title,
        status=Status.UPLOADED,
        created_at_ms=now,
        updated_at_ms=now,
        source=source,
    )


def _answer(request: Request, video: Video) -> Response:
    if prefers_json(request.headers.get("accept", "")):
        body = UploadView.of(video).model_dump(mode="json")
        return JSONResponse(body, status_code=201, headers={"Location": watch_path(video.id)})
    return RedirectResponse("/", status_code=303)
