"""What a video that came by several requests refers to, and what of them is garbage."""

from __future__ import annotations

import pytest

from services.shared.catalog.keys import graves
from services.shared.filenames import source_part_file
from services.shared.references import references
from services.shared.resumable import ResumableUpload
from services.shared.video import Source, Status, Video
from tests.harness.videos import video_record

DIGEST = "ab" * 32


def uploaded() -> Video:
    """Two parts: the second one was begun by request 2 and completed by request 5."""
    upload = ResumableUpload(id="0123456789abcdef", title="T", size_bytes=15, part_bytes=10)
    for take, size_bytes, has_tail in ((1, 10, False), (2, 3, False), (5, 5, True)):
        upload = upload.with_file(take=take, size_bytes=size_bytes, sha256=DIGEST, has_tail=has_tail)
    assert upload.complete
    return upload.video(now_ms=1)


def test_the_parts_are_those_of_the_requests_that_completed_them():
    assert references(uploaded(), None, ()).needed == {"source-t1-00000.part", "source-t5-00001.part"}


@pytest.mark.parametrize("name", ["source-t2-00001.part", "source-t9-00000.part"])
def test_what_other_requests_stored_is_garbage_once_nobody_works_for_the_video(name: str):
    settled = uploaded().model_copy(update={"status": Status.READY})
    found = references(settled, None, ())
    assert found.is_garbage(name)
    assert found.is_stray(name)
    assert not references(uploaded(), None, ()).is_garbage(name)


def test_its_parts_are_no_garbage():
    found = references(uploaded().model_copy(update={"status": Status.READY}), None, ())
    assert not any(found.is_garbage(name) for name in found.needed)


def test_its_parts_lie_under_the_tombstone_of_the_original():
    assert graves("x", "source-t1-00000.part") == graves("x", "source-00000.part")


def test_the_names_of_what_came_by_a_single_request_are_what_they_were():
    assert [source_part_file(7), video_record().source.part_file(0)] == [
        "source-00007.part",
        "source-00000.part",
    ]


def test_a_source_is_told_by_its_hash_or_its_chain():
    whole = Source(size_bytes=1, sha256=DIGEST, part_bytes=1, parts=1)
    assert whole.digest == DIGEST
    source = uploaded().source
    assert (source.sha256, source.digest) == ("", source.chain)
    assert len(source.chain) == len(DIGEST)
