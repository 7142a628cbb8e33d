"""`tritontube up`, `down` and `status`: what an operator of one machine relies on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from services.local import endpoints, processes
from services.local.endpoints import Endpoints
from tests.harness.fixtures_stack import SMALL
from tests.harness.ports import free_port
from tests.harness.stack import Stack, command, running_stack
from tests.harness.waiting import eventually

Address = IPv4Address | IPv6Address

CHILDREN = [
    *("etcd-1", "etcd-2", "etcd-3", "rabbitmq"),
    *("storage-1", "storage-2", "storage-3", "transcoder-1", "transcoder-2", "web-1"),
]


@pytest_asyncio.fixture(scope="module")
async def other_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A small second stack: two web processes, its ports in a row, no restarts."""
    options = (*SMALL, "--webs", "2", "--base-port", str(free_port()), "--no-restart")
    async with running_stack(tmp_path_factory.mktemp("other") / "data", *options) as other:
        yield other


def _identity(found: Endpoints) -> tuple[object, ...]:
    """What must be the same after a restart."""
    nodes = [(node.id, node.address) for node in found.storage]
    return found.web, found.rabbitmq.amqp, [member.client for member in found.etcd], nodes


def _pids_in_endpoints(stack: Stack) -> dict[str, int | None]:
    """The process of each child as `endpoints.json` has it, by the child's name."""
    found = stack.endpoints
    pids = {member.name: member.pid for member in found.etcd} | {"rabbitmq": found.rabbitmq.pid}
    pids |= {Path(node.data).name: node.pid for node in found.storage}
    pids |= {worker.id: worker.pid for worker in found.transcoders}
    return pids | {f"web-{number}": web.pid for number, web in enumerate(found.webs, start=1)}


async def test_the_stack_consists_of_one_process_each(stack: Stack):
    assert list(stack.children) == CHILDREN
    pids = _pids_in_endpoints(stack)
    assert pids == {name: child.pid for name, child in stack.children.items()}
    assert len(set(pids.values())) == len(CHILDREN)
    assert all(processes.is_running(pid) for pid in pids.values() if pid)


async def test_everything_in_endpoints_answers(stack: Stack):
    found = stack.endpoints
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        assert (await http.get(f"{found.web}/readyz")).is_success
        for member in found.etcd:
            assert (await http.get(f"http://{member.client}/health")).json()["health"] == "true"
        user, password = found.rabbitmq.user or "", found.rabbitmq.password or ""
        overview = await http.get(f"{found.rabbitmq.management}api/overview", auth=(user, password))
        assert overview.is_success
    for address in [found.admin, *(node.address for node in found.storage)]:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()


async def test_everything_listens_on_loopback_only(stack: Stack):
    pids = set(stack.left_running)
    addresses = [address for pid, address in _listeners() if pid in pids]
    assert addresses
    assert [address for address in addresses if not address.is_loopback] == []


async def test_the_terminal_shows_where_everything_is(stack: Stack):
    found = stack.endpoints
    shown = stack.output
    for text in (found.web, found.admin, found.rabbitmq.management, found.rabbitmq.password, str(stack.data)):
        assert text is not None
        assert text in shown


async def test_status_is_a_table_of_the_processes(stack: Stack):
    shown = await stack.command("status", "--data", str(stack.data))
    assert shown.returncode == 0
    for name, child in stack.children.items():
        assert re.search(rf"{name} +ready +{child.pid} ", shown.stdout), shown.stdout


@pytest.mark.parametrize("name", ["etcd-2", "rabbitmq", "storage-3", "transcoder-1", "web-1"])
async def test_a_killed_process_is_restarted_and_endpoints_follow(stack: Stack, name: str):
    killed = stack.kill(name)
    again = await stack.wait_restarted(name, killed)
    assert again.restarts >= 1
    assert not processes.is_running(killed)
    await eventually(lambda: _pids_in_endpoints(stack)[name] == again.pid, what="endpoints.json follows")
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        await eventually(
            lambda: http.get(f"{stack.endpoints.web}/readyz", follow_redirects=True),
            deadline_s=60,
            what="the web service answers",
        )


@pytest.mark.parametrize("how", [(), ("--background",)])
async def test_a_second_up_on_the_same_folder_is_refused(stack: Stack, how: tuple[str, ...]):
    refused = await stack.command(
        "up", "--data", str(stack.data), "--port", "0", "--storage-nodes", "5", *how
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "already running" in refused.stderr
    assert list(stack.children) == CHILDREN


async def test_two_stacks_run_side_by_side(stack: Stack, other_stack: Stack):
    urls = {web.url for found in (stack.endpoints, other_stack.endpoints) for web in found.webs}
    assert len(urls) == 3
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        for url in urls:
            assert (await http.get(f"{url}/readyz")).is_success


async def test_the_base_port_is_where_ports_are_counted_from(other_stack: Stack):
    base = int(other_stack.options[other_stack.options.index("--base-port") + 1])
    ports = [int(child.address.rpartition(":")[2]) for child in other_stack.children.values()]
    assert [port for port in ports if not base <= port < base + 200] == []


async def test_without_restart_a_killed_process_stays_dead(other_stack: Stack):
    other_stack.kill("transcoder-1")
    await eventually(
        lambda: other_stack.children["transcoder-1"].state == "dead", what="its death is noticed"
    )
    assert other_stack.children["web-1"].state == "ready"


async def test_state_survives_ctrl_c_and_a_killed_launcher(own_stack: Stack):
    await own_stack.start()
    before = own_stack.endpoints
    assert await own_stack.stop(signal.SIGINT) == 0
    assert own_stack.left_running == []
    assert not endpoints.file_in(own_stack.data).exists()

    await own_stack.start()
    assert _identity(own_stack.endpoints) == _identity(before)
    children = [child.pid for child in own_stack.children.values()]
    await own_stack.kill_launcher()
    await eventually(
        lambda: not any(processes.is_running(pid) for pid in children if pid), what="the children are gone"
    )
    await eventually(lambda: not own_stack.left_running, what="what they started is gone")

    await own_stack.start()
    assert _identity(own_stack.endpoints) == _identity(before)


async def test_a_stop_while_starting_is_clean(own_stack: Stack):
    own_stack.launch()
    await eventually(lambda: own_stack.left_running, what="the first children")
    assert await own_stack.stop(signal.SIGINT) == 0
    assert own_stack.left_running == []


async def test_a_second_ctrl_c_ends_everything_at_once(own_stack: Stack):
    own_stack.launch()
    await eventually(lambda: own_stack.left_running, what="the first children")
    os.kill(own_stack.left_running[0], signal.SIGSTOP)  # or the first might end it all before the second
    assert own_stack.launcher is not None
    own_stack.launcher.send_signal(signal.SIGINT)
    await eventually(lambda: "SIGINT" in own_stack.output, what="the first is heard")
    assert await own_stack.stop(signal.SIGINT) == 1
    await eventually(lambda: not own_stack.left_running, what="the children are gone")


async def test_background_returns_when_ready_and_down_stops_it(own_stack: Stack, stack: Stack):
    own_stack.data.mkdir(parents=True)
    stale = stack.endpoints  # as a killed launcher leaves it, of processes that are not this stack's
    endpoints.file_in(own_stack.data).write_text(stale.model_dump_json())
    up = ("up", "--background", "--data", str(own_stack.data), "--port", "0", *own_stack.options)
    started = await own_stack.command(*up)
    assert started.returncode == 0, started.stderr
    assert own_stack.endpoints.web in started.stdout
    assert stale.web not in started.stdout
    assert {child.state for child in own_stack.children.values()} == {"ready"}

    said = (own_stack.data / "logs" / "launcher.log").read_text()
    again = await own_stack.command(*up)
    assert (again.returncode, "already running" in again.stderr) == (1, True)
    assert (own_stack.data / "logs" / "launcher.log").read_text() == said

    stopped = await own_stack.command("down", "--data", str(own_stack.data))
    assert (stopped.returncode, own_stack.left_running) == (0, [])
    shown = await own_stack.command("status", "--data", str(own_stack.data))
    assert (shown.returncode, "No stack is running" in shown.stdout) == (1, True)


async def test_down_without_a_stack_says_so(tmp_path: Path):
    stopped = await command("down", "--data", str(tmp_path))
    assert (stopped.returncode, "No stack is running" in stopped.stdout) == (0, True)


async def test_a_taken_port_is_explained(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = await command("up", "--data", str(tmp_path / "data"), "--port", str(port))
    assert refused.returncode == 1
    assert f"Port {port} is taken" in refused.stderr
    assert "--port" in refused.stderr
    assert processes.marked(processes.mark(tmp_path / "data")) == []


async def test_a_missing_program_is_explained(tmp_path: Path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ffmpeg", "ffprobe", "setpriv", "prlimit"):
        (programs / name).symlink_to(shutil.which(name) or "")
    refused = await command("up", "--data", str(tmp_path / "data"), env={"PATH": str(programs)})
    assert refused.returncode == 1
    assert "Missing: etcd" in refused.stderr
    assert "make setup" in refused.stderr
    assert "etcd-server" in refused.stderr


async def test_an_unknown_option_is_wrong_usage():
    assert (await command("up", "--no-such-option")).returncode == 2


async def test_a_setting_that_does_not_fit_is_named(tmp_path: Path):
    refused = await command(
        "up", "--data", str(tmp_path / "data"), "--port", "0", env={"TRITONTUBE_LOG_LEVEL": "chatty"}
    )
    assert refused.returncode == 2
    assert "TRITONTUBE_LOG_LEVEL" in refused.stderr


async def test_existing_servers_are_used_when_the_environment_names_them(stack: Stack, tmp_path: Path):
    """Two storage nodes of another folder join the same cluster: nothing but services is started for them."""
    theirs = stack.endpoints
    env = {
        "TRITONTUBE_ETCD_ENDPOINTS": ",".join(member.client for member in theirs.etcd),
        "TRITONTUBE_AMQP_URL": theirs.rabbitmq.amqp,
    }
    async with running_stack(
        tmp_path / "data", "--storage-nodes", "1", "--transcoders", "0", env=env
    ) as guest:
        assert list(guest.children) == ["storage-1", "web-1"]
        assert guest.endpoints.rabbitmq.pid is None
        assert [member.client for member in guest.endpoints.etcd] == [member.client for member in theirs.etcd]


def _listeners() -> list[tuple[int, Address]]:
    """Every listening TCP socket as (process, local address), as `ss` would show it."""
    inodes = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = _address(fields[1], table)
    return [(pid, inodes[inode]) for pid, inode in _socket_inodes() if inode in inodes]


def _address(text: str, table: str) -> Address:
    """The kernel prints addresses as 32-bit words in the machine's order."""
    words = text.partition(":")[0]
    packed = b"".join(bytes.fromhex(words[start : start + 8])[::-1] for start in range(0, len(words), 8))
    if table == "tcp":
        return IPv4Address(packed)
    return IPv6Address(packed).ipv4_mapped or IPv6Address(packed)


def _socket_inodes() -> list[tuple[int, str]]:
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.append((int(descriptor.parts[2]), target[8:-1]))
    return found
