"""Run ffmpeg and ffprobe so that they can neither outlive us nor run away.

- A session of its own per process, so that the whole group can be killed; `finally` sees to it however
  the caller ends.
- A sandbox (`services.transcoder.sandbox`) around it, which also bounds processor time, memory and written
  files, leaves the machine responsive, and has the kernel kill the process when this one dies without a
  chance to clean up.
- A watchdog bounds the time it runs and the time it stays silent.
- Output arrives through pipes: a slow reader slows the process, and nothing piles up on disk or in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from services.shared.errors import JobError, PermanentJobError, TransientJobError
from services.transcoder import command
from services.transcoder.pipes import Pipe, open_pipes
from services.transcoder.sandbox import FAILED, Launch, Quota, Sandbox, strongest

_CHUNK_BYTES: Final = 64 * 1024
_MAX_LINE_BYTES: Final = 64 * 1024
_STDERR_LINES: Final = 30
_STDERR_LINE_CHARS: Final = 500
_TERMINATE_GRACE_S: Final = 0.25
"""Enough to hang up; to finish a file that nobody wants would take longer."""
_WATCH_INTERVAL_S: Final = 0.25
_OVERRUN_CPU_S: Final = 10
"""So much later than we the kernel ends what takes too much processor time, should we be held up."""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_MICROSECONDS: Final = 1_000_000
_LONGEST_RUN_S: Final = 24 * 3600.0
_USUAL_PICTURES_S: Final = 60.0
_USUAL_SOUND_S: Final = 600.0
_USUAL_BYTES: Final = 8 * 1024**3
_LIBRARY_BYTES: Final = 4 * 1024**3
"""Address space for what is no memory of its own: libraries, and room set aside but never used."""
_STOPPED_BY_OTHERS: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""An operator, a shutdown, the kernel short of memory. Crashes and limits, however, come back every time."""

Chunks = AsyncIterator[bytes]
Consumer = Callable[[Chunks], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one process.

    Wall and processor time are those of a usual piece of work: a minute of film, ten of sound, or 8 GiB
    to read. A run over more gets more, in proportion (`for_pictures`, `for_sound`, `for_reading`), up to a
    day: what cannot be divided takes as long as it takes, and is not to blame for that.
    """

    wall_s: float = 20 * 60.0
    """Longest run."""
    silence_s: float = 60.0
    """Longest time without any output, progress reports included, while we were ready to take some."""
    cpu_s: int = 4 * 3600
    memory_bytes: int = 8 * 1024**3
    """Heap and stacks."""
    file_bytes: int = 0
    """Largest file it may write; output through pipes doesn't count."""
    niceness: int = 0
    """How far it gives way to everything else on the machine, up to 19. With 10, services and players get
    nine times as much of a core that both want."""
    sandbox: Sandbox | None = None
    """What is around it; None: the strongest that takes no preparation."""

    def sooner(self) -> Limits:
        """The same for what somebody waits for: it goes before other encoders, and gives way half as far."""
        return replace(self, niceness=self.niceness // 2)

    def for_pictures(self, seconds: float) -> Limits:
        """The same for a run that encodes so many seconds of film."""
        return self._times(seconds / _USUAL_PICTURES_S)

    def for_sound(self, seconds: float) -> Limits:
        """The same for a run that encodes so many seconds of sound."""
        return self._times(seconds / _USUAL_SOUND_S)

    def for_reading(self, size_bytes: int) -> Limits:
        """The same for a run that reads so much, and decodes little of it."""
        return self._times(size_bytes / _USUAL_BYTES)

    def _times(self, work: float) -> Limits:
        """The same for so many times the usual work; for less there is no less."""
        times = max(1.0, min(work, _LONGEST_RUN_S / self.wall_s))
        return replace(self, wall_s=self.wall_s * times, cpu_s=int(self.cpu_s * times))

    @property
    def quota(self) -> Quota:
        """Those of the bounds that the kernel enforces."""
        return Quota(
            cpu_s=self.cpu_s + _OVERRUN_CPU_S,
            memory_bytes=self.memory_bytes,
            address_bytes=self.memory_bytes + _LIBRARY_BYTES,
            file_bytes=self.file_bytes,
            niceness=self.niceness,
        )


USUAL: Final = Limits()
"""Bounds where the settings of no worker say others."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report of a running ffmpeg."""

    frames: int
    position_s: float
    """Timestamp of the newest output frame."""


class ExitError(JobError):
    """The program failed, crashed or reached a limit of its own accord: what it was given is to blame."""

    def __init__(self, message: str, *, stderr: str) -> None:
        super().__init__(message)
        self.stderr = stderr


def notes_of(error: BaseException) -> str:
    """What every failure of a program carries with it: the end of its stderr, and the command."""
    return "\n".join(getattr(error, "__notes__", ()))


async def run_ffmpeg(
    build: Callable[[Sequence[str]], Sequence[str]],
    outputs: Sequence[Consumer],
    *,
    limits: Limits,
    on_progress: Callable[[Progress], None] | None = None,
    stdin: Chunks | None = None,
) -> str:
    """Run ffmpeg with its outputs connected to `outputs`; return the tail of what it said on stderr.

    Args:
        build: makes the command from the output URLs, one per consumer.
        outputs: each gets the bytes of one output as they come; while it is busy ffmpeg may have to wait.
        limits: bounds of the process.
        on_progress: called about twice a second.
        stdin: what it is given to read, as far as it does; None: nothing.

    Raises:
        ExitError: ffmpeg failed by itself.
        TransientJobError: a limit stopped the process.
        TritonTubeError: whatever `stdin` raised.
    """

    async def reports(chunks: Chunks) -> None:
        async for report in parse_progress(chunks):
            if on_progress is not None:
                on_progress(report)

    with open_pipes(len(outputs)) as pipes:
        arguments = command.with_progress(build([pipe.url for pipe in pipes]))
        return await _run(arguments, reports, dict(zip(pipes, outputs, strict=True)), limits, stdin)


async def run(
    arguments: Sequence[str], stdout: Consumer, *, limits: Limits, stdin: Chunks | None = None
) -> str:
    """Run a program whose result comes on standard output; return the tail of its stderr.

    Args:
        arguments: the program and its arguments.
        stdout: gets what it prints, as it comes.
        limits: bounds of the process.
        stdin: what it is given to read, as far as it does; None: nothing.

    Raises:
        ExitError: it failed by itself.
        TransientJobError: a limit stopped the process.
        TritonTubeError: whatever `stdin` raised.
    """
    return await _run(arguments, stdout, {}, limits, stdin)


async def collect(arguments: Sequence[str], *, limits: Limits, max_bytes: int) -> bytes:
    """Run a program and return its standard output.

    Raises:
        ExitError: it failed by itself, or said more than `max_bytes`.
        TransientJobError: a limit stopped the process.
    """
    collected = bytearray()

    async def keep(chunks: Chunks) -> None:
        async for chunk in chunks:
            collected.extend(chunk)
            if len(collected) > max_bytes:
                raise ExitError(f"{arguments[0]} said more than {max_bytes} bytes.", stderr="")

    await run(arguments, keep, limits=limits)
    return bytes(collected)


async def parse_progress(chunks: Chunks) -> AsyncIterator[Progress]:
    """The reports in ffmpeg's `-progress` output: lines `key=value`, each report closed by `progress=…`."""
    fields: dict[str, str] = {}
    async for line in lines_of(chunks):
        key, _, value = line.partition("=")
        fields[key] = value.strip()
        if key == "progress":
            yield Progress(
                frames=_integer(fields.get("frame")),
                position_s=_integer(fields.get("out_time_us")) / _MICROSECONDS,
            )
            fields.clear()


async def lines_of(chunks: Chunks) -> AsyncIterator[str]:
    """The lines of a byte stream, without their ends; endless ones in portions."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _integer(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:  # ffmpeg prints N/A until it knows
        return 0


class _Pulse:
    """When a process last showed life; time spent in our own code doesn't count against it."""

    def __init__(self) -> None:
        self._since = monotonic()
        self._held = 0

    def silent_s(self) -> float:
        return 0.0 if self._held else monotonic() - self._since

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._since = monotonic()


async def _run(
    arguments: Sequence[str],
    stdout: Consumer,
    outputs: Mapping[Pipe, Consumer],
    limits: Limits,
    stdin: Chunks | None = None,
) -> str:
    tail = deque[str](maxlen=_STDERR_LINES)

    async def keep_tail(chunks: Chunks) -> None:
        async for line in lines_of(chunks):
            said = line[:_STDERR_LINE_CHARS]
            if not tail or said != tail[-1]:  # some libraries repeat themselves, once per thread
                tail.append(said)

    try:
        box = limits.sandbox or strongest()
        with open_pipes(2) as (out, err), box.launch(arguments, limits.quota) as launch:
            consumers = {out: stdout, err: keep_tail, **outputs}
            async with _started(launch, out, err, list(outputs), given=stdin is not None) as process:
                status = await _supervise(process, consumers, limits, stdin)
        _check_status(arguments[0], status, "\n".join(tail), limits)
    except Exception as error:
        # Whatever becomes of it, an engineer wants to see what was run and what it said.
        error.add_note("\n".join([*tail, f"$ {shlex.join(arguments)}"]))
        raise
    return "\n".join(tail)


async def _supervise(
    process: asyncio.subprocess.Process,
    consumers: Mapping[Pipe, Consumer],
    limits: Limits,
    stdin: Chunks | None,
) -> int:
    """Feed the process, and the consumers, until it has ended; return its status."""
    pulse = _Pulse()
    try:
        async with asyncio.TaskGroup() as group:
            watchdog = group.create_task(_watch(process.pid, pulse, limits))
            feeds = [group.create_task(_feed(pipe, consumer, pulse)) for pipe, consumer in consumers.items()]
            pouring = group.create_task(_pour(stdin, process))
            await asyncio.wait(feeds)
            status = await process.wait()
            pouring.cancel()
            watchdog.cancel()
    except BaseExceptionGroup as errors:
        raise _first_of(errors) from errors
    return status


@contextlib.asynccontextmanager
async def _started(
    launch: Launch, out: Pipe, err: Pipe, extra: Sequence[Pipe], *, given: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    # Our own pipes also for stdout and stderr: asyncio's would keep wait() from returning until they are
    # read empty.
    process = await asyncio.create_subprocess_exec(
        *launch.arguments,
        stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
        stdout=out.write_fd,
        stderr=err.write_fd,
        pass_fds=[*(pipe.write_fd for pipe in extra), *launch.descriptors],
        env=launch.environment,
        start_new_session=True,
    )
    try:
        for pipe in (out, err, *extra):
            pipe.close_write_end()
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of the process group behind, politely first: ffmpeg blocked in a read ignores SIGTERM."""
    if process.returncode is not None:
        return
    waiting = asyncio.ensure_future(process.wait())
    _signal_group(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait([waiting], timeout=_TERMINATE_GRACE_S)
    finally:  # also when cancelled a second time
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGKILL)
    await asyncio.shield(waiting)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


async def _chunks(stream: asyncio.StreamReader, pulse: _Pulse) -> AsyncIterator[bytes]:
    while chunk := await stream.read(_CHUNK_BYTES):
        # While the consumer works, a process that waits for room in a pipe is not to blame.
        with pulse.held():
            yield chunk


async def _feed(pipe: Pipe, consumer: Consumer, pulse: _Pulse) -> None:
    stream, transport = await pipe.reader()
    try:
        await consumer(_chunks(stream, pulse))
    finally:
        transport.close()


async def _pour(chunks: Chunks | None, process: asyncio.subprocess.Process) -> None:
    """Give a process its input, as fast as it reads. It may end without having read everything."""
    if chunks is None or process.stdin is None:
        return
    with contextlib.suppress(ConnectionError):
        async for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
    process.stdin.close()


async def _watch(pid: int, pulse: _Pulse, limits: Limits) -> None:
    deadline = monotonic() + limits.wall_s
    while monotonic() < deadline:
        # The kernel's own limit cannot be told from other ends: ffmpeg catches its signal, and says 255.
        if _cpu_s(pid) > limits.cpu_s:
            raise PermanentJobError(f"It takes more than {limits.cpu_s} s of processor time.")
        if pulse.silent_s() > limits.silence_s:
            raise TransientJobError(
                f"ffmpeg gave no sign of life for {limits.silence_s:.0f} s and was stopped."
            )
        await asyncio.sleep(min(_WATCH_INTERVAL_S, limits.silence_s))
    raise TransientJobError(f"ffmpeg ran longer than {limits.wall_s:.0f} s and was stopped.")


def _cpu_s(pid: int) -> float:
    """Processor time that a process has taken so far; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - four times a second
            user, system = file.read().rpartition(b")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / _TICKS_PER_S


def _first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _check_status(program: str, status: int, said: str, limits: Limits) -> None:
    if status == FAILED:
        raise TransientJobError(f"This worker cannot start {program}: {said}")
    if -status == signal.SIGXCPU:
        raise PermanentJobError(f"It takes more than {limits.cpu_s} s of processor time.", detail=said)
    if -status in _STOPPED_BY_OTHERS:
        raise TransientJobError(f"{program} was stopped by {signal.Signals(-status).name}.")
    if status:
        how = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
        raise ExitError(f"{program} {how}.", stderr=said)
