"""Resumable uploads into a real ring: any process goes on, nothing acknowledged is lost, nothing is mixed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio

from services.shared.catalog import Catalog, keys
from services.shared.messages import FIRST_QUEUE, PlanJob
from services.shared.references import references
from services.shared.settings import MIB
from services.shared.video import Status
from tests.harness.fixtures_web import StartWeb
from tests.harness.rabbitmq import RabbitProcess, VirtualHost, virtual_host
from tests.harness.storage import StorageCluster
from tests.harness.tus import TUS, TusUpload, checksum_of
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess, like_a_video, web_process

PART = MIB
SMALL_PARTS = ("--part-bytes", str(PART))


class Pair(NamedTuple):
    """Two web processes over one ring, with a broker of their own."""

    first: WebProcess
    second: WebProcess
    vhost: VirtualHost


@pytest_asyncio.fixture(scope="module")
async def shared_pair(
    shared_storage: StorageCluster, rabbitmq: RabbitProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """The pair that the tests of this module share; use it through `pair`."""
    folder, etcd = tmp_path_factory.mktemp("tus"), shared_storage.etcd.endpoints
    async with (
        virtual_host(rabbitmq) as vhost,
        web_process(folder, etcd=etcd, amqp_url=vhost.url, options=SMALL_PARTS, name="first") as first,
        web_process(folder, etcd=etcd, amqp_url=vhost.url, options=SMALL_PARTS, name="second") as second,
    ):
        yield Pair(first, second, vhost)


@pytest_asyncio.fixture
async def pair(storage: StorageCluster, shared_pair: Pair) -> Pair:
    """Two web processes, ready; the test may kill them."""
    assert list(storage.etcd.endpoints) == list(shared_pair.first.etcd)
    for web in (shared_pair.first, shared_pair.second):
        web.server.revive()
        await web.ready()
    return shared_pair


def other_bytes(size_bytes: int) -> bytes:
    return random.Random(7).randbytes(size_bytes)


async def original(web: WebProcess, upload: TusUpload) -> bytes:
    async with web.client() as http:
        answer = await http.get(f"/content/{upload.id}/download/original")
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.content


async def held(storage: StorageCluster, upload: TusUpload) -> set[str]:
    """The upload's files on any disk."""
    return {key for node in storage.nodes for key in await node.keys(upload.id)}


async def purged(storage: StorageCluster, upload: TusUpload) -> bool:
    names = [key(upload.id) for key in (keys.resumable, keys.receiver, keys.video)]
    return not any([await storage.client.get(name) for name in names]) and not await held(storage, upload)


async def patched(upload: TusUpload, web: WebProcess, data: bytes) -> int:
    """Send the rest of a file, once whoever has died in the middle of it is known to be dead; the status."""

    async def sent() -> httpx.Response | None:
        offset = await upload.offset(web)
        answer = await upload.patch(web, offset, data[offset:])
        return None if answer.status_code == httpx.codes.LOCKED else answer

    return (await eventually(sent, deadline_s=60, what="the upload is free")).status_code


# ---- one file, many requests ----


async def test_two_instances_take_turns_and_the_video_is_the_file(pair: Pair, storage: StorageCluster):
    first, second, vhost = pair
    data = like_a_video(3 * PART + 12_345)
    upload = await TusUpload.create(first, len(data), name="A_day at sea.mkv")
    offset, webs = 0, [first, second]
    for size_bytes in (1, 100_000, PART, 7, PART // 2, len(data)):
        webs.reverse()
        answer = await upload.patch(webs[0], offset, data[offset : offset + size_bytes])
        assert answer.status_code == 204, answer.text
        offset = int(answer.headers["upload-offset"])
        assert offset == await upload.offset(webs[1])
    video = await Catalog(storage.client).get(upload.id)
    assert (video.title, video.status) == ("A day at sea", Status.UPLOADED)
    assert (offset, video.source.size_bytes, video.source.parts) == (len(data), len(data), 4)
    assert await original(first, upload) == data
    jobs = [PlanJob.model_validate_json(job["payload"]) for job in await vhost.messages(FIRST_QUEUE)]
    assert jobs.count(PlanJob(video_id=upload.id, generation=0)) == 1


async def test_what_was_put_together_leaves_nothing_but_garbage(pair: Pair, storage: StorageCluster):
    web, data = pair.first, like_a_video(PART + 5000)
    upload = await TusUpload.create(web, len(data))
    for start in range(0, len(data), PART // 4):
        await upload.patch(web, start, data[start : start + PART // 4])
    video = (await Catalog(storage.client).get(upload.id)).moved_to(Status.FAILED, now_ms=1)
    referred = references(video, None, ())
    names = {key.partition("/")[2] for key in await held(storage, upload)}
    assert referred.needed < names
    assert {name for name in names if referred.is_garbage(name)} == names - referred.needed
    assert await original(web, upload) == data


async def test_the_first_bytes_may_come_with_the_creation(web: WebProcess):
    data = like_a_video(5000)
    headers = {**TUS, "Upload-Length": str(len(data)), "Content-Type": "application/offset+octet-stream"}
    async with web.client() as http:
        answer = await http.post("/uploads", headers=headers, content=data[:2000])
        assert (answer.status_code, answer.headers["upload-offset"]) == (201, "2000")
        upload = TusUpload(answer.headers["location"].rpartition("/")[2])
        over = await http.post(
            upload.path,
            headers={**headers, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "2000"},
            content=data[2000:],
        )
    assert (over.status_code, over.headers["upload-offset"]) == (204, "5000")
    assert await original(web, upload) == data


async def test_a_finished_upload_still_says_so_and_cannot_be_ended(web: WebProcess):
    data = like_a_video(5000)
    upload = await TusUpload.create(web, len(data))
    await upload.patch(web, 0, data)
    found = await upload.head(web)
    assert (found.headers["upload-offset"], found.headers["upload-length"]) == ("5000", "5000")
    assert (await upload.delete(web)).status_code == 409
    usual = TusUpload((await web.upload(data))["id"])
    assert (await usual.head(web)).status_code == 404
    assert (await usual.patch(web, 5000, b"")).status_code == 404


async def test_who_did_not_hear_that_its_upload_is_finished_finds_out(web: WebProcess):
    data = like_a_video(5000)
    upload = await TusUpload.create(web, len(data))
    await upload.patch(web, 0, data)
    nothing = await upload.patch(web, 5000, b"")
    assert (nothing.status_code, nothing.headers["upload-offset"]) == (204, "5000")
    again = await upload.patch(web, 0, data)
    assert again.status_code == 409
    assert again.json()["detail"] == "The upload is at byte 5000; the request begins at 0."
    assert (await upload.patch(web, 5000, b"more")).status_code == 413
    assert (await upload.patch(web, 0, b"")).status_code == 409
    assert await original(web, upload) == data


# ---- whatever breaks off ----


async def test_an_instance_killed_in_the_middle_loses_nothing_that_was_acknowledged(pair: Pair):
    first, second, _ = pair
    data = like_a_video(6 * PART)
    upload = await TusUpload.create(first, len(data))
    assert (await upload.patch(first, 0, data[:1000])).status_code == 204
    async with upload.patching(first, 1000, length=len(data) - 1000) as raw:
        await raw.send(data[1000 : 4 * PART + 500])

        async def two_parts() -> bool:
            return await upload.offset(second) >= 2 * PART

        await eventually(two_parts, deadline_s=60, what="two parts are durable")
        first.server.kill()
    assert await upload.offset(second) >= 2 * PART
    assert await patched(upload, second, data) == 204
    assert await original(second, upload) == data


async def test_what_a_client_sent_before_it_left_is_kept_to_the_last_byte(pair: Pair):
    web, data = pair.first, like_a_video(3 * PART)
    upload, sent = await TusUpload.create(web, len(data)), PART + 12_345
    async with upload.patching(web, 0, length=len(data)) as raw:
        await raw.send(data[:sent])
        await eventually(lambda: _reached(upload, web, PART), deadline_s=60, what="a part is durable")
        raw.writer.write_eof()
        await eventually(lambda: _reached(upload, web, sent), deadline_s=60, what="the rest is, too")
    assert await patched(upload, web, data) == 204
    assert await original(web, upload) == data


async def _reached(upload: TusUpload, web: WebProcess, offset: int) -> bool:
    return await upload.offset(web) >= offset


async def test_a_client_that_stands_still_is_told_so_and_can_go_on(start_web: StartWeb):
    web, data = await start_web(*SMALL_PARTS, "--upload-idle-timeout-s", "2"), like_a_video(2 * PART)
    upload = await TusUpload.create(web, len(data))
    async with upload.patching(web, 0, length=len(data)) as raw:
        await raw.send(data[:5000])
        assert await raw.status() == 408
    assert await upload.offset(web) == 5000
    assert (await upload.patch(web, 5000, data[5000:])).status_code == 204


async def test_a_process_told_to_stop_keeps_what_has_come_and_sends_the_client_elsewhere(
    pair: Pair, start_web: StartWeb
):
    web, other = await start_web(*SMALL_PARTS), pair.second
    data = like_a_video(3 * PART)
    upload = await TusUpload.create(web, len(data))
    async with upload.patching(web, 0, length=len(data)) as raw:
        await raw.send(data[: PART + 1])
        await eventually(lambda: _reached(upload, other, PART), deadline_s=60, what="a part is durable")
        assert web.server.process is not None
        web.server.process.terminate()
        await eventually(lambda: "stopping" in web.server.log_tail(), what="it stops")
        await raw.send(data[PART + 1 : PART + 2])
        assert await raw.status() == 503
    assert await upload.offset(other) == PART + 2
    assert await patched(upload, other, data) == 204


async def test_an_upload_goes_on_through_the_loss_of_a_storage_node(pair: Pair, storage: StorageCluster):
    web, data = pair.first, like_a_video(6 * PART)
    upload = await TusUpload.create(web, len(data))
    assert (await upload.patch(web, 0, data[: PART + 99])).status_code == 204
    async with upload.patching(web, PART + 99, length=len(data) - PART - 99) as raw:
        await raw.send(data[PART + 99 : 3 * PART])
        storage.nodes[0].server.kill()
        await raw.send(data[3 * PART :])
        assert await raw.status() == 204
    assert await original(web, upload) == data


# ---- nothing is mixed ----


async def test_of_two_requests_at_the_same_time_one_is_locked_out(pair: Pair):
    first, second, _ = pair
    data = like_a_video(3 * PART)
    upload = await TusUpload.create(first, len(data))
    async with upload.patching(first, 0, length=len(data)) as raw:
        await raw.send(data[: PART + 1])
        await eventually(lambda: _reached(upload, second, PART), deadline_s=60, what="a part is durable")
        locked = await upload.patch(second, PART, other_bytes(2 * PART))
        late = await upload.patch(second, 0, other_bytes(3 * PART))
        await raw.send(data[PART + 1 :])
        assert await raw.status() == 204
    assert (locked.status_code, late.status_code) == (423, 409)
    assert int(locked.headers["retry-after"]) > 0
    assert await original(second, upload) == data


async def test_what_does_not_match_its_checksum_is_not_kept_and_not_in_the_way(pair: Pair):
    web, data = pair.first, like_a_video(2 * PART + 100)
    upload = await TusUpload.create(web, len(data))
    damaged = data[: PART + 50] + b"\0" + data[PART + 51 :]
    refused = await upload.patch(web, 0, damaged, checksum_of(data))
    assert refused.status_code == 460
    assert refused.json()["title"] == "Checksum Mismatch"
    assert await upload.offset(web) == 0
    half = PART + 60
    assert (await upload.patch(web, 0, data[:half], checksum_of(data[:half]))).status_code == 204
    assert (await upload.patch(web, half, data[half:], checksum_of(data[half:], "sha1"))).status_code == 204
    assert await original(web, upload) == data


async def test_a_request_with_a_checksum_that_breaks_off_does_not_count(pair: Pair, storage: StorageCluster):
    web, data = pair.first, like_a_video(3 * PART)
    upload = await TusUpload.create(web, len(data))
    async with upload.patching(web, 0, length=len(data), headers=checksum_of(data)) as raw:
        await raw.send(data[: 2 * PART])
        await eventually(
            lambda: storage.client.get(keys.receiver(upload.id)), deadline_s=60, what="it is being received"
        )
    assert await upload.offset(web) == 0
    assert await patched(upload, web, data) == 204
    assert await original(web, upload) == data


# ---- the end of an upload ----


async def test_an_upload_that_is_ended_is_purged_even_while_more_of_it_comes(
    pair: Pair, storage: StorageCluster
):
    web, other, _ = pair
    data = like_a_video(3 * PART)
    upload = await TusUpload.create(web, len(data))
    async with upload.patching(web, 0, length=len(data)) as raw:
        await raw.send(data[: PART + 1])
        await eventually(lambda: _reached(upload, other, PART), deadline_s=60, what="a part is durable")
        assert (await upload.delete(other)).status_code == 204
        await raw.send(data[PART + 1 :])
        assert await raw.status() == 409
    assert [(await upload.head(web)).status_code, (await upload.delete(web)).status_code] == [410, 410]
    assert (await upload.patch(web, PART, data[PART:])).status_code == 410
    await eventually(lambda: purged(storage, upload), deadline_s=60, what="its parts are purged")


async def test_an_upload_that_nobody_goes_on_with_expires_with_its_parts(
    start_web: StartWeb, storage: StorageCluster
):
    web, data = await start_web(*SMALL_PARTS, "--upload-lifetime-s", "2"), like_a_video(3 * PART)
    upload = await TusUpload.create(web, len(data))
    answer = await upload.patch(web, 0, data[: PART + 1])
    assert answer.headers["upload-expires"].endswith("GMT")

    async def gone() -> bool:
        return (await upload.head(web)).status_code == 410

    await eventually(gone, deadline_s=60, what="it has expired")
    await eventually(lambda: purged(storage, upload), deadline_s=60, what="its parts are purged")
