"""How the one-machine stack runs RabbitMQ: anywhere, as anybody, and without leaving anything behind."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.processes import is_running
from services.local.rabbitmq import stored_password
from tests.harness.rabbitmq import RabbitProcess
from tests.harness.waiting import eventually
from tests.harness.workshop import connected, job

_NOBODY = 65534


@pytest_asyncio.fixture(scope="module")
async def own_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitProcess]:
    process = RabbitProcess.in_folder(tmp_path_factory.mktemp("own") / "rabbitmq")
    yield process
    if process.running:
        process.kill()


@pytest_asyncio.fixture
async def own(own_server: RabbitProcess) -> RabbitProcess:
    """A second server, running; it may be stopped. Its queues are left from test to test."""
    await own_server.heal()
    return own_server


async def test_it_keeps_its_messages_through_kill_9_and_leaves_no_process(own: RabbitProcess) -> None:
    queue = "storage.handoff.killed"
    async with connected(own.server.amqp_url) as broker:
        await broker.publish_job(queue, job("piece-1"))
    mapper = _port_mapper(own)

    own.kill()
    await eventually(lambda: not is_running(mapper), what="its port mapper died with it")
    assert not await own.server.ready()
    await own.start()

    await _until_there(own, queue)


async def test_a_second_one_runs_beside_it(own: RabbitProcess, rabbitmq: RabbitProcess) -> None:
    queue = "storage.handoff.beside"
    async with (
        connected(own.server.amqp_url) as one,
        connected(rabbitmq.server.amqp_url) as other,
    ):
        await one.publish_job(queue, job("piece-1"))

        assert await one.depth(queue) == 1
        assert await other.depth(queue) == 0


async def test_its_data_moves_to_other_ports(own: RabbitProcess) -> None:
    queue = "storage.handoff.moved"
    async with connected(own.server.amqp_url) as broker:
        await broker.publish_job(queue, job("piece-1"))
    own.stop()

    moved = RabbitProcess.in_folder(own.server.data)
    await moved.start()
    try:
        await _until_there(moved, queue)
    finally:
        moved.kill()


def test_it_listens_on_loopback_only(rabbitmq: RabbitProcess) -> None:
    server = rabbitmq.server
    ports = {server.amqp_port, server.management_port, server.dist_port, server.epmd_port}

    assert _listening_addresses(ports) <= {"127.0.0.1", "[::1]"}


def test_it_opens_nothing_outside_its_folder_and_lets_nobody_in(rabbitmq: RabbitProcess) -> None:
    entries = (Path("/proc") / str(rabbitmq.pid) / "fd").iterdir()
    opened = {str(entry.readlink()) for entry in entries if entry.is_symlink()}
    files = {path for path in opened if path.startswith("/") and not path.startswith("/dev/")}

    assert all(path.startswith((str(rabbitmq.server.data), "/usr/", "/sys/", "/proc/")) for path in files)
    assert stat.S_IMODE(rabbitmq.server.data.stat().st_mode) == 0o700


async def test_nothing_answers_where_none_runs(tmp_path: Path) -> None:
    assert not await RabbitProcess.in_folder(tmp_path).server.ready()


def test_the_password_stays_as_long_as_the_data(tmp_path: Path) -> None:
    first = stored_password(tmp_path / "rabbitmq")

    assert stored_password(tmp_path / "rabbitmq") == first
    assert stored_password(tmp_path / "another") != first
    assert stat.S_IMODE((tmp_path / "rabbitmq" / "password").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_it_runs_as_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - so that the user may pass through
        rabbit = RabbitProcess.in_folder(Path(folder) / "rabbitmq")
        rabbit.uid = _NOBODY
        await rabbit.start()
        owner = (Path("/proc") / str(rabbit.pid)).stat().st_uid
        rabbit.kill()

    assert owner == _NOBODY


async def _until_there(rabbit: RabbitProcess, queue: str) -> None:
    """Wait for the queue to have a leader, who counts its messages."""
    async with connected(rabbit.server.amqp_url) as broker:
        assert await eventually(lambda: broker.depth(queue), what="the message is there") == 1


def _port_mapper(rabbit: RabbitProcess) -> int:
    """The process id of the server's epmd, found by its port."""
    found = subprocess.run(
        ["pgrep", "-f", f"^epmd -port {rabbit.server.epmd_port} "], capture_output=True, check=True
    )
    return int(found.stdout)


def _listening_addresses(ports: set[int]) -> set[str]:
    listed = subprocess.run(["ss", "-Hltn"], capture_output=True, check=True, text=True).stdout
    pairs = (line.split()[3].rpartition(":") for line in listed.splitlines())
    return {address for address, _, port in pairs if int(port) in ports}
