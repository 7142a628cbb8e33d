"""Uploads into a real ring: what is stored, what is answered, and what bad ones leave behind: nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from services.shared.catalog import Catalog, keys
from services.shared.content import ContentStore
from services.shared.filenames import source_part_file
from services.shared.messages import FIRST_QUEUE, MessageType, PlanJob
from services.shared.settings import MIB
from services.shared.video import Status
from tests.harness.etcd import EtcdCluster
from tests.harness.fixtures_web import StartWeb
from tests.harness.rabbitmq import VirtualHost
from tests.harness.storage import StorageCluster, storage_cluster
from tests.harness.waiting import eventually
from tests.harness.web import (
    FORM_TYPE,
    RawConnection,
    WebProcess,
    head_of_form,
    like_a_video,
    tail_of_form,
    web_process,
)

PART = MIB
SMALL_PARTS = ("--part-bytes", str(PART))


@pytest.fixture
def catalog(storage: StorageCluster) -> Catalog:
    return Catalog(storage.client)


async def listed(storage: StorageCluster, prefix: str) -> set[str]:
    return {kv.key.removeprefix(prefix) async for kv in storage.client.range(prefix)}


def stored(storage: StorageCluster) -> set[str]:
    """Every object on every disk."""
    return {
        str(path) for node in storage.nodes for path in (node.data / "objects").rglob("*") if path.is_file()
    }


async def announced(storage: StorageCluster) -> str:
    """The id of the one upload that is going on."""

    async def found() -> str | None:
        uploads = await listed(storage, keys.UPLOADS)
        return uploads.pop() if len(uploads) == 1 else None

    return await eventually(found, what="an upload is announced")


async def purged(storage: StorageCluster, video_id: str) -> bool:
    """Whether an upload that was given up has left nothing but its tombstone."""
    held = [key for node in storage.nodes for key in await node.keys(video_id)]
    marks = await listed(storage, keys.UPLOADS) | await listed(storage, keys.UPLOADERS)
    return not held and video_id not in marks and video_id not in await listed(storage, keys.VIDEOS)


async def begin_half(raw: RawConnection, data: bytes) -> None:
    """Announce an upload of `data` and send the first half of it."""
    await raw.begin_upload(length=len(head_of_form()) + len(data) + len(tail_of_form()))
    await raw.send(head_of_form() + data[: len(data) // 2])


# ---- what is stored and answered ----


async def test_an_upload_is_in_the_ring_in_parts_in_the_catalogue_and_in_the_queue(
    start_web: StartWeb, storage: StorageCluster, content: ContentStore, catalog: Catalog, vhost: VirtualHost
):
    web, data = await start_web(*SMALL_PARTS), like_a_video(3 * PART + 12_345)
    answer = await web.upload(data, title="A day at sea")
    video = await catalog.get(answer["id"])
    assert (video.title, video.status) == ("A day at sea", Status.UPLOADED)
    assert (video.source.parts, video.source.part_bytes, video.source.size_bytes) == (4, PART, len(data))
    assert video.source.sha256 == hashlib.sha256(data).hexdigest()
    parts = [await content.get_bytes(f"{video.id}/{source_part_file(n)}") for n in range(4)]
    assert b"".join(parts) == data
    assert video.id in await catalog.active_ids()
    assert video.id not in await listed(storage, keys.UPLOADS) | await listed(storage, keys.UPLOADERS)
    (job,) = await vhost.messages(FIRST_QUEUE)
    assert job["properties"]["type"] == MessageType.PLAN
    assert job["properties"]["correlation_id"] == video.id
    assert PlanJob.model_validate_json(job["payload"]) == PlanJob(video_id=video.id, generation=0)


async def test_a_program_is_answered_201_with_where_everything_is(web: WebProcess):
    async with web.client() as http:
        answer = await http.post("/upload", files={"file": ("a.mkv", like_a_video(5000))})
    found = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == found["links"]["watch"]
    assert found == {
        "id": found["id"],
        "title": "a",
        "status": "uploaded",
        "links": {
            "self": f"/api/videos/{found['id']}",
            "watch": f"/videos/{found['id']}",
            "manifest": f"/content/{found['id']}/manifest.mpd",
            "hls": f"/content/{found['id']}/master.m3u8",
        },
    }


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*"])
async def test_a_form_is_sent_back_to_the_library(web: WebProcess, accept: str):
    async with web.client() as http:
        answer = await http.post(
            "/upload", files={"file": ("a.mp4", like_a_video(5000))}, headers={"Accept": accept}
        )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_any_size_arrives_whole(start_web: StartWeb, catalog: Catalog):
    web = await start_web(*SMALL_PARTS)
    for size_bytes in (1, 1023, 1024, PART - 1, PART, PART + 1, 2 * PART):
        data = like_a_video(size_bytes)
        source = (await catalog.get((await web.upload(data))["id"])).source
        assert source.size_bytes == size_bytes
        assert source.sha256 == hashlib.sha256(data).hexdigest()
        assert source.parts == -(-size_bytes // PART)


async def test_a_title_may_come_before_or_after_the_file_or_from_its_name(web: WebProcess):
    data = like_a_video(3000)
    titled = b'--tritontube-test\r\nContent-Disposition: form-data; name="title"\r\n\r\nT\xc3\xa4ttel\r\n'
    file = head_of_form(file_name="Some_file.webm") + data + b"\r\n"
    async with web.client() as http:
        for body, title in ((titled + file, "Tättel"), (file + titled, "Tättel"), (file, "Some file")):
            answer = await http.post(
                "/upload", content=body + b"--tritontube-test--\r\n", headers={"Content-Type": FORM_TYPE}
            )
            assert answer.json()["title"] == title


async def test_a_form_without_a_length_is_taken_as_it_comes(web: WebProcess, catalog: Catalog):
    data = like_a_video(300_000)

    async def body() -> AsyncIterator[bytes]:
        whole = head_of_form() + data + tail_of_form()
        for start in range(0, len(whole), 70_001):
            yield whole[start : start + 70_001]

    async with web.client() as http:
        answer = await http.post("/upload", content=body(), headers={"Content-Type": FORM_TYPE})
    assert (await catalog.get(answer.json()["id"])).source.sha256 == hashlib.sha256(data).hexdigest()


async def test_memory_stays_flat_while_a_large_file_streams_through(start_web: StartWeb, catalog: Catalog):
    web, chunk, count = await start_web(), like_a_video(MIB), 300
    before_bytes = web.peak_memory_bytes()

    async def body() -> AsyncIterator[bytes]:
        yield head_of_form()
        for _ in range(count):
            yield chunk
        yield tail_of_form()

    async with web.client() as http:
        answer = await http.post("/upload", content=body(), headers={"Content-Type": FORM_TYPE}, timeout=240)
    assert (await catalog.get(answer.json()["id"])).source.size_bytes == count * MIB
    # One part of 32 MiB, what is on its way to two nodes, and what allocators keep.
    assert web.peak_memory_bytes() - before_bytes < 120 * MIB


# ---- bad input ----


def form(name: str, file_name: str | None, data: bytes) -> bytes:
    return head_of_form(name, file_name) + data


BAD_FORMS = {
    "an empty file": (form("file", "a.mp4", b"") + tail_of_form(), 415, "empty"),
    "text named .mp4": (form("file", "a.mp4", b"hello\n" * 1000) + tail_of_form(), 415, "text"),
    "a playlist named .mp4": (form("file", "a.mp4", b"#EXTM3U\nfile.ts\n") + tail_of_form(), 415, "text"),
    "a PDF": (form("file", "a.mp4", b"%PDF-1.7\n" + bytes(9000)) + tail_of_form(), 415, "PDF"),
    "a wrong field": (form("video", "a.mp4", like_a_video(9000)) + tail_of_form(), 400, 'named "file"'),
    "no file field": (form("title", None, b"only a title") + tail_of_form(), 400, 'named "file"'),
    "no file chosen": (form("file", "", b"") + tail_of_form(), 400, "No file was chosen"),
    "two files": (
        form("file", "a.mp4", like_a_video(9000)) + b"\r\n" + form("file", "b.mp4", b"x") + tail_of_form(),
        400,
        "one video at a time",
    ),
    "a form that ends in the middle": (form("file", "a.mp4", like_a_video(9000)), 400, "ends in the middle"),
    "an empty form": (tail_of_form()[2:], 400, 'named "file"'),
    "no form at all": (b"just some bytes", 400, "malformed"),
}


@pytest.mark.parametrize("what", BAD_FORMS)
async def test_bad_input_is_answered_with_a_sentence_and_leaves_nothing(
    web: WebProcess, storage: StorageCluster, what: str
):
    body, status, words = BAD_FORMS[what]
    before, videos = stored(storage), await listed(storage, keys.VIDEOS)
    async with web.client() as http:
        answer = await http.post("/upload", content=body, headers={"Content-Type": FORM_TYPE})
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in problem["detail"]
    assert problem["detail"].endswith(".")
    assert not await listed(storage, keys.UPLOADS)
    assert await listed(storage, keys.VIDEOS) == videos
    await eventually(lambda: stored(storage) <= before, deadline_s=60, what="no bytes of it are left")


@pytest.mark.parametrize("content_type", ["", "video/mp4", "application/json", "multipart/form-data"])
async def test_what_is_no_form_is_told_what_to_send(web: WebProcess, content_type: str):
    async with web.client() as http:
        answer = await http.post(
            "/upload", content=like_a_video(5000), headers={"Content-Type": content_type}
        )
    assert answer.status_code == 400
    assert 'field named "file"' in answer.json()["detail"]


async def test_a_browser_is_shown_a_page_that_says_what_is_wrong(web: WebProcess):
    async with web.client() as http:
        answer = await http.post(
            "/upload", files={"file": ("a.mp4", b"text")}, headers={"Accept": "text/html"}
        )
    assert answer.status_code == 415
    assert answer.headers["content-type"].startswith("text/html")
    assert "This is not a video but text." in answer.text


async def test_a_body_announced_too_large_is_refused_before_it_is_sent(start_web: StartWeb):
    web = await start_web("--max-upload-bytes", str(4 * MIB))
    async with RawConnection.to(web) as raw:
        await raw.begin_upload(length=100 * MIB)
        assert await raw.status() == 413


async def test_a_client_that_sends_too_much_regardless_still_hears_why(start_web: StartWeb):
    web = await start_web("--max-upload-bytes", str(4 * MIB))
    async with web.client() as http:
        answer = await http.post("/upload", files={"file": ("a.mp4", like_a_video(40 * MIB))})
    assert answer.status_code == 413
    assert answer.json()["detail"] == "The file is too large: this server takes up to 4 MiB."


async def test_a_file_that_turns_out_too_large_is_given_up(start_web: StartWeb, storage: StorageCluster):
    web = await start_web(*SMALL_PARTS, "--max-upload-bytes", str(3 * PART))
    before = await listed(storage, keys.TOMBSTONES)

    async def body() -> AsyncIterator[bytes]:
        yield head_of_form()
        for _ in range(5):
            yield like_a_video(PART)
        yield tail_of_form()

    async with web.client() as http:
        answer = await http.post("/upload", content=body(), headers={"Content-Type": FORM_TYPE})
    assert answer.status_code == 413
    (given_up,) = await listed(storage, keys.TOMBSTONES) - before
    await eventually(lambda: purged(storage, given_up), deadline_s=60, what="its parts are purged")


async def test_a_page_of_another_site_cannot_upload(web: WebProcess):
    async with web.client() as http:
        answer = await http.post(
            "/upload",
            files={"file": ("a.mp4", like_a_video(5000))},
            headers={"Sec-Fetch-Site": "cross-site"},
        )
    assert answer.status_code == 403


# ---- clients, backing services and this process come and go ----


async def test_a_client_that_goes_away_leaves_nothing(start_web: StartWeb, storage: StorageCluster):
    web, data = await start_web(*SMALL_PARTS), like_a_video(6 * PART)
    async with RawConnection.to(web) as raw:
        await begin_half(raw, data)
        upload = await announced(storage)
    await eventually(lambda: purged(storage, upload), deadline_s=60, what="its parts are purged")


async def test_a_client_that_stands_still_is_told_so(start_web: StartWeb, storage: StorageCluster):
    web = await start_web(*SMALL_PARTS, "--upload-idle-timeout-s", "0.5")
    async with RawConnection.to(web) as raw:
        await begin_half(raw, like_a_video(4 * PART))
        upload = await announced(storage)
        assert await raw.status() == 408
    await eventually(lambda: purged(storage, upload), deadline_s=60, what="its parts are purged")


async def test_more_uploads_than_allowed_are_asked_to_come_back(start_web: StartWeb, storage: StorageCluster):
    web, data = await start_web("--max-concurrent-uploads", "1"), like_a_video(4 * PART)
    async with RawConnection.to(web) as first, web.client() as http:
        await begin_half(first, data)
        await announced(storage)
        refused = await http.post("/upload", files={"file": ("b.mp4", data)})
        await first.send(data[len(data) // 2 :] + tail_of_form())
        assert await first.status() == 201
        taken = await http.post("/upload", files={"file": ("b.mp4", data)})
    assert (refused.status_code, taken.status_code) == (503, 201)
    assert int(refused.headers["retry-after"]) > 0


async def test_a_web_process_killed_in_the_middle_leaves_nothing_once_another_has_looked(
    start_web: StartWeb, storage: StorageCluster
):
    web, data = await start_web(*SMALL_PARTS), like_a_video(6 * PART)
    await start_web(name="other")
    async with RawConnection.to(web) as raw:
        await begin_half(raw, data)
        upload = await announced(storage)
        await eventually(lambda: any_keys(storage, upload), what="a part of it is stored")
        web.server.kill()
    await eventually(lambda: purged(storage, upload), deadline_s=90, what="its parts are purged")


async def any_keys(storage: StorageCluster, video_id: str) -> bool:
    return any([await node.keys(video_id) for node in storage.nodes])


async def test_an_answered_upload_outlives_the_process_that_took_it(
    start_web: StartWeb, content: ContentStore, catalog: Catalog
):
    web, data = await start_web(*SMALL_PARTS), like_a_video(2 * PART)
    video_id = (await web.upload(data))["id"]
    web.server.kill()
    other = await start_web(name="other")
    async with other.client() as http:
        assert (await http.get(f"/api/videos/{video_id}")).json()["status"] == "uploaded"
    assert await content.get_bytes(f"{video_id}/{source_part_file(0)}") == data[:PART]
    assert video_id in await catalog.active_ids()


async def test_a_process_told_to_stop_lets_a_running_upload_end(start_web: StartWeb, storage: StorageCluster):
    web, data = await start_web(*SMALL_PARTS), like_a_video(4 * PART)
    async with RawConnection.to(web) as raw:
        await begin_half(raw, data)
        await announced(storage)
        stopping = asyncio.create_task(asyncio.to_thread(web.server.stop))
        await eventually(lambda: "stopping" in web.server.log_tail(), what="it stops")
        await raw.send(data[len(data) // 2 :] + tail_of_form())
        assert await raw.status() == 201
    assert await stopping == 0


async def test_an_upload_cut_off_by_a_stop_leaves_nothing(start_web: StartWeb, storage: StorageCluster):
    web = await start_web(*SMALL_PARTS, "--drain-timeout-s", "0.5")
    async with RawConnection.to(web) as raw:
        await begin_half(raw, like_a_video(4 * PART))
        upload = await announced(storage)
        assert await asyncio.to_thread(web.server.stop) == 0
    await eventually(lambda: purged(storage, upload), deadline_s=60, what="its parts are purged")


async def test_an_upload_goes_on_through_the_loss_of_a_storage_node(
    start_web: StartWeb, storage: StorageCluster
):
    web, data = await start_web(*SMALL_PARTS), like_a_video(6 * PART)
    async with RawConnection.to(web) as raw:
        await begin_half(raw, data)
        await announced(storage)
        storage.nodes[0].server.kill()
        await raw.send(data[len(data) // 2 :] + tail_of_form())
        assert await raw.status() == 201


async def test_an_upload_is_taken_while_the_broker_is_away(
    start_web: StartWeb, catalog: Catalog, vhost: VirtualHost
):
    web = await start_web()
    vhost.rabbit.freeze()
    video_id = (await web.upload(like_a_video(5000)))["id"]
    vhost.rabbit.thaw()
    assert video_id in await catalog.active_ids()


async def test_without_its_nodes_the_ring_takes_nothing_and_says_when_to_come_back(
    web: WebProcess, storage: StorageCluster
):
    for node in storage.nodes:
        node.server.freeze()
    async with web.client() as http:
        answer = await http.post("/upload", files={"file": ("a.mp4", like_a_video(5000))}, timeout=120)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert not await listed(storage, keys.UPLOADS)


async def test_a_full_ring_is_told_apart_from_one_that_is_away(
    ring_etcd: EtcdCluster, vhost: VirtualHost, tmp_path
):
    full = ("--capacity-bytes", str(4 * MIB))
    async with (
        storage_cluster(tmp_path, ring_etcd, options=full) as small,
        web_process(tmp_path, etcd=ring_etcd.endpoints, amqp_url=vhost.url, options=SMALL_PARTS) as web,
        web.client() as http,
    ):
        answer = await http.post("/upload", files={"file": ("a.mp4", like_a_video(40 * MIB))}, timeout=120)
        assert answer.status_code == 507
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["detail"].endswith(".")
        assert not await listed(small, keys.UPLOADS)
        await eventually(lambda: not stored(small), deadline_s=60, what="the disks are empty again")


async def test_an_upload_counts_in_the_metrics(web: WebProcess):
    await web.upload(like_a_video(123_456))
    async with httpx.AsyncClient(trust_env=False) as http:
        metrics = (await http.get(f"{web.url}/metrics")).text
    counted = next(line for line in metrics.splitlines() if line.startswith("tritontube_upload_bytes_total"))
    assert float(counted.split()[1]) >= 123_456
