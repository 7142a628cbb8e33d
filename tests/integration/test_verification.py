"""Finished videos, broken for real on a ring: a verification finds it, tells where, and mends what it can."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from services.shared.catalog import keys
from services.shared.content.channels import Channels
from services.shared.content.holders import Holders
from services.shared.errors import FencedError
from services.shared.filenames import final_file, init_file, poster_file, segment_file
from services.shared.verification import Fault, FaultKind, Outcome, Verification
from services.shared.video import Status, Verdict, Video, new_video_id
from services.transcoder.verification.copies import Copies
from services.transcoder.verification.course import Course, OthersFirst
from services.transcoder.verification.examination import Findings
from tests.harness.admin_cli import Outcome as Ended
from tests.harness.admin_cli import cli
from tests.harness.finished import Archive
from tests.harness.sources import Recipe, x264
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_FILM = Recipe(
    name="archived", size="320x180", duration_s=14, video=x264("-g", "50"), sound="sine=frequency=300"
)


@pytest_asyncio.fixture(scope="module")
async def original(shared_house: Archive, source_folder) -> Video:
    """A finished video; do nothing to it."""
    return await shared_house.made_from(_FILM.make(source_folder))


@pytest_asyncio.fixture
async def video(house: Archive, original: Video) -> Video:
    """A finished video; break it."""
    return await house.copy_of(original)


def lowest(video: Video) -> str:
    return video.renditions[0].name


def fault_of(found: Verification) -> Fault:
    (fault,) = found.faults
    return fault


async def test_a_video_is_verified_by_itself_once_it_is_finished(house: Archive, original: Video):
    found = await house.verifications.of(original.id)
    assert found
    assert (original.verdict, found.verdict, found.faults) == (Verdict.SOUND, Verdict.SOUND, ())
    assert found.files == len(await house.files(original))
    blocks_of_sound = -(-(14 * 48_000 + 1024) // 1024)
    assert found.frames == 14 * 25 * len(original.renditions) + blocks_of_sound
    assert await house.storage.client.get(keys.unverified(original.id)) is None


async def test_files_that_all_disks_have_lost_are_found_and_made_again_as_they_were(
    house: Archive, video: Video
):
    track = lowest(video)
    lost = {
        segment_file(track, 0, 2): (track, 2),
        init_file(track, 0): (track, None),
        segment_file("a0", 0, 1): ("a0", 1),
        poster_file(0): ("", None),
        final_file("manifest.mpd", 0): ("", None),
    }
    before = {name: await house.read(video, name) for name in lost}
    for name in lost:
        await house.lose(video, name)

    looked = await house.verified(video, mend=False)
    missing = [fault for fault in looked.faults if fault.kind is FaultKind.MISSING]
    assert {fault.file: (fault.track, fault.segment) for fault in missing} == lost
    assert {fault.outcome for fault in looked.faults} == {Outcome.OPEN}
    assert (looked.verdict, (await house.catalog.get(video.id)).verdict) == (Verdict.FAULTY, Verdict.FAULTY)
    assert [await house.read(video, name) for name in lost] == [None] * len(lost)

    mended = await house.verified(video)
    assert {fault.file for fault in mended.faults} == lost.keys()
    assert {fault.outcome for fault in mended.faults} == {Outcome.MENDED}
    assert (mended.verdict, (await house.catalog.get(video.id)).verdict) == (Verdict.SOUND, Verdict.SOUND)
    assert {name: await house.read(video, name) for name in lost} == before


async def test_content_that_is_wrong_is_found_though_its_checksums_are_right(house: Archive, video: Video):
    track = lowest(video)
    swapped, broken, init = segment_file(track, 0, 0), segment_file(track, 0, 2), init_file("a0", 0)
    playlist, manifest = final_file("a0.m3u8", 0), final_file("manifest.mpd", 0)
    files = (swapped, broken, init, playlist, manifest)
    data = {name: await house.content.get_bytes(f"{video.id}/{name}") for name in files}
    media = data[broken].index(b"mdat") + 4
    await house.replace(video, swapped, data[broken])
    await house.replace(video, broken, data[broken][:media] + bytes(len(data[broken]) - media))
    await house.replace(video, init, data[init].replace(b"Lavf", b"Xxxx"))
    await house.replace(video, playlist, data[playlist].replace(b"EXTINF:4", b"EXTINF:3"))
    await house.replace(video, manifest, data[manifest].replace(b' d="', b' d="1'))

    found = await house.verified(video)
    assert found.verdict is Verdict.FAULTY
    assert {fault.outcome for fault in found.faults} == {Outcome.BEYOND_REPAIR}
    told = {fault.file: fault for fault in found.faults}
    assert {name: (fault.kind, fault.track, fault.segment) for name, fault in told.items()} == {
        swapped: (FaultKind.TIMELINE, track, 0),
        broken: (FaultKind.UNDECODABLE, track, 2),
        init: (FaultKind.TIMELINE, "a0", None),
        playlist: (FaultKind.MANIFEST, "", None),
        manifest: (FaultKind.MANIFEST, "", None),
    }
    assert told[swapped].problem.startswith("It begins at")
    assert "of 100 frames were decoded" in told[broken].problem
    assert "not the one that the segments were made with" in told[init].problem
    assert "gives other durations" in told[playlist].problem
    assert "gives other segments" in told[manifest].problem


async def test_a_copy_whose_bits_have_changed_is_found_and_replaced(house: Archive, video: Video):
    key = f"{video.id}/{segment_file(lowest(video), 0, 1)}"
    owner = house.storage.owners(key)[1]
    await house.storage.at_its_owners(key)
    owner.flip_bit(key, 100)
    found = await house.verified(video)
    fault = fault_of(found)
    assert (fault.kind, fault.nodes, fault.outcome) == (FaultKind.DAMAGED, (owner.id,), Outcome.MENDED)
    assert (fault.track, fault.segment) == (lowest(video), 1)
    assert found.verdict is Verdict.SOUND
    assert await owner.has(key) == {key}


async def test_an_owner_without_a_copy_is_found_and_gets_one(house: Archive, video: Video):
    name = segment_file(lowest(video), 0, 1)
    key = f"{video.id}/{name}"
    owner = house.storage.owners(key)[0]
    await house.storage.at_its_owners(key)
    await owner.drop(key, epoch=house.storage.topology.view.epoch)
    async with Channels.over(house.storage.topology) as channels:
        copies = Copies(
            topology=house.storage.topology,
            holders=Holders(channels),
            video_id=video.id,
            settling_ms=0,
        )
        seen = await copies.look([name, init_file(lowest(video), 0)])
        (fault,) = seen.faults
        assert (fault.kind, fault.file, fault.nodes) == (FaultKind.LACKING, name, (owner.id,))
        (mended,) = await copies.mend(seen.faults)
    assert mended.outcome is Outcome.MENDED
    assert await owner.has(key) == {key}


async def test_it_stops_where_other_work_waits_and_goes_on_from_there(house: Archive, video: Video):
    house.worker.freeze()  # so that nobody else does it
    asked = await house.verifications.want(video, mend=True)
    busy = True

    async def others_wait() -> bool:
        return busy

    async def course() -> Course:
        found = Course(house.verifications, await house.verifications.open(video), others_wait=others_wait)
        await found.begin(steps=2, worker="somebody")
        return found

    step = Findings(faults=[Fault(kind=FaultKind.MISSING, file="f")], files=3, frames=5)
    with pytest.raises(OthersFirst):
        await (await course()).note(step, silent=())
    busy = False
    went_on = await course()
    assert (went_on.record.steps_done, went_on.record.faults) == (1, tuple(step.faults))
    await went_on.note(step, silent=("a",))
    seen = went_on.record
    assert (seen.steps_done, seen.files, seen.frames, seen.unreachable) == (2, 6, 10, ("a",))
    assert seen.requested_at_ms == asked.requested_at_ms

    await house.verifications.want(video, mend=True)
    with pytest.raises(FencedError):
        await went_on.save(seen)


async def test_without_its_original_a_lost_segment_stays_lost_and_says_why(house: Archive, video: Video):
    segment, original = segment_file(lowest(video), 0, 1), video.source.part_file(0)
    epoch = house.storage.topology.view.epoch
    for name in (segment, original):
        key = f"{video.id}/{name}"
        await house.storage.at_its_owners(key)
        for node in house.storage.nodes:
            if await node.has(key):
                await node.drop(key, epoch=epoch)
    found = await house.verified(video)
    told = {fault.file: fault for fault in found.faults}
    assert {fault.kind for fault in told.values()} == {FaultKind.MISSING}
    assert {fault.outcome for fault in told.values()} == {Outcome.BEYOND_REPAIR}
    assert "parts of the original are missing, too" in told[segment].problem
    assert "Nothing that this installation has" in told[original].problem
    assert found.verdict is Verdict.FAULTY


async def test_a_node_that_is_away_leaves_the_verdict_open(house: Archive, video: Video):
    away = house.storage.nodes[0]
    node_id = away.id
    away.server.kill()
    found = await house.verified(video)
    assert (found.verdict, found.faults) == (Verdict.UNCERTAIN, ())
    assert found.unreachable == (node_id,)
    mark = await house.storage.client.get(keys.unverified(video.id))
    assert mark, "nobody will look again"
    assert int(mark.value) > found.finished_at_ms


async def test_a_ring_that_is_away_for_all_attempts_leaves_the_verdict_open(house: Archive, video: Video):
    house.worker.kill()
    for node in house.storage.nodes:
        node.server.kill()
    impatient = replace(house.worker, command=[*house.worker.command, "--max-attempts", "1"], process=None)
    impatient.start()
    try:
        found = await house.verified(video)
    finally:
        impatient.kill()
    assert (found.verdict, found.cut_short) == (Verdict.UNCERTAIN, True)
    assert found.reason
    mark = await house.storage.client.get(keys.unverified(video.id))
    assert mark, "nobody will look again"
    assert int(mark.value) > found.finished_at_ms


async def test_lost_messages_and_killed_workers_do_not_keep_a_verification_from_its_end(
    house: Archive, video: Video
):
    await house.verifications.want(video, mend=True)  # the message is lost: the sweeper asks

    async def begun() -> bool:
        found = await house.verifications.of(video.id)
        return bool(found and found.began_at_ms)

    await eventually(begun, deadline_s=60, what="the worker has begun")
    house.worker.kill()
    house.worker.start()

    async def verdict() -> Verdict | None:
        return (await house.catalog.get(video.id)).verdict

    assert await eventually(verdict, deadline_s=120, what="there is a verdict") is Verdict.SOUND


async def test_nothing_is_left_of_the_verification_of_a_deleted_video(house: Archive, video: Video):
    await house.verified(video)
    await house.catalog.delete(video.id)
    for key in (keys.verification(video.id), keys.unverified(video.id)):
        assert await house.storage.client.get(key) is None


async def admin(house: Archive, video: Video, *options: str) -> Ended:
    return await cli("verify", video.id, *options, "--server", house.admin)


async def test_the_command_tells_what_it_found_by_track_and_segment(house: Archive, video: Video):
    nobody = await admin(house, video, "--last")
    assert (nobody.code, nobody.err) == (1, "tritontube-admin: Nobody has verified this video.\n")
    assert "--last asks for no verification" in (await admin(house, video, "--last", "--wait")).err
    sound = await admin(house, video, "--wait")
    assert sound.code == 0
    assert sound.out.startswith("sound: ")
    assert sound.out.rstrip().endswith("0 faults")

    name = segment_file(lowest(video), 0, 1)
    await house.lose(video, name)
    looked = await admin(house, video, "--wait", "--look-only")
    assert looked.code == 1
    assert f"{lowest(video)}\t1\tmissing\t{name}\t\topen" in looked.out
    told: dict[str, Any] = json.loads((await admin(house, video, "--wait", "--json")).out)
    assert told["verdict"] == "sound"
    assert {fault["outcome"] for fault in told["faults"]} == {"mended"}
    last = json.loads((await admin(house, video, "--last", "--json")).out)
    assert last == told


async def test_only_what_is_finished_can_be_verified(house: Archive, original: Video):
    unknown = await cli("verify", "0" * 16, "--server", house.admin)
    assert (unknown.code, "no such video" in unknown.err) == (1, True)
    unfinished = original.model_copy(update={"id": new_video_id(), "status": Status.FAILED})
    await house.storage.client.put(keys.video(unfinished.id), unfinished.encode())
    refused = await admin(house, unfinished)
    assert (refused.code, "Only a finished video can be verified" in refused.err) == (1, True)
