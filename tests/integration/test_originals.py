"""Originals that are not kept: when they go, what goes with them, and what stays."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.catalog import (
    Catalog,
    OpenVerification,
    Originals,
    Verifications,
    check_original,
    keys,
)
from services.shared.errors import ConflictError
from services.shared.etcd import EtcdClient
from services.shared.filenames import source_part_file
from services.shared.task import Task
from services.shared.verification import Verification
from services.shared.video import Status, Verdict, Video
from tests.harness.storage import StorageCluster
from tests.harness.videos import done, plan_record, task_records, video_record
from tests.harness.waiting import eventually

REMUXED = source_part_file(0, stem="remuxed-g0")
SEGMENT = "240p-g0-00000.m4s"


async def recorded(etcd: EtcdClient, *, verdict: Verdict | None = Verdict.SOUND, tasks: list[Task]) -> Video:
    """A finished video, as the workers leave it."""
    video = video_record(status=Status.READY, verdict=verdict)
    await etcd.put(keys.video(video.id), video.encode())
    await etcd.put(keys.plan(video.id, 0), plan_record(remuxed_parts=1).encode())
    for task in tasks:
        await etcd.put(keys.task(video.id, 0, task.name), task.encode())
    return video


async def verified(etcd: EtcdClient, video: Video, verdict: Verdict, *, keep_original: bool) -> None:
    """Record a verdict on it."""
    opened = await Verifications(etcd).want(video, mend=True)
    before = OpenVerification(video_id=video.id, record=opened, value=opened.encode())
    concluded: Verification = opened.model_copy(update={"verdict": verdict})
    await Verifications(etcd).conclude(before, concluded, keep_original=keep_original)


def all_done() -> list[Task]:
    return [done(task) for task in task_records()]


async def test_a_video_that_was_found_sound_loses_its_original_in_every_form_and_nothing_else(
    storage: StorageCluster, content
):
    video = await recorded(storage.client, verdict=None, tasks=all_done())
    files = [*(source_part_file(n) for n in range(2)), REMUXED, SEGMENT]
    for name in files:
        await content.put(f"{video.id}/{name}", b"content")
    await verified(storage.client, video, Verdict.SOUND, keep_original=False)
    [dropped] = [found for found in await Originals(storage.client).sweep() if found.id == video.id]
    assert dropped.original_dropped

    async def held() -> set[str]:
        found = await asyncio.gather(*(node.keys(video.id) for node in storage.nodes))
        return {key for keys_of_node in found for key in keys_of_node}

    async def only_the_segment() -> bool:
        return {key.rpartition("/")[2] for key in await held()} == {SEGMENT}

    await eventually(only_the_segment, deadline_s=30, what="the original is purged")
    with pytest.raises(ConflictError, match="not kept"):
        check_original(await Catalog(storage.client).get(video.id))
    with pytest.raises(ConflictError, match="deleted"):
        await content.put(f"{video.id}/{source_part_file(5)}", b"late")
    assert video.id not in await Originals(storage.client).dispensable()


@pytest.mark.parametrize(
    ("verdict", "keep_original"),
    [(Verdict.FAULTY, False), (Verdict.UNCERTAIN, False), (Verdict.SOUND, True)],
)
async def test_without_a_good_verdict_and_the_operators_wish_the_original_stays(
    etcd_client, verdict, keep_original
):
    video = await recorded(etcd_client, verdict=None, tasks=all_done())
    await verified(etcd_client, video, verdict, keep_original=keep_original)
    assert video.id not in await Originals(etcd_client).dispensable()
    await Originals(etcd_client).sweep()
    assert not (await Catalog(etcd_client).get(video.id)).original_dropped


async def test_an_original_waits_for_what_is_still_made_from_it(etcd_client):
    *others, pictures = task_records()
    video = await recorded(etcd_client, tasks=[*map(done, others), pictures])
    originals = Originals(etcd_client)
    assert await originals.drop(video.id) is None
    await etcd_client.put(keys.task(video.id, 0, pictures.name), done(pictures).encode())
    claim = keys.claim(video.id, 0, others[0].name)
    await etcd_client.put(claim, b'{"worker": "w", "token": "t"}')
    assert await originals.drop(video.id) is None
    await etcd_client.delete(claim)
    dropped = await originals.drop(video.id)
    assert dropped is not None
    assert dropped.original_dropped


async def test_a_mark_that_does_not_hold_any_more_goes(etcd_client):
    faulty = await recorded(etcd_client, verdict=Verdict.FAULTY, tasks=all_done())
    for video_id in (faulty.id, video_record().id):  # the second one is gone
        await etcd_client.put(keys.dispensable(video_id), b"")
    await Originals(etcd_client).sweep()
    assert await Originals(etcd_client).dispensable() == []
    assert not (await Catalog(etcd_client).get(faulty.id)).original_dropped


async def test_deleting_a_video_takes_the_mark_along(etcd_client):
    video = await recorded(etcd_client, tasks=all_done())
    await etcd_client.put(keys.dispensable(video.id), b"")
    await Catalog(etcd_client).delete(video.id)
    assert video.id not in await Originals(etcd_client).dispensable()
