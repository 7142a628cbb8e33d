"""Load on HTTP servers: nginx to compare with, wrk to ask, and a client that looks at the first byte."""

from __future__ import annotations

import getpass
import http.client
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Final
from urllib.parse import urlsplit

from bench.machine import require_program
from tests.harness.ports import free_port

CONNECTIONS: Final = 16
_START_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02
_TIMEOUT_S: Final = 60.0
_RATE: Final = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_TROUBLE: Final = re.compile(r"^\s*(Non-2xx or 3xx responses|Socket errors):.*$", re.MULTILINE)

_NGINX_CONF: Final = """
user {user};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""

_WRK_SCRIPT: Final = """
local requests, last = {}, 0
function init()
    for path in io.lines("%s") do requests[#requests + 1] = wrk.format("GET", path) end
end
function request()
    last = last %% #requests + 1
    return requests[last]
end
"""
"""Asks for one path after the other, all connections together."""


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    """An nginx of one process that serves the files below `root`; its URL."""
    program = require_program("nginx", package="nginx-light")
    port, config = free_port(), folder / "nginx.conf"
    text = _NGINX_CONF.format(user=getpass.getuser(), folder=folder, port=port, root=root)
    config.write_text(text, encoding="utf-8")
    with serving_at(port, (program, "-c", config, "-e", folder / "error.log")):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def serving_at(port: int, command: Sequence[str | Path]) -> Iterator[int]:
    """The id of a server of any kind, from when it takes connections on a port; terminated at the end.

    Raises:
        RuntimeError: it ended, or takes too long.
    """
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield server.pid
    finally:
        server.terminate()
        server.wait()


def requests_per_s(url: str, paths: Sequence[str], *, duration_s: int, folder: Path) -> float:
    """How often a server answers in a second, asked for the paths in turn over `CONNECTIONS` connections.

    Raises:
        RuntimeError: an answer was not 200, or a connection broke.
    """
    wrk = require_program("wrk", package="wrk")
    # A script costs the machine time that the server then lacks: only where it is needed.
    script = () if len(paths) == 1 else ("-s", _script(paths, folder))
    load = ("-t1", f"-c{CONNECTIONS}", f"-d{duration_s}s", "--timeout", "30s")
    command = (wrk, *load, *script, f"{url}{paths[0]}")
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    trouble, rate = _TROUBLE.search(said), _RATE.search(said)
    if trouble or not rate:
        raise RuntimeError(f"{url}: {trouble[0].strip() if trouble else said}")
    return float(rate[1])


def first_byte_ms(url: str, paths: Sequence[str]) -> tuple[float, float]:
    """Median and longest time from a request to the first byte of its body, one request at a time."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
    connection.connect()
    times = [_first_byte_s(connection, path) * 1000 for path in paths]
    connection.close()
    return median(times), max(times)


def fetch(url: str, path: str) -> bytes:
    """The body of an answer.

    Raises:
        RuntimeError: it was not 200.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{url}{path} was answered {answer.status}: {body[:500]!r}")
    return body


def _first_byte_s(connection: http.client.HTTPConnection, path: str) -> float:
    began = perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read(1)
    elapsed = perf_counter() - began
    answer.read()
    return elapsed


def _script(paths: Sequence[str], folder: Path) -> Path:
    listed, script = folder / "paths.txt", folder / "paths.lua"
    listed.write_text("\n".join(paths), encoding="utf-8")
    script.write_text(_WRK_SCRIPT % listed, encoding="utf-8")
    return script


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + _START_TIMEOUT_S
    while server.poll() is None and monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            sleep(_POLL_S)
        else:
            return
    raise RuntimeError(f"{server.args!r} did not start")
