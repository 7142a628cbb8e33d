"""Jobs that go wrong on a real stack: what becomes of them, and what an operator can do about it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.shared.filenames import segment_file
from services.shared.video import Verdict
from services.storage.disk.disk import object_name
from tests.harness.children import children
from tests.harness.fixtures_stack import SMALL
from tests.harness.holding import workers_held
from tests.harness.jobs import Works, works
from tests.harness.media import decoded_frames
from tests.harness.playback import download, representations
from tests.harness.server_process import ServerProcess
from tests.harness.sources import Recipe, ffmpeg, x264
from tests.harness.stack import Json, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(600)

CLI = str(Path(sys.executable).with_name("tritontube-admin"))
_ATTEMPTS = 2
_ENV = {
    "TRITONTUBE_MAX_ATTEMPTS": str(_ATTEMPTS),
    "TRITONTUBE_SWEEP_INTERVAL_S": "1",
    "TRITONTUBE_UNSERVED_AFTER_S": "3",
}
_FILM = Recipe(name="faulty", size="640x360", duration_s=20, video=x264("-g", "50"))


@pytest.fixture(scope="module")
def film(source_folder: Path) -> Path:
    return _FILM.make(source_folder)


@pytest_asyncio.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Works]:
    """A small stack with one worker, in which a job that fails twice is given up; use it as `behind`."""
    folder = tmp_path_factory.mktemp("faults") / "data"
    async with running_stack(folder, *SMALL, env=_ENV) as stack, works(stack) as behind:
        yield behind


@pytest_asyncio.fixture
async def behind(shared: Works) -> AsyncIterator[Works]:
    """That stack; dead letters do not outlive the test."""
    yield shared
    await admin(shared.stack, "discard", "--all")


async def admin(stack: Stack, *arguments: str) -> Any:
    """What the admin command answers, as JSON."""
    process = await asyncio.create_subprocess_exec(
        *(CLI, "jobs", *arguments, "--server", stack.endpoints.admin, "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


def encoders(stack: Stack) -> list[int]:
    """The workers' processes of ffmpeg that encode."""
    found = [pid for worker in stack.endpoints.transcoders for pid in children("ffmpeg", worker.pid)]
    return [pid for pid in found if encodes_a_source(Path(f"/proc/{pid}/cmdline").read_bytes())]


def encodes_a_source(command: bytes) -> bool:
    """Whether it is none of the tests of ffmpeg that a worker makes when it starts."""
    return b"libx264" in command and b"http://" in command


def end_worker(stack: Stack) -> int:
    """Kill -9 of the worker; the process it hit."""
    [worker] = stack.endpoints.transcoders
    assert worker.pid is not None
    with suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGKILL)
    return worker.pid


@asynccontextmanager
async def encoders_killed(stack: Stack) -> AsyncIterator[None]:
    """Kill -9 of all that encodes meanwhile, and wait for nothing else in between: nothing is to escape."""
    over = asyncio.Event()

    def killed() -> bool:
        for pid in encoders(stack):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return over.is_set()

    async with asyncio.TaskGroup() as group:
        group.create_task(eventually(killed, deadline_s=300, what="the killing is over"))
        try:
            yield
        finally:
            over.set()


async def test_a_job_that_kills_its_worker_each_time_is_given_up_and_never_asked_for_again(
    behind: Works, film: Path
):
    stack = behind.stack
    video = await stack.upload(film, title="deadly")
    killed: set[int] = set()

    async def killed_until_given_up() -> dict[str, Any] | None:
        if encoders(stack):
            killed.add(end_worker(stack))
        found = await stack.video(video["id"])
        return found if found["status"] == "failed" else None

    found = await eventually(killed_until_given_up, deadline_s=240, what="the video has failed")
    assert _ATTEMPTS <= len(killed) <= 2 * _ATTEMPTS
    assert "the worker died 2 times in the middle of the same step" in found["reason"]
    [letter] = (await admin(stack, "dead", "--video", video["id"]))["dead"]
    assert letter["error"] == found["reason"]
    assert letter["detail"].count("transcoder-1") == _ATTEMPTS
    await eventually(behind.idle, deadline_s=60, what="all other jobs of it are dropped")
    assert await behind.catalog.active_ids() == []
    assert await behind.book.claimed(video["id"], 0) == {}

    done = await admin(stack, "requeue", "--video", video["id"])
    assert done["resumed"] == [video["id"]]
    ready = await stack.wait_status(video["id"], "ready", deadline_s=240)
    assert ready["frames"] == 500
    assert (await admin(stack, "dead", "--video", video["id"]))["dead"] == []


async def test_dead_letters_tell_what_was_run_and_their_video_can_be_taken_up_again(
    behind: Works, film: Path
):
    stack = behind.stack
    video = await stack.upload(film, title="unlucky")
    async with encoders_killed(stack):
        found = await stack.wait_status(video["id"], "failed", deadline_s=240)
    assert found["reason"] == "Given up after 2 attempts: ffmpeg was stopped by SIGKILL."
    assert found["omitted"], "nothing less was tried"

    waiting = [
        *await behind.letters("dead.transcode.first"),
        *await behind.letters("dead.transcode.bulk"),
    ]
    shown = [letter["properties"] for letter in waiting]
    assert shown
    for properties in shown:
        assert properties["correlation_id"] == video["id"]
        assert properties["headers"]["x-error"] == found["reason"]
        assert properties["headers"]["x-video-title"] == "unlucky"
        command = shlex.split(properties["headers"]["x-detail"].splitlines()[-1])
        assert command[:2] == ["$", "ffmpeg"]
        assert "libx264" in command

    done = await admin(stack, "requeue", "--id", shown[0]["message_id"])
    assert (done["resumed"], done["restarted"], done["dropped"]) == ([], [video["id"]], [])
    ready = await stack.wait_status(video["id"], "ready", deadline_s=240)
    assert not ready["omitted"]
    assert ready["renditions"][-1]["name"] == "360p"
    assert all(task["state"] == "done" for task in await tasks(stack, video))
    late = await admin(stack, "requeue", "--all")
    assert late["dropped"] == [video["id"]]
    assert (await admin(stack, "dead"))["dead"] == []


async def tasks(stack: Stack, video: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await admin(stack, "tasks", video["id"]))["tasks"]
    return found


@pytest.mark.parametrize("kind", ["", "transcode.plan", "transcode.piece"])
async def test_a_message_that_nobody_can_read_does_not_go_round_in_circles(behind: Works, kind: str):
    await behind.publish("transcode.first", type=kind, message_id=f"garbage {kind}", body="?")
    [letter] = await eventually(
        lambda: dead_letter(behind.stack, f"garbage {kind}"), deadline_s=60, what="it is a dead letter"
    )
    assert letter["error"]
    await eventually(lambda: holds(behind, {"dead.transcode.first": 1}), what="it is nowhere else")
    done = await admin(behind.stack, "requeue", "--id", f"garbage {kind}")
    assert done["unreadable"] == [f"garbage {kind}"]
    await eventually(lambda: holds(behind, {}), what="it is gone")


async def holds(behind: Works, messages: dict[str, int]) -> bool:
    return await behind.queues() == messages


async def dead_letter(stack: Stack, message_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await admin(stack, "dead", "--id", message_id))["dead"]
    return found


async def test_temporary_files_of_a_killed_worker_are_gone_when_the_next_one_runs(
    behind: Works, source_folder: Path
):
    recipe = Recipe(
        name="bulky",
        suffix="ts",
        size="640x360",
        rate="30",
        duration_s=60,
        video=x264("-qp", "4", "-g", "60"),
    )
    stack = behind.stack
    video = await stack.upload(await asyncio.to_thread(recipe.make, source_folder))
    await eventually(behind.scratch, deadline_s=60, what="the worker has begun to remux")
    killed = stack.kill("transcoder-1")
    assert await behind.scratch()
    await stack.wait_restarted("transcoder-1", killed)
    ready = await stack.wait_status(video["id"], "ready", deadline_s=300)
    assert ready["frames"] == 1800
    assert await behind.scratch() == []


async def test_a_lost_segment_is_made_again_and_comes_out_the_same(behind: Works, film: Path):
    stack = behind.stack
    video = await stack.upload(film, title="holey")
    ready = await stack.wait_status(video["id"], "ready", deadline_s=240)
    lowest = ready["renditions"][0]["name"]
    address = f"/content/{video['id']}/{segment_file(lowest, 0, 4)}"
    before = await fetched(stack, address)
    lost = lose(stack, f"{video['id']}/{segment_file(lowest, 0, 4)}")
    piece = await piece_of(behind, video["id"], segment=4)

    redone = await admin(stack, "redo", video["id"], "--piece", str(piece), "--rendition", lowest)
    assert len(redone["tasks"]) == 1
    await eventually(lost.exists, deadline_s=120, what="the segment is there again")
    assert await fetched(stack, address) == before
    assert (await stack.video(video["id"]))["status"] == "ready"
    await eventually(behind.idle, deadline_s=60, what="nothing is left to do")
    assert all(task["state"] == "done" for task in await tasks(stack, video))


async def test_only_what_is_there_can_be_made_again(behind: Works, film: Path):
    with workers_held(behind.stack):  # a busy machine starts the command more slowly than they begin
        video = await behind.stack.upload(film)
        early = await refused(behind.stack, "redo", video["id"])
    assert "Only what has been done can be done again" in early
    await behind.stack.wait_status(video["id"], "ready", deadline_s=240)
    assert "no such piece or track" in await refused(behind.stack, "redo", video["id"], "--piece", "99")
    assert "needs a name" in await refused(behind.stack, "redo", video["id"], "--rendition", "", code=2)
    assert "no such piece or track" in await refused(behind.stack, "redo", video["id"], "--rendition", "8p")
    assert "Only processing can be cancelled" in await refused(behind.stack, "cancel", video["id"])


async def refused(stack: Stack, *arguments: str, code: int = 1) -> str:
    """What the admin command says when it fails, with that exit code."""
    command = (CLI, "jobs", *arguments, "--server", stack.endpoints.admin)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == code
    return said.decode()


async def fetched(stack: Stack, address: str) -> bytes:
    async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False, timeout=60) as http:
        return (await http.get(address)).raise_for_status().content


def lose(stack: Stack, key: str) -> Path:
    """Remove a file from the disk of the stack's one storage node; where it was."""
    name = object_name(key)
    path = Path(stack.endpoints.storage[0].data) / "objects" / name[:3] / name[3:5] / name
    path.unlink()
    return path


async def piece_of(behind: Works, video_id: str, *, segment: int) -> int:
    """The piece that a segment belongs to."""
    pieces = [task.piece for task in await behind.book.tasks(video_id, 0) if task.piece]
    return next(piece.index for piece in pieces if 0 <= segment - piece.first_segment < piece.segments)


async def test_a_worker_without_room_leaves_the_job_to_another_and_says_so(
    tmp_path: Path, source_folder: Path
):
    recipe = Recipe(name="small", suffix="ts", duration_s=5)
    reserve_bytes = shutil.disk_usage(tmp_path).total - (64 << 20)  # of which others have filled the rest
    env = {**_ENV, "TRITONTUBE_WORK_RESERVE_BYTES": str(reserve_bytes)}
    async with running_stack(tmp_path / "data", *SMALL, env=env) as stack, works(stack) as behind:
        video = await stack.upload(await asyncio.to_thread(recipe.make, source_folder))

        [waiting] = await eventually(
            lambda: behind.letters("retry.transcode.first.1m"), deadline_s=120, what="it is put aside again"
        )
        assert "are to stay free" in waiting["properties"]["headers"]["x-error"]
        assert waiting["properties"]["headers"]["x-attempt"] == 1
        assert waiting["properties"]["headers"]["x-deferrals"] == 2
        assert (await stack.video(video["id"]))["status"] == "uploaded"
        roomy = roomy_worker(stack, tmp_path)
        roomy.start()
        stack.kill("transcoder-1", signal.SIGSTOP)  # or it may be asked each time, once a minute
        try:
            await stack.wait_status(video["id"], "ready")
        finally:
            stack.kill("transcoder-1", signal.SIGCONT)
            roomy.stop()


def roomy_worker(stack: Stack, folder: Path) -> ServerProcess:
    """Another worker of the stack, whose disk is large enough."""
    return ServerProcess(
        command=[
            *(sys.executable, "-m", "services.transcoder", "--instance", "roomy"),
            *("--work-dir", str(folder / "roomy"), "--work-reserve-bytes", "0"),
            *("--etcd-endpoints", ",".join(member.client for member in stack.endpoints.etcd)),
            *("--amqp-url", stack.endpoints.rabbitmq.amqp),
        ],
        log=folder / "roomy.log",
    )


@pytest_asyncio.fixture(scope="module")
async def lean(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Works]:
    """A small stack that keeps no originals; its ffmpeg makes neither 360p nor second sound tracks."""
    folder = tmp_path_factory.mktemp("lean")
    path = f"{broken_ffmpeg(folder, '640:360', '0:a:1')}:{os.environ['PATH']}"
    # This ffmpeg is a script that runs another program, which no ffmpeg may do in the sandbox.
    env = {**_ENV, "PATH": path, "TRITONTUBE_KEEP_ORIGINAL": "false", "TRITONTUBE_SANDBOX": "off"}
    async with running_stack(folder / "data", *SMALL, env=env) as stack, works(stack) as behind:
        yield behind


@pytest_asyncio.fixture(scope="module")
async def bilingual(lean: Works, film: Path, source_folder: Path) -> Json:
    """A video with two sound tracks, ready on that stack."""
    path = source_folder / "bilingual.mkv"
    tones = ("-f", "lavfi", "-i", "sine=d=20")
    streams = ("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    ffmpeg("-i", str(film), *tones, *streams, "-metadata:s:a:1", "language=ger", str(path))
    video = await lean.stack.upload(path, title="without its best")
    return await lean.stack.wait_status(video["id"], "ready", deadline_s=240)


async def test_a_video_goes_without_a_track_that_cannot_be_encoded_and_says_so(
    lean: Works, bilingual: Json, tmp_path: Path
):
    stack = lean.stack
    names = [rendition["name"] for rendition in bilingual["renditions"]]
    assert "360p" not in names
    assert names
    assert [track["name"] for track in bilingual["audio"]] == ["a0"]
    pictures, sound = sorted(bilingual["omitted"], key=lambda omission: omission["rendition"])
    assert (pictures["rendition"], pictures["title"]) == ("360p", "360p")
    assert pictures["reason"] == "Its pictures could not be encoded."
    assert (sound["rendition"], sound["title"]) == ("a1", "The sound track Deutsch")
    assert "sound could not be decoded" in sound["reason"]
    async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False, timeout=60) as http:
        url = str(http.base_url.join(bilingual["links"]["manifest"]))
        tracks = representations((await http.get(url)).content, url)
        assert sorted(track.id for track in tracks) == sorted([*names, "a0"])
        lowest = next(track for track in tracks if track.id == names[0])
        path = await download(http, lowest, tmp_path / "lowest.mp4")
    assert await asyncio.to_thread(decoded_frames, path) == 500
    dead = {letter["error"] for letter in (await admin(stack, "dead"))["dead"]}
    assert dead == {pictures["reason"], sound["reason"]}
    await eventually(lean.idle, deadline_s=60, what="nothing is left to do")


async def test_an_original_that_is_not_kept_goes_when_the_video_was_found_sound_and_no_earlier(
    lean: Works, bilingual: Json
):
    video_id = bilingual["id"]

    async def dropped() -> bool:
        return (await lean.stack.video(video_id))["links"]["original"] is None

    await eventually(dropped, deadline_s=120, what="the original is dropped")
    assert (await lean.catalog.get(video_id)).verdict is Verdict.SOUND

    async def purged() -> bool:
        return not any(name.endswith(".part") for name in await lean.files(video_id))

    await eventually(purged, deadline_s=60, what="its parts have left the nodes")
    command = ("redo", video_id, "--server", lean.stack.endpoints.admin)
    refused = await asyncio.to_thread(subprocess.run, [CLI, "jobs", *command], capture_output=True, text=True)
    assert refused.returncode != 0
    assert "The original of this video was not kept" in refused.stderr
    async with httpx.AsyncClient(base_url=lean.stack.endpoints.web, trust_env=False, timeout=60) as http:
        [rung, *_] = bilingual["renditions"]
        assert (await http.head(rung["download"])).status_code == httpx.codes.OK


def broken_ffmpeg(folder: Path, *hated: str) -> Path:
    """A folder with an ffmpeg that fails where its command line contains one of these."""
    tools = folder / "tools"
    tools.mkdir()
    program = tools / "ffmpeg"
    real = shutil.which("ffmpeg")
    cases = "|".join(f"*{word}*" for word in hated)
    program.write_text(
        f'#!/bin/sh\ncase "$*" in {cases}) echo "no such thing" >&2; exit 1;; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    return tools
