"""The web service as a process: how it starts, what it says when it cannot, how it ends."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import httpx
import pytest

from tests.harness.children import children
from tests.harness.fixtures_web import StartWeb
from tests.harness.ports import free_port
from tests.harness.rabbitmq import VirtualHost
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess, like_a_video

DEADLINE_S = 60.0


async def run(*options: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.web", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


async def test_a_port_that_is_taken_ends_it_with_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = await run("--listen", address, "--etcd-endpoints", "127.0.0.1:1")
    assert ended.returncode == 1
    assert f"Cannot listen on {address}: Address already in use" in ended.stderr
    assert "--listen" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_second_process_on_the_same_port_ends_too(web: WebProcess):
    ended = await run("--listen", f"127.0.0.1:{web.port}", "--etcd-endpoints", "127.0.0.1:1")
    assert ended.returncode == 1


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1", ":80", "127.0.0.1:port"])
async def test_a_setting_that_does_not_fit_is_named(listen: str):
    ended = await run("--listen", listen)
    assert ended.returncode == 2
    assert "TRITONTUBE_LISTEN" in ended.stderr


async def test_an_address_of_another_machine_ends_it_with_a_sentence():
    ended = await run("--listen", f"192.0.2.1:{free_port()}", "--etcd-endpoints", "127.0.0.1:1")
    assert ended.returncode == 1
    assert "Cannot listen on 192.0.2.1" in ended.stderr


async def test_it_is_one_process_and_stops_at_once_when_idle(start_web: StartWeb):
    web = await start_web()
    assert web.server.process is not None
    assert children("python", web.server.process.pid) == []
    async with httpx.AsyncClient(trust_env=False) as kept_alive:
        await kept_alive.get(f"{web.url}/healthz")
        async with asyncio.timeout(DEADLINE_S):
            assert await asyncio.to_thread(web.server.stop) == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", web.port)


async def test_it_starts_while_the_broker_is_away_and_is_whole_when_it_comes(
    storage: StorageCluster, vhost: VirtualHost, tmp_path
):
    vhost.rabbit.freeze()
    web = WebProcess(folder=tmp_path, etcd=storage.etcd.endpoints, amqp_url=vhost.url)
    web.server.start()
    try:
        async with web.client() as http:

            async def lists() -> bool:
                return (await http.get("/api/videos")).is_success

            await eventually(lists, deadline_s=DEADLINE_S, what="the library is there")
            assert (await web.upload(like_a_video(5000)))["status"] == "uploaded"
            vhost.rabbit.thaw()
            await web.ready()
    finally:
        web.server.kill()


async def test_static_files_are_kept_for_ever_under_their_release_and_compressed(web: WebProcess):
    async with web.client() as http:
        page = (await http.get("/", headers={"Accept": "text/html"})).text
        path = page.split('<link rel="stylesheet" href="')[1].split('"')[0]
        style = await http.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await http.get(path, headers={"Accept-Encoding": "identity"})
        known = await http.get(path, headers={"If-None-Match": style.headers["etag"]})
        older = await http.get("/static/000000000000/app.css")
        icon = await http.get("/favicon.ico")
    assert style.headers["cache-control"].endswith("immutable")
    assert style.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert style.text == plain.text
    assert style.headers["content-type"].startswith("text/css")
    assert (known.status_code, known.content) == (304, b"")
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    assert icon.headers["content-type"] == "image/svg+xml"


async def test_pages_load_nothing_from_anywhere_else(web: WebProcess):
    video = await web.upload(like_a_video(5000), title='<img src=x onerror="alert(1)">')
    async with web.client() as http:
        for path in ("/", video["links"]["watch"], f"/embed/{video['id']}", "/docs", "/nothing"):
            page = await http.get(path, headers={"Accept": "text/html"})
            policy = page.headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "default-src 'none'" in policy
            assert "<img src=x" not in page.text
            assert 'src="http' not in page.text
            assert 'href="http' not in page.text
        embed = await http.get(f"/embed/{video['id']}")
        watch = await http.get(video["links"]["watch"])
    assert embed.headers["content-security-policy"].endswith("frame-ancestors *")
    assert watch.headers["content-security-policy"].endswith("frame-ancestors 'self'")
