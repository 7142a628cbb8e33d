"""Whatever breaks an upload off, and however small its requests: the parts are those of the whole file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from services.shared.resumable import MAX_TAIL_FILES, ResumableUpload
from services.shared.video import Status

PART = 8


@dataclass
class Ring:
    """Write-once, as the real one, and given files as a take gives them."""

    files: dict[str, bytes] = field(default_factory=dict)

    def store(self, upload: ResumableUpload, data: bytes, *, has_tail: bool) -> ResumableUpload:
        name = upload.part_file(upload.take)
        assert name not in self.files
        self.files[name] = data
        return upload.with_file(
            take=upload.take,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            has_tail=has_tail,
        )


def take(ring: Ring, upload: ResumableUpload, *, arrived: bytes, coming: int | None) -> ResumableUpload:
    """What a request does that brings `arrived`, of the `coming` bytes that it announced."""
    part_bytes = upload.part_bytes
    upload = upload.model_copy(update={"take": upload.take + 1})
    has_tail = upload.takes_tail_in(coming)
    tail = b"".join(ring.files[name] for name in upload.tail_files()) if has_tail else b""
    data = tail + arrived
    while data:
        upload = ring.store(upload, data[:part_bytes], has_tail=has_tail)
        data = data[part_bytes:]
    return upload


requests = st.lists(
    st.tuples(
        st.integers(min_value=1, max_value=3 * PART),  # what a request announces
        st.integers(min_value=0, max_value=3 * PART),  # what is lost of it
        st.booleans(),  # whether it says how much it brings
    ),
    max_size=60,
)


@given(file=st.binary(min_size=1, max_size=6 * PART), requests=requests)
def test_any_row_of_requests_ends_in_the_parts_of_the_file(
    file: bytes, requests: list[tuple[int, int, bool]]
):
    ring, upload = Ring(), ResumableUpload(id="x", title="T", size_bytes=len(file), part_bytes=PART)
    for announced, lost, told in [*requests, (len(file), 0, True)]:
        left = len(file) - upload.offset
        coming = min(announced, left)
        arrived = file[upload.offset : upload.offset + max(coming - lost, 0)]
        before = upload.offset
        if coming:
            upload = take(ring, upload, arrived=arrived, coming=coming if told else None)
        assert upload.offset == before + len(arrived)
        assert len(upload.tail) <= MAX_TAIL_FILES
        assert upload.complete == (upload.offset == len(file))
    source = upload.video(now_ms=1).source
    parts = [ring.files[source.part_file(number)] for number in range(source.parts)]
    assert b"".join(parts) == file
    assert all(len(part) == PART for part in parts[:-1])


@given(file=st.binary(min_size=1, max_size=4 * PART), cut=st.integers(min_value=0, max_value=4 * PART))
def test_the_digest_tells_files_apart_and_not_how_they_came(file: bytes, cut: int):
    def digest(data: bytes, cut: int) -> str:
        upload, ring = ResumableUpload(id="x", title="T", size_bytes=len(data), part_bytes=PART), Ring()
        for some in filter(None, (data[:cut], data[cut:])):
            upload = take(ring, upload, arrived=some, coming=len(some))
        return upload.video(now_ms=1).source.digest

    other = bytes([file[0] ^ 1]) + file[1:]
    assert digest(file, cut) == digest(file, 0) != digest(other, cut)


def test_tiny_requests_do_not_make_an_endless_record():
    size = 10 * MAX_TAIL_FILES
    upload = ResumableUpload(id="x", title="T", size_bytes=size, part_bytes=size)
    ring, most = Ring(), 0
    for _ in range(size):
        upload = take(ring, upload, arrived=b"x", coming=1)
        most = max(most, len(upload.tail))
    assert upload.complete
    assert most <= MAX_TAIL_FILES
    assert upload.video(now_ms=1).status is Status.UPLOADED
