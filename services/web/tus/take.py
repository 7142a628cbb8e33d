"""What one request adds to a resumable upload, on its way into the ring.

Each part is on record as soon as it is durable, and so is the beginning of another that the request leaves
behind. With a checksum the request counts as a whole or not at all: nothing is on record before its end.
"""

from __future__ import annotations

from services.shared.catalog import Reception
from services.shared.content import ContentStore, StoredFile
from services.shared.errors import TooLargeError
from services.shared.filenames import source_part_file
from services.shared.video import Video
from services.web import sniff
from services.web.intake import RECEIVED
from services.web.parts import Parts
from services.web.tus.headers import Checksum


class Take:
    """Takes one request's body. Closing it stops whatever is still being stored."""

    def __init__(
        self,
        reception: Reception,
        *,
        store: ContentStore,
        coming_bytes: int | None,
        checksum: Checksum | None,
    ) -> None:
        """`coming_bytes`: the length of the body; None: nobody knows."""
        self._reception = reception
        self._store = store
        self._checksum = checksum
        self._hash = checksum.hash() if checksum else None
        self._upload = upload = reception.upload
        self._room_bytes = upload.size_bytes - upload.offset
        self._has_tail = upload.takes_tail_in(coming_bytes)
        self._head: bytes | None = None if upload.offset else b""
        """The beginning of the file, until it has been looked at."""
        first = len(upload.takes)
        self._parts = Parts(
            store=store,
            key=lambda number: f"{upload.id}/{source_part_file(first + number, take=upload.take)}",
            part_bytes=upload.part_bytes,
            on_stored=self._stored,
        )

    async def aclose(self) -> None:
        """Make sure that nothing is being stored any more."""
        await self._parts.aclose()

    async def begin(self) -> None:
        """Copy the tail where it is needed again, before anything else.

        Raises:
            UnavailableError: the ring does not give it, or does not take it.
        """
        if self._has_tail:
            await self._copy_tail()

    async def write(self, data: memoryview) -> None:
        """Take more bytes.

        Raises:
            TooLargeError: the file would become longer than was said.
            UnsupportedMediaError: it is obviously not a video.
            FencedError: the upload is in other hands, or has been given up.
            UnavailableError: the ring does not take it, or etcd is away.
        """
        self._room_bytes -= len(data)
        if self._room_bytes < 0:
            raise TooLargeError("More was sent than the upload's length.")
        RECEIVED.inc(len(data))
        if self._hash:
            self._hash.update(data)
        if self._head is None:
            await self._parts.write(data)
            return
        self._head += data
        if len(self._head) >= sniff.HEAD_BYTES:
            await self._pass_head()

    async def keep(self) -> Video | None:
        """The client has left: make durable what it sent, unless only all of it would count.

        Raises:
            TritonTubeError: as `finish`.
        """
        return None if self._checksum else await self._end()

    async def finish(self) -> Video | None:
        """Make all of it durable; the video, if that was the end of the file.

        Raises:
            ChecksumError: something else arrived than was sent; nothing of it counts.
            UnsupportedMediaError: it is obviously not a video.
            FencedError: the upload is in other hands, or has been given up.
            UnavailableError: the ring does not take it, or etcd is away.
        """
        if self._checksum and self._hash:
            self._checksum.check(self._hash)
        return await self._end()

    async def _end(self) -> Video | None:
        if self._head:
            await self._pass_head()
        await self._parts.finish()
        if self._upload.complete:
            return await self._reception.finish(self._upload)
        if self._checksum:
            await self._reception.save(self._upload)
        return None

    async def _pass_head(self) -> None:
        head, self._head = self._head or b"", None
        if len(head) >= min(sniff.HEAD_BYTES, self._upload.size_bytes):
            sniff.refuse_obvious(head[: sniff.HEAD_BYTES])
        await self._parts.write(memoryview(head))

    async def _copy_tail(self) -> None:
        for name in self._upload.tail_files():
            async with await self._store.open(f"{self._upload.id}/{name}") as reader:
                async for chunk in reader:
                    await self._parts.write(memoryview(chunk))

    async def _stored(self, file: StoredFile) -> None:
        """Put a durable file on record, except the last one, which goes with the end."""
        self._upload = self._upload.with_file(
            take=self._upload.take,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            has_tail=self._has_tail,
        )
        if not self._checksum and not self._upload.complete:
            await self._reception.save(self._upload)
