"""Requests of tus that cannot be done, or not as they are: each is told why, in the protocol's own codes."""

from __future__ import annotations

import pytest

from services.shared.catalog import keys
from tests.harness.fixtures_web import StartWeb
from tests.harness.storage import StorageCluster
from tests.harness.tus import TUS, TusUpload, checksum_of
from tests.harness.web import WebProcess, like_a_video


async def test_what_is_no_video_is_refused_by_its_first_bytes_and_ended(web: WebProcess):
    upload = await TusUpload.create(web, 10_000)
    answer = await upload.patch(web, 0, b"not a video\n" * 100)
    assert (answer.status_code, answer.json()["detail"]) == (415, "This is not a video but text.")
    assert (await upload.head(web)).status_code == 410


async def test_the_server_says_what_it_can_do(web: WebProcess):
    async with web.client() as http:
        answer = await http.request("OPTIONS", "/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    offered = set(answer.headers["tus-extension"].split(","))
    assert offered == {"creation", "creation-with-upload", "expiration", "checksum", "termination"}
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")
    assert int(answer.headers["tus-max-size"]) > 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Tus-Resumable": ""}, 412),
        ({"Upload-Length": ""}, 400),
        ({"Upload-Length": "-5"}, 400),
        ({"Upload-Length": str(1 << 50)}, 413),
        ({"Upload-Length": "0"}, 415),
        ({"Upload-Metadata": "filename ?"}, 400),
        ({"Upload-Metadata": "filename " + "QUFB" * 2000}, 431),
    ],
)
async def test_a_creation_that_cannot_be_is_told_why(web: WebProcess, headers: dict[str, str], status: int):
    async with web.client() as http:
        answer = await http.post("/uploads", headers={**TUS, "Upload-Length": "5000", **headers})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.json()["status"] == status
    assert (answer.headers.get("tus-version") == "1.0.0") == (status == 412)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "2.0.0"}, 412),
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Upload-Offset": "x"}, 400),
        ({"Upload-Offset": "1"}, 409),
        ({"Upload-Checksum": "crc32 AAAA"}, 400),
    ],
)
async def test_an_addition_that_cannot_be_is_told_why(web: WebProcess, headers: dict[str, str], status: int):
    upload = await TusUpload.create(web, 5000)
    answer = await upload.patch(web, 0, like_a_video(100), headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert await upload.offset(web) == 0


async def test_the_type_of_what_is_added_may_be_written_in_any_way_that_http_allows(web: WebProcess):
    upload, data = await TusUpload.create(web, 5000), like_a_video(5000)
    typed = {"Content-Type": "Application/Offset+Octet-Stream; x=y"}
    assert (await upload.patch(web, 0, data[:100], typed)).status_code == 204
    begun = {**TUS, **typed, "Upload-Length": "5000"}
    async with web.client() as http:
        answer = await http.post("/uploads", headers=begun, content=data[:100])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "100")


async def test_more_than_was_announced_is_refused(web: WebProcess):
    upload = await TusUpload.create(web, 5000)
    assert (await upload.patch(web, 0, like_a_video(5001))).status_code == 413
    assert await upload.offset(web) == 0


@pytest.mark.parametrize("upload_id", ["0123456789abcdef", "nothing"])
async def test_an_upload_that_never_was_is_not_found(web: WebProcess, upload_id: str):
    upload = TusUpload(upload_id)
    answers = [await upload.head(web), await upload.patch(web, 0, b"x"), await upload.delete(web)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_a_creation_whose_first_bytes_are_damaged_leaves_no_upload(
    web: WebProcess, storage: StorageCluster
):
    headers = {**TUS, "Upload-Length": "5000", "Content-Type": "application/offset+octet-stream"}
    before = {kv.key async for kv in storage.client.range(keys.RESUMABLE)}
    async with web.client() as http:
        damaged = {**headers, **checksum_of(b"other")}
        answer = await http.post("/uploads", headers=damaged, content=like_a_video(5000))
    assert (answer.status_code, answer.headers.get("location")) == (460, None)
    assert {kv.key async for kv in storage.client.range(keys.RESUMABLE)} <= before


async def test_only_so_many_uploads_may_be_open(start_web: StartWeb, storage: StorageCluster):
    present = len([kv async for kv in storage.client.range(keys.RESUMABLE)])
    web = await start_web("--max-open-uploads", str(present + 1))
    upload = await TusUpload.create(web, 5000)
    async with web.client() as http:
        refused = await http.post("/uploads", headers={**TUS, "Upload-Length": "5000"})
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        await upload.delete(web)
        assert (await http.post("/uploads", headers={**TUS, "Upload-Length": "5000"})).status_code == 201
