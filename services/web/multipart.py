"""Reading a multipart form while it arrives (RFC 7578), with python-multipart's push parser.

Nothing is gathered here: a file's bytes are handed on as views of what the network gave us.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.shared.errors import InvalidRequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # exists for type checkers only

_FORM: Final = b"multipart/form-data"
_DISPOSITION: Final = b"content-disposition"


@dataclass(frozen=True, kw_only=True, slots=True)
class PartBegin:
    """A field of the form begins."""

    name: str
    file_name: str | None
    """None: an ordinary field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartData:
    """The next bytes of the field that began last."""

    data: memoryview


@dataclass(frozen=True, kw_only=True, slots=True)
class PartEnd:
    """The field that began last is complete."""


FormEvent = PartBegin | PartData | PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type header names.

    Raises:
        InvalidRequestError: this is no multipart form.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != _FORM or not boundary:
        raise InvalidRequestError('Send the video as a form (multipart/form-data) with a field named "file".')
    return boundary


async def read_form(body: AsyncIterator[bytes], boundary: bytes) -> AsyncGenerator[FormEvent, None]:
    """Take a form apart as its bytes arrive.

    Raises:
        InvalidRequestError: it is malformed, or ends too early.
    """
    events = _Events()
    try:
        parser = MultipartParser(boundary, events.callbacks)
        async for chunk in body:
            parser.write(chunk)
            for event in events.take():
                yield event
    except FormParserError as error:
        raise InvalidRequestError(f"The form is malformed: {error}.") from error
    if not events.complete:
        raise InvalidRequestError("The form ends in the middle.")


class _Events:
    """Turns the parser's callbacks into events."""

    def __init__(self) -> None:
        self.complete = False
        self._queue: list[FormEvent] = []
        self._header = b""
        self._value = b""
        self._disposition = b""
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._on_end,
            "on_end": self._on_form_end,
        }

    def take(self) -> list[FormEvent]:
        """What has happened since the last call."""
        taken, self._queue = self._queue, []
        return taken

    def _begin(self) -> None:
        self._disposition = b""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == _DISPOSITION:
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        file_name = options.get(b"filename")
        self._queue.append(
            PartBegin(
                name=_text(options.get(b"name", b"")),
                file_name=None if file_name is None else _text(file_name),
            )
        )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._queue.append(PartData(data=memoryview(data)[start:end]))

    def _on_end(self) -> None:
        self._queue.append(PartEnd())

    def _on_form_end(self) -> None:
        self.complete = True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
