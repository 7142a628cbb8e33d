"""Checks of all files, on real nodes and a real catalogue: what is wrong is found, and nothing else is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest
import pytest_asyncio

from services.admin.admin import Admin
from services.admin.cli.client import AdminClient
from services.admin.files.findings import Graces
from services.admin.server import admin_server
from services.shared.catalog import keys
from services.shared.content import ContentStore
from services.shared.errors import InvalidRequestError, NotFoundError
from services.shared.plan import Plan
from services.shared.references import references
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.task import Task
from services.shared.video import Status, Video, new_video_id
from tests.harness.admin_cli import cli
from tests.harness.etcd import etcd_members
from tests.harness.storage import StorageCluster, storage_cluster
from tests.harness.videos import done, plan_record, task_records, video_record
from tests.harness.waiting import eventually

NOW = Graces(settling_s=0, surplus_s=0, orphan_s=0)
LAZY = ("--repair-interval-s", "100000", "--scrub-pause-s", "100000")


@pytest_asyncio.fixture(scope="module")
async def own_storage(tmp_path_factory) -> AsyncIterator[StorageCluster]:
    """A ring in which nothing but these tests leaves files."""
    folder = tmp_path_factory.mktemp("fsck")
    async with (
        etcd_members(folder / "etcd", count=1) as etcd,
        storage_cluster(folder, etcd, options=LAZY) as cluster,
    ):
        yield cluster


@pytest_asyncio.fixture
async def storage(own_storage: StorageCluster) -> AsyncIterator[StorageCluster]:
    await own_storage.heal()
    yield own_storage
    await own_storage.heal()


@pytest_asyncio.fixture
async def content(storage: StorageCluster) -> AsyncIterator[ContentStore]:
    async with storage.content() as client:
        yield client


@asynccontextmanager
async def admin(storage: StorageCluster, graces: Graces = NOW) -> AsyncIterator[AdminClient]:
    async with (
        Admin.follow(storage.client, storage.topology, graces=graces) as followed,
        admin_server("127.0.0.1:0", followed) as server,
        AdminClient.to(server.address) as client,
    ):
        yield client


async def check(
    storage: StorageCluster,
    video_id: str = "",
    *,
    repair: bool = False,
    verify: bool = False,
    graces: Graces = NOW,
) -> tuple[list[pb.Finding], pb.CheckSummary]:
    """All findings, and the summary, which comes last."""
    request = pb.CheckFilesRequest(repair=repair, verify=verify, video_id=video_id)
    async with admin(storage, graces) as client:
        *findings, last = [part async for part in client.check(request)]
    return [part.finding for part in findings], last.summary


async def record(storage: StorageCluster, video: Video, plan: Plan | None, tasks: Sequence[Task]) -> None:
    """Write a video into the catalogue."""
    await storage.client.put(keys.video(video.id), video.encode())
    if plan:
        await storage.client.put(keys.plan(video.id, plan.generation), plan.encode())
    for task in tasks:
        await storage.client.put(keys.task(video.id, video.generation, task.name), task.encode())


async def ready_video(storage: StorageCluster, content: ContentStore, *, generation: int = 0) -> Video:
    """A finished video with all its files."""
    video = video_record(status=Status.READY, generation=generation)
    plan, tasks = plan_record(generation), [done(task) for task in task_records()]
    await record(storage, video, plan, tasks)
    for name in references(video, plan, tasks).needed:
        await content.put(f"{video.id}/{name}", os.urandom(2000))
    await settled(storage, video.id)
    return video


async def settled(storage: StorageCluster, video_id: str) -> None:
    """Wait for copies that were still on their way when the writes were acknowledged."""

    async def all_placed() -> bool:
        findings, _ = await check(storage, video_id)
        return not [found for found in findings if found.kind == pb.FINDING_KIND_UNDER_REPLICATED]

    await eventually(all_placed, deadline_s=60, what="every owner has its copy")


def some_key(video: Video) -> str:
    return f"{video.id}/480p-g{video.generation}-00001.m4s"


async def test_a_healthy_cluster_gives_no_findings(storage, content):
    videos = [await ready_video(storage, content) for _ in range(3)]
    findings, summary = await check(storage, verify=True)
    assert [
        found for found in findings if found.key.partition("/")[0] in {video.id for video in videos}
    ] == []
    assert (summary.under_replicated, summary.missing, summary.corrupt) == (0, 0, 0)
    assert summary.files >= 3 * 18
    assert summary.copies == 2 * summary.files
    assert list(summary.unreachable) == []


async def test_a_file_that_an_owner_lacks_is_told_with_the_owner_and_repaired(storage, content):
    video = await ready_video(storage, content)
    key = some_key(video)
    owner = storage.owners(key)[0]
    await owner.drop(key, epoch=storage.topology.view.epoch)
    (found,), summary = await check(storage, video.id)
    assert (found.kind, found.key, list(found.nodes)) == (
        pb.FINDING_KIND_UNDER_REPLICATED,
        key,
        [owner.id],
    )
    assert not found.repaired
    assert summary.under_replicated == 1
    (mended,), summary = await check(storage, video.id, repair=True)
    assert mended.repaired
    assert summary.repaired == 1
    assert await owner.has(key) == {key}
    assert (await check(storage, video.id))[0] == []


async def test_damage_that_nobody_has_met_yet_is_found_by_reading_and_repaired(storage, content):
    video = await ready_video(storage, content)
    key = some_key(video)
    owner = storage.owners(key)[1]
    owner.flip_bit(key, 100)
    assert (await check(storage, video.id))[0] == []
    (found,), summary = await check(storage, video.id, verify=True, repair=True)
    assert (found.kind, found.key, list(found.nodes)) == (pb.FINDING_KIND_CORRUPT, key, [owner.id])
    assert found.repaired
    assert (summary.corrupt, summary.repaired) == (1, 1)
    assert (await check(storage, video.id, verify=True))[0] == []


async def test_a_copy_on_a_node_that_does_not_own_it_is_surplus(storage, content):
    video = await ready_video(storage, content)
    key = some_key(video)
    (stranger,) = storage.others(key)
    await stranger.put(key, await content.get_bytes(key), epoch=storage.topology.view.epoch)
    (found,), _ = await check(storage, video.id)
    assert (found.kind, found.key, list(found.nodes)) == (pb.FINDING_KIND_SURPLUS, key, [stranger.id])
    assert (await check(storage, video.id, graces=Graces(settling_s=0, orphan_s=0)))[0] == []


async def test_a_file_that_nobody_holds_any_more_is_missing(storage, content):
    video = await ready_video(storage, content)
    key = some_key(video)
    for owner in storage.owners(key):
        await owner.drop(key, epoch=storage.topology.view.epoch)
    (found,), summary = await check(storage, video.id, repair=True)
    assert (found.kind, found.key, found.repaired) == (pb.FINDING_KIND_MISSING, key, False)
    assert sorted(found.nodes) == sorted(owner.id for owner in storage.owners(key))
    assert summary.missing == 1


async def test_nothing_is_called_missing_while_a_node_does_not_answer(storage, content):
    video = await ready_video(storage, content)
    key = some_key(video)
    for owner in storage.owners(key):
        await owner.drop(key, epoch=storage.topology.view.epoch)
    (bystander,) = storage.others(key)
    bystander.server.kill()
    findings, summary = await check(storage, video.id)
    assert (findings, summary.missing) == ([], 0)
    assert bystander.id in summary.unreachable


async def test_an_owner_that_does_not_answer_is_not_said_to_lack_its_files(storage, content):
    video = await ready_video(storage, content)
    absent = storage.nodes[0]
    absent.server.freeze()
    findings, summary = await check(storage, video.id)
    assert (findings, summary.under_replicated) == ([], 0)
    # On a machine that is busy another one may be too slow to be reached as well.
    assert absent.id in summary.unreachable


async def test_what_earlier_generations_left_is_orphaned(storage, content):
    video = await ready_video(storage, content, generation=1)
    key = f"{video.id}/480p-g0-00000.m4s"
    await content.put(key, b"of the first attempt")
    await settled(storage, video.id)
    (found,), summary = await check(storage, video.id)
    assert (found.kind, found.key) == (pb.FINDING_KIND_ORPHAN, key)
    assert sorted(found.nodes) == sorted(owner.id for owner in storage.owners(key))
    assert summary.orphans == 1
    assert (await check(storage, video.id, graces=Graces(settling_s=0, surplus_s=0)))[0] == []


async def test_files_of_a_video_that_no_record_knows_are_told_and_left_alone(storage, content):
    key = f"{new_video_id()}/file"
    await content.put(key, b"content")
    video_id = key.partition("/")[0]
    await settled(storage, video_id)
    (found,), _ = await check(storage, video_id, repair=True)
    assert (found.kind, found.key, found.repaired) == (pb.FINDING_KIND_ORPHAN, key, False)
    assert "No record" in found.problem
    assert await content.get_bytes(key) == b"content"


async def test_an_upload_under_way_and_a_deleted_video_are_no_orphans(storage, content):
    uploading = new_video_id()
    await storage.client.put(keys.upload(uploading), b"web-1")
    await content.put(f"{uploading}/source-00000.part", b"content")
    await settled(storage, uploading)
    assert (await check(storage, uploading))[0] == []


async def test_a_video_in_the_making_lacks_nothing_that_is_not_recorded(storage, content):
    video = video_record(status=Status.PROCESSING)
    await record(storage, video, plan_record(), task_records())
    for number in range(2):
        await content.put(f"{video.id}/source-{number:05d}.part", b"content")
    await content.put(f"{video.id}/480p-g0-00000.m4s", b"stored, and not recorded yet")
    await settled(storage, video.id)
    assert (await check(storage, video.id))[0] == []


async def test_a_check_of_everything_sees_all_files_in_constant_order(storage, content):
    video = await ready_video(storage, content)
    first, second = some_key(video), f"{video.id}/source-00000.part"
    for key in (first, second):
        await storage.owners(key)[0].drop(key, epoch=storage.topology.view.epoch)
    findings, summary = await check(storage)
    lacking = [found.key for found in findings if found.kind == pb.FINDING_KIND_UNDER_REPLICATED]
    assert sorted(lacking) == sorted([first, second])
    assert summary.files > 18


async def test_files_written_and_deleted_during_checks_are_no_findings(storage, content):
    video = video_record(status=Status.PROCESSING)
    await record(storage, video, plan_record(), task_records())
    for number in range(2):
        await content.put(f"{video.id}/source-{number:05d}.part", b"content")
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            await content.put(f"{video.id}/240p-g0-{number:05d}.m4s", os.urandom(1000))
            number += 1

    writer = asyncio.create_task(write())
    try:
        for _ in range(5):
            findings, _ = await check(storage, graces=Graces(surplus_s=0, orphan_s=0))
            assert [found for found in findings if found.key.startswith(video.id)] == []
    finally:
        stop.set()
        await writer


@pytest.mark.parametrize(("video_id", "error"), [(16 * "0", NotFoundError), ("../etc", InvalidRequestError)])
async def test_a_video_that_does_not_exist_is_refused(storage, video_id, error):
    async with admin(storage) as client:
        with pytest.raises(error):
            [part async for part in client.check(pb.CheckFilesRequest(video_id=video_id))]


async def test_checks_that_nobody_listens_to_any_more_make_room_for_others(storage, content):
    await ready_video(storage, content)
    everything = pb.CheckFilesRequest(verify=True)
    async with admin(storage) as client:

        async def begun_and_left() -> bool:
            async with aclosing(client.check(everything)) as parts:
                return await anext(parts) is not None

        for _ in range(6):
            await eventually(begun_and_left, deadline_s=60, what="a check begins")


async def test_the_command_tells_by_its_exit_code_whether_files_lack_copies(storage, content):
    video = await ready_video(storage, content)
    key = some_key(video)
    await storage.owners(key)[0].drop(key, epoch=storage.topology.view.epoch)
    async with (
        Admin.follow(storage.client, storage.topology, graces=NOW) as followed,
        admin_server("127.0.0.1:0", followed) as server,
    ):
        lacking = await cli("fsck", server.address, "--video", video.id)
        mended = await cli("fsck", server.address, "--video", video.id, "--repair")
        fine = await cli("fsck", server.address, "--video", video.id, "--verify")
    assert [lacking.code, mended.code, fine.code] == [1, 0, 0]
    assert key in lacking.out


# ---- where a file is ----


async def test_a_file_is_located_on_its_owners(storage, content):
    key = f"{new_video_id()}/file"
    await content.put(key, b"content")
    await settled(storage, key.partition("/")[0])
    async with admin(storage) as client:
        found = await client.locate(key)
    owners = {node.id for node in storage.owners(key)}
    assert {copy.node_id for copy in found.copies} == {node.id for node in storage.nodes}
    assert {copy.node_id for copy in found.copies if copy.owner} == owners
    assert {copy.node_id for copy in found.copies if copy.held} == owners
    assert found.position >> 52 == found.partition


async def test_a_node_that_cannot_be_asked_is_told_with_the_reason(storage, content):
    key = f"{new_video_id()}/file"
    await content.put(key, b"content")
    absent = storage.owners(key)[0]
    absent.server.kill()
    async with admin(storage) as client:
        found = await client.locate(key)
    silent = next(copy for copy in found.copies if copy.node_id == absent.id)
    assert silent.problem
    assert (silent.held, silent.owner) == (False, True)
