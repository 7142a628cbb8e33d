"""OpenStack Swift on this machine, as its all-in-one guide lays it out: three devices, three copies.

Per device an account, a container and an object server, each a process, as nodes of their own would have
them; before them one proxy with a worker per core, temporary credentials, and memcached for these. What a
cluster runs beside that (replicators, auditors, updaters) is left out: nothing but requests is measured.

Swift syncs an object's file and its folder before it answers, as TritonTube does. Its lists of containers
are SQLite databases that it does not sync, and neither does TritonTube sync its index.
"""

from __future__ import annotations

import getpass
import http.client
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import machine
from bench.http_load import serving_at
from tests.harness.ports import free_port

COPIES: Final = 3
_HOST: Final = "127.0.0.1"
_CONTAINER: Final = "objects"
_USER: Final = "bench:bench"
_KEY: Final = "bench"
_RINGS: Final = ("account", "container", "object")
_BIN: Final = machine.ROOT / ".tools" / "swift" / "bin"
_PART_POWER: Final = 10

_COMMON: Final = """
[swift-hash]
swift_hash_path_suffix = bench
"""

_SERVER: Final = """
[DEFAULT]
bind_ip = {host}
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {devices}
mount_check = false
workers = 1
log_level = ERROR
{options}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
log_requests = false
keep_cache_private = true
"""
"""An answer leaves a file in the system's cache (`keep_cache_private`), as TritonTube's answers do."""

_PROXY: Final = """
[DEFAULT]
bind_ip = {host}
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = auto
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper cache tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_bench_bench = {key} .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = {host}:{memcached}
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
"""
"""The shortest pipeline that knows its users: every filter more costs time."""


@dataclass(frozen=True, kw_only=True)
class Swift:
    """A Swift that is up, with a container to put objects into."""

    address: str
    path: str
    """Of the container."""
    headers: Mapping[str, str]
    """What requests have to carry."""
    devices: Path
    """Below this all copies lie."""
    pids: tuple[int, ...]
    """Of the servers; some have workers."""


@contextmanager
def swift(folder: Path) -> Iterator[Swift]:
    """Swift on free ports of its own, with its data in a folder that exists already.

    Raises:
        MissingError: it, or memcached, is not installed.
    """
    if not _BIN.exists():
        raise machine.MissingError("Swift is missing: run scripts/setup --bench")
    memcached = machine.require_program("memcached", package="memcached")
    (folder / "swift.conf").write_text(_COMMON, encoding="utf-8")
    ports = {kind: [free_port() for _ in range(COPIES)] for kind in _RINGS}
    with ExitStack() as running:
        cache, proxy = free_port(), free_port()
        user = ("-u", getpass.getuser())
        listening = (memcached, "-l", _HOST, "-U", "0", "-p", str(cache), *user)
        pids = [running.enter_context(serving_at(cache, listening))]
        for kind in _RINGS:
            _make_ring(folder, kind, ports[kind])
            for number, port in enumerate(ports[kind]):
                config = _server_config(folder, kind, number, port)
                command = (str(_BIN / f"swift-{kind}-server"), str(config))
                pids.append(running.enter_context(serving_at(port, command)))
        config = _proxy_config(folder, proxy, cache)
        pids.append(running.enter_context(serving_at(proxy, (_BIN / "swift-proxy-server", config))))
        yield _prepared(f"{_HOST}:{proxy}", folder, pids)


def _make_ring(folder: Path, kind: str, ports: list[int]) -> None:
    """Tell Swift where each copy goes: to one of the devices, all the same."""
    builder, tool = folder / f"{kind}.builder", _BIN / "swift-ring-builder"
    _quietly(tool, builder, "create", str(_PART_POWER), str(COPIES), "0")
    for number, port in enumerate(ports):
        (_devices(folder, number) / "d").mkdir(parents=True, exist_ok=True)
        _quietly(tool, builder, "add", f"r1z{number + 1}-{_HOST}:{port}/d", "1")
    _quietly(tool, builder, "rebalance")


def _server_config(folder: Path, kind: str, number: int, port: int) -> Path:
    text = _SERVER.format(
        host=_HOST,
        port=port,
        user=getpass.getuser(),
        folder=folder,
        devices=_devices(folder, number),
        options=f"recon_cache_path = {folder}",
        kind=kind,
    )
    return _written(folder / f"{kind}-{number}.conf", text)


def _proxy_config(folder: Path, port: int, memcached: int) -> Path:
    text = _PROXY.format(
        host=_HOST, port=port, user=getpass.getuser(), folder=folder, key=_KEY, memcached=memcached
    )
    return _written(folder / "proxy.conf", text)


def _prepared(address: str, folder: Path, pids: Iterable[int]) -> Swift:
    """Log in and make the container."""
    connection = http.client.HTTPConnection(address, timeout=60)
    login = {"X-Auth-User": _USER, "X-Auth-Key": _KEY}
    answer = _answered(connection, "GET", "/auth/v1.0", login)
    token = {"X-Auth-Token": str(answer.getheader("X-Auth-Token"))}
    account = str(answer.getheader("X-Storage-Url")).partition(address)[2]
    path = f"{account}/{_CONTAINER}"
    _answered(connection, "PUT", path, token)
    connection.close()
    devices = folder / "devices"
    return Swift(address=address, path=path, headers=token, devices=devices, pids=tuple(pids))


def _answered(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.request(method, path, headers=dict(headers))
    answer = connection.getresponse()
    body = answer.read()
    if answer.status // 100 != 2:
        raise RuntimeError(f"Swift answered {method} {path} with {answer.status}: {body[:500]!r}")
    return answer


def _devices(folder: Path, number: int) -> Path:
    return folder / "devices" / str(number)


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _quietly(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
