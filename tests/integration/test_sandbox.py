"""What a process in the sandbox can't do, tried with ordinary programs in ffmpeg's place."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from services.shared.errors import TransientJobError, UnavailableError
from services.shared.settings import TranscoderSettings, load
from services.transcoder.command import Input
from services.transcoder.probe import probe
from services.transcoder.process import ExitError, Limits, collect
from services.transcoder.sandbox import OPEN, Layer, Sandbox, landlock, machine, sandbox, strongest
from tests.harness.range_server import range_server
from tests.harness.sources import BIKES, Recipe

SECRET = "a secret of this machine"


def _has_own_network() -> bool:
    with sandbox() as box:
        return box.network is not None


pytestmark = pytest.mark.skipif(
    not strongest().landlock_abi or strongest().filters is None,
    reason="needs a kernel with Landlock and seccomp, and libseccomp",
)
own_network = pytest.mark.skipif(not _has_own_network(), reason="this machine allows no network namespaces")


@pytest.fixture(params=["by port", pytest.param("own network", marks=own_network)], scope="module")
def box(request) -> Iterator[Sandbox]:
    opened = sandbox("require") if request.param == "own network" else nullcontext(strongest())
    with opened as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    path.chmod(0o644)
    return path


async def said_by(box: Sandbox, *arguments: str) -> str:
    limits = Limits(wall_s=60, file_bytes=1 << 20, sandbox=box)
    return (await collect(arguments, limits=limits, max_bytes=100_000)).decode()


async def complaint_of(box: Sandbox, *arguments: str) -> str:
    """What a program says when it fails, as it has to."""
    with pytest.raises(ExitError) as caught:
        await said_by(box, *arguments)
    return caught.value.stderr


@contextmanager
def listener(kind: socket.SocketKind) -> Iterator[socket.socket]:
    """A service of this machine that nobody may reach."""
    with socket.socket(socket.AF_INET, kind) as opened:
        opened.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            opened.listen()
        opened.setblocking(False)
        yield opened


async def test_a_file_that_the_command_does_not_name_cannot_be_read(box, secret):
    assert await said_by(OPEN, "cat", str(secret)) == SECRET
    assert "Permission denied" in await complaint_of(box, "cat", str(secret))
    assert "Permission denied" in await complaint_of(box, "ls", str(secret.parent))
    assert "Permission denied" in await complaint_of(box, "cat", f"/proc/{os.getpid()}/environ")


async def test_the_input_that_the_command_names_can_be_read(box, secret):
    read = ("sh", "-c", 'read line <"$1"; echo "$line"', "sh", str(secret))
    assert await said_by(box, *read, "-i", f"file:{secret}") == f"{SECRET}\n"


async def test_what_an_unusual_ffmpeg_needs_to_start_can_be_read(box, secret):
    generous = replace(box, readable=(secret.parent,))
    assert await said_by(generous, "cat", str(secret)) == SECRET


async def test_nothing_can_be_written_but_beside_the_output(box, secret, tmp_path):
    allowed, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (allowed, elsewhere):
        folder.mkdir()
    output = f"file:{allowed}/video.mkv"
    await said_by(box, "sh", "-c", f"echo made > {allowed}/other.mkv", output)
    assert (allowed / "other.mkv").read_text() == "made\n"
    for command in (f"echo no > {elsewhere}/file", f"echo no > {secret}", f"echo no >> {secret}"):
        assert "Permission denied" in await complaint_of(box, "sh", "-c", command, output)
    assert secret.read_text() == SECRET


async def test_rights_links_and_names_of_files_cannot_be_changed(box, secret):
    for command in (
        ["chmod", "777", str(secret)],
        ["rm", "-f", str(secret)],
        ["mv", str(secret), f"{secret}2"],
    ):
        assert "not implemented" in await complaint_of(box, *command)
    assert secret.stat().st_mode & 0o777 == 0o644


async def test_no_other_program_can_be_started(box):
    assert "fork" in await complaint_of(box, "sh", "-c", "ls; true")
    assert "ermission denied" in await complaint_of(box, "sh", "-c", "exec ls")


async def test_no_service_of_the_machine_can_be_connected_to(box):
    feed = ("-i", "http://127.0.0.1:1/source")
    with listener(socket.SOCK_STREAM) as service:
        address = "/dev/tcp/{}/{}".format(*service.getsockname())
        await said_by(OPEN, "bash", "-c", f"exec 3<>{address}")
        assert service.accept()
        for named in ((), feed):
            await complaint_of(box, "bash", "-c", f"exec 3<>{address}", *named)
        with pytest.raises(BlockingIOError):
            service.accept()


async def test_no_datagram_can_be_sent(box):
    feed = ("-i", "http://127.0.0.1:1/source")
    with listener(socket.SOCK_DGRAM) as service:
        send = "echo hello > /dev/udp/{}/{}".format(*service.getsockname())
        for named in ((), feed):
            await complaint_of(box, "bash", "-c", send, *named)
        with pytest.raises(BlockingIOError):
            service.recv(100)


async def test_signals_and_limits_reach_nobody_else(box):
    assert "kill" in await complaint_of(box, "bash", "-c", f"kill -0 {os.getpid()}")
    assert "not implemented" in await complaint_of(box, "prlimit", "--pid", str(os.getpid()), "--nofile=9")
    assert "not implemented" in await complaint_of(box, "taskset", "-p", "1", str(os.getpid()))


def test_what_it_takes_to_start_can_be_told_in_the_environment(monkeypatch):
    monkeypatch.setenv("TRITONTUBE_SANDBOX_READABLE", "/opt/ffmpeg/lib, /nix/store")
    assert load(TranscoderSettings).sandbox_readable == (Path("/opt/ffmpeg/lib"), Path("/nix/store"))


async def test_environment_variables_of_ours_stay_ours(box, monkeypatch):
    monkeypatch.setenv("TRITONTUBE_AMQP_URL", f"amqp://user:{SECRET}@broker")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    environment = await said_by(box, "env")
    assert "PATH=" in environment
    assert SECRET not in environment
    assert "proxy" not in environment


async def test_there_are_no_privileges_and_none_can_be_gained():
    status = await said_by(OPEN, "grep", "-E", "CapPrm|CapEff|CapAmb|NoNewPrivs", "/proc/self/status")
    values = dict(line.split(":\t") for line in status.splitlines())
    assert values.pop("NoNewPrivs") == "1"
    assert {int(value, 16) for value in values.values()} == {0}


@own_network
async def test_a_source_is_read_through_the_one_listener_in_an_empty_network():
    with sandbox("require") as box:
        assert box.network is not None
        with range_server(BIKES.parent, box.network.listener) as address:
            source = Input(location=f"{address}/{BIKES.name}")
            info = await probe(source, limits=Limits(wall_s=60, sandbox=box))
            assert info.video.packets == 250
            # The address means nothing outside.
            outside = Limits(wall_s=60, sandbox=strongest())
            with pytest.raises(ExitError):
                await collect(["ffprobe", "-i", source.url], limits=outside, max_bytes=100)


async def test_where_there_is_only_landlock_the_source_is_one_port(source_folder):
    path = Recipe(name="sandbox_port", duration_s=1).make(source_folder)
    with range_server(path.parent) as address:
        info = await probe(
            Input(location=f"{address}/{path.name}"), limits=Limits(wall_s=60, sandbox=strongest())
        )
    assert info.video.packets == 25


@own_network
async def test_a_process_that_cannot_be_confined_does_not_run():
    with sandbox("require") as box:
        assert box.network is not None
        broken = replace(box, network=replace(box.network, namespaces=(os.open("/dev/null", os.O_RDONLY),)))
        with pytest.raises(TransientJobError, match="cannot start"):
            await said_by(broken, "true")


def test_less_than_everything_is_refused_where_everything_is_required(monkeypatch):
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    weak = strongest.__wrapped__()
    assert weak.missing.keys() == {Layer.FILES, Layer.NETWORK}
    monkeypatch.setattr(machine, "strongest", lambda: weak)
    with sandbox() as box:
        assert Layer.FILES in box.missing
    with pytest.raises(UnavailableError, match="files cannot be confined"), sandbox("require"):
        pass


def test_it_can_be_done_without_for_troubleshooting():
    with sandbox("off") as box:
        assert box == OPEN
    assert box.describe() == "nothing"
