from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.shared.errors import PermanentJobError, TransientJobError
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import (
    Chunks,
    ExitError,
    Limits,
    Progress,
    collect,
    lines_of,
    parse_progress,
    run,
    run_ffmpeg,
)
from services.transcoder.sandbox import OPEN
from tests.harness.children import alive, children
from tests.harness.range_server import silent_server
from tests.harness.sources import Recipe
from tests.harness.waiting import eventually

CONFINED = Limits(wall_s=60, silence_s=30)
LIMITS = Limits(wall_s=60, silence_s=30, sandbox=OPEN)
"""For shells, which do what ffmpeg never has to: start programs."""
HANGING_READER = """
import asyncio, sys
from services.transcoder.command import Input
from services.transcoder.probe import probe
asyncio.run(probe(Input(location=sys.argv[1])))
"""


async def nothing(chunks: Chunks) -> None:
    async for _ in chunks:
        pass


async def said_by(*arguments: str, limits: Limits = LIMITS) -> str:
    return (await collect(list(arguments), limits=limits, max_bytes=100_000)).decode().strip()


async def stream(*parts: bytes):
    for part in parts:
        yield part


async def test_what_ffmpeg_writes_arrives_and_progress_is_reported(source_folder):
    path = Recipe(name="mp4_25").make(source_folder)
    reports: list[Progress] = []
    sizes: list[int] = []

    async def consume(chunks: Chunks) -> None:
        sizes.append(sum([len(chunk) async for chunk in chunks]))

    def build(urls):
        return ["ffmpeg", "-v", "warning", "-i", f"file:{path}", "-f", "rawvideo", urls[0]]

    await run_ffmpeg(build, [consume], limits=CONFINED, on_progress=reports.append)
    assert sizes == [160 * 90 * 3 // 2 * 500]
    assert reports[-1].frames == 500
    assert 19.9 < reports[-1].position_s <= 20


async def test_a_process_without_a_sign_of_life_is_stopped():
    with silent_server() as url:
        with pytest.raises(TransientJobError, match="no sign of life"):
            await collect(
                command.probe_streams(Input(location=url)),
                limits=Limits(wall_s=60, silence_s=0.5),
                max_bytes=1000,
            )
        assert not children("ffprobe")


async def test_a_process_that_runs_too_long_is_stopped():
    with pytest.raises(TransientJobError, match="longer than"):
        await run(["yes"], nothing, limits=Limits(wall_s=0.5, sandbox=OPEN))
    assert not children("yes")


async def test_cancelling_ends_the_process_even_while_it_ignores_sigterm():
    deaf = ["sh", "-c", "trap '' TERM; echo ready; while :; do read line </dev/zero; done"]
    ready = asyncio.Event()

    async def consume(chunks: Chunks) -> None:
        async for _ in lines_of(chunks):
            ready.set()

    task = asyncio.create_task(run(deaf, consume, limits=LIMITS))
    await asyncio.wait_for(ready.wait(), 30)
    (pid,) = children("sh")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)


async def test_the_whole_group_is_killed_with_the_process():
    parent = ["sh", "-c", "tail -f /dev/null & echo $!; wait"]
    child: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def consume(chunks: Chunks) -> None:
        async for line in lines_of(chunks):
            child.set_result(int(line))

    task = asyncio.create_task(run(parent, consume, limits=LIMITS))
    pid = await asyncio.wait_for(child, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not alive(pid), what="end of the grandchild")


async def test_a_failing_consumer_ends_the_process_and_its_error_comes_through():
    async def fail(chunks: Chunks) -> None:
        async for _ in chunks:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await run(["yes"], fail, limits=LIMITS)
    assert not children("yes")


async def test_ffmpeg_dies_with_a_worker_that_is_killed():
    with silent_server() as url:
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", HANGING_READER, url)
        try:
            (pid,) = await eventually(lambda: children("ffprobe", worker.pid), what="start of ffprobe")
        finally:
            worker.kill()
            await worker.wait()
        await eventually(lambda: not alive(pid), what="end of ffprobe")


async def test_a_failure_carries_the_end_of_what_was_said():
    noisy = ["sh", "-c", "seq 1 100000 >&2; exit 3"]
    with pytest.raises(ExitError, match="exit code 3") as caught:
        await run(noisy, nothing, limits=LIMITS)
    lines = caught.value.stderr.splitlines()
    assert lines[-1] == "100000"
    assert len(lines) == 30


async def test_a_crash_is_the_inputs_fault_but_being_killed_is_not():
    with pytest.raises(ExitError, match="SIGSEGV"):
        await run(["sh", "-c", "kill -SEGV $$"], nothing, limits=LIMITS)
    with pytest.raises(TransientJobError, match="SIGKILL"):
        await run(["sh", "-c", "kill -KILL $$"], nothing, limits=LIMITS)


async def test_memory_processor_time_and_files_are_limited_and_the_process_is_nice():
    limits = replace(LIMITS, cpu_s=77, memory_bytes=2 << 30, file_bytes=1 << 20, niceness=7)
    asked = "ulimit -t; ulimit -d; ulimit -f; ulimit -c; nice; cat /proc/self/oom_score_adj"
    cpu_s, memory_kib, file_blocks, core, niceness, score = (
        int(word) for word in (await said_by("sh", "-c", asked, limits=limits)).split()
    )
    assert 77 <= cpu_s <= 90  # the kernel's limit comes behind ours
    assert (memory_kib, core) == (2 << 20, 0)
    assert file_blocks in {1 << 10, 1 << 11}  # of 1024 or 512 bytes, as the shell likes
    assert niceness >= 7
    assert score >= 500


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no groups in this kernel's scheduler")
async def test_a_process_gives_way_to_those_of_other_sessions():
    said = await said_by("cat", "/proc/self/autogroup", limits=replace(LIMITS, niceness=7))
    assert int(said.split()[-1]) >= 7


def test_what_somebody_waits_for_gives_way_less():
    background = replace(LIMITS, niceness=10)
    assert 0 < background.sooner().niceness < background.niceness


async def test_more_processor_time_than_allowed_is_the_inputs_fault_and_says_so():
    limits = replace(LIMITS, cpu_s=1, wall_s=240, silence_s=240)
    with pytest.raises(PermanentJobError, match="more than 1 s of processor time"):
        await run(["sh", "-c", "while :; do :; done"], nothing, limits=limits)


async def test_a_program_that_ends_in_order_when_its_time_is_up_is_not_believed():
    limits = replace(LIMITS, cpu_s=1, wall_s=240, silence_s=240)
    endless = ("-f", "lavfi", "-i", "testsrc2=size=640x360", "-threads", "1", "-f", "null", "-")
    with pytest.raises(PermanentJobError, match="more than 1 s of processor time"):
        await run(["ffmpeg", "-nostdin", "-v", "error", *endless], nothing, limits=limits)


async def test_more_memory_than_allowed_is_refused_to_the_process(source_folder):
    path = Recipe(name="mp4_25").make(source_folder)
    limits = replace(CONFINED, memory_bytes=64 << 20)

    def build(_):
        return [
            "ffmpeg",
            "-v",
            "warning",
            "-i",
            f"file:{path}",
            "-vf",
            "scale=8192:4608",
            "-f",
            "null",
            "pipe:",
        ]

    with pytest.raises(ExitError) as caught:
        await run_ffmpeg(build, [], limits=limits)
    assert "allocate memory" in caught.value.stderr


async def test_a_program_that_cannot_be_confined_is_the_workers_fault():
    with pytest.raises(TransientJobError, match="cannot start"):
        await run(["no-such-program"], nothing, limits=LIMITS)


async def test_nothing_can_be_written_to_disk_unless_it_was_asked_for(tmp_path):
    with pytest.raises(ExitError):
        await run(["sh", "-c", f"echo text > {tmp_path / 'file'}"], nothing, limits=LIMITS)


async def test_a_result_larger_than_expected_is_refused():
    with pytest.raises(ExitError, match="more than 1000 bytes"):
        await collect(["yes"], limits=LIMITS, max_bytes=1000)


async def test_a_line_without_end_does_not_fill_the_memory():
    portions = [line async for line in lines_of(stream(*[b"x" * 50_000] * 10))]
    assert sum(len(portion) for portion in portions) == 500_000
    assert max(len(portion) for portion in portions) <= 100_000


async def test_progress_reports_are_read_whatever_portions_they_come_in():
    text = b"frame=12\nout_time_us=480000\nprogress=continue\nframe=25\nout_time_us=N/A\nprogress=end\n"
    expected = [Progress(frames=12, position_s=0.48), Progress(frames=25, position_s=0.0)]
    assert [report async for report in parse_progress(stream(text))] == expected
    bytewise = stream(*(bytes([byte]) for byte in text))
    assert [report async for report in parse_progress(bytewise)] == expected


async def pieces_of(count: int, *, then: Exception | None = None) -> Chunks:
    """A megabyte each."""
    for _ in range(count):
        yield bytes(1 << 20)
    if then:
        raise then


async def told(program: str, given: Chunks) -> bytes:
    """What a program prints that is given something to read."""
    printed = bytearray()

    async def keep(chunks: Chunks) -> None:
        async for chunk in chunks:
            printed.extend(chunk)

    await run([sys.executable, "-c", program], keep, limits=LIMITS, stdin=given)
    return bytes(printed)


async def test_what_a_program_is_given_to_read_arrives_whole():
    assert await told("import sys; print(len(sys.stdin.buffer.read()))", pieces_of(5)) == b"5242880\n"


async def test_a_program_need_not_read_all_that_it_is_given():
    assert await told("print(1)", pieces_of(1000)) == b"1\n"


async def test_where_the_input_breaks_off_the_program_is_ended_and_the_reason_told():
    with pytest.raises(TransientJobError, match="gone"):
        await told("import sys; sys.stdin.buffer.read()", pieces_of(2, then=TransientJobError("gone")))
