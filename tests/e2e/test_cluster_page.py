"""The cluster's page in a real browser, over a real cluster whose nodes come and go while somebody looks.

Screenshots are left in `artifacts/screenshots`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from services.shared.etcd import EtcdClient
from tests.harness.cluster import Cluster
from tests.harness.etcd import etcd_members
from tests.harness.operator import operator
from tests.harness.ports import free_port
from tests.harness.ring import live_nodes
from tests.harness.viewer import Viewer, visiting
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess

pytestmark = pytest.mark.timeout(600)

DEADLINE_MS = 90_000
expect.set_options(timeout=DEADLINE_MS)

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"color_scheme": "light"},
    "phone-dark": {"color_scheme": "dark", **PHONE},
}
OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture
async def visitor(browser: Browser, cluster: Cluster) -> AsyncIterator[Viewer]:
    async with visiting(browser, cluster.admin.url) as visitor:
        yield visitor


async def store_files(cluster: Cluster) -> None:
    """Enough for a hand-over to take so long that a busy machine shows something of it."""
    video = uuid4().hex[:16]
    async with cluster.content() as content:
        for number in range(64):
            await content.put(f"{video}/{number}.m4s", bytes([number]) * (512 << 10))


async def test_a_cluster_at_rest_is_seen_at_a_glance(browser: Browser, cluster: Cluster):
    for look, options in LOOKS.items():
        async with visiting(browser, cluster.admin.url, **options) as visitor:
            await visitor.open("/")
            await visitor.page.get_by_role("link", name="Cluster").click()
            await expect(visitor.page.get_by_role("status").first).to_contain_text("All is well.")
            shares = r"The ring at epoch \d+: node-\w+ 33\.\d%, node-\w+ 33\.\d%, node-\w+ 33\.\d%"
            await expect(visitor.page.get_by_role("img", name=re.compile(shares))).to_be_visible()
            await expect(visitor.page.get_by_role("meter", name="Disk of")).to_have_count(3)
            assert await visitor.page.evaluate(OVERHANG) <= 0
            await visitor.screenshot(f"cluster-{look}")


async def test_a_node_that_comes_and_goes_is_followed_live(visitor: Viewer, cluster: Cluster):
    page = visitor.page
    await store_files(cluster)
    await visitor.open("/cluster")
    await page.evaluate("window.neverReloaded = true")
    node = await cluster.new_node()
    await expect(page.locator(".notes")).to_contain_text(f"tritontube-admin add {node.address}")
    async with operator(cluster.admin) as boss:
        request = await boss.add(node)
        await expect(page.get_by_role("heading", name=f"Adding {node.id}")).to_be_visible()
        await expect(page.get_by_role("status").first).to_contain_text("Files are on the move")
        await expect(page.locator(".change .facts-line")).to_contain_text("per second")
        await visitor.screenshot("cluster-moving")
        await boss.done(request)
    await expect(page.get_by_role("status").first).to_contain_text("All is well.")
    await expect(page.locator(".node", has_text=node.id)).to_contain_text("25.0% of the ring")
    await expect(page.locator(".change")).to_have_count(0)
    async with operator(cluster.admin) as boss:
        await boss.done(await boss.drain(node))
    farewell = f"{node.id} was removed and holds nothing: it may be switched off."
    await expect(page.locator("#cluster-nodes")).to_contain_text(farewell)
    assert await page.evaluate("window.neverReloaded")


async def test_a_node_that_is_killed_is_seen_to_be_away(visitor: Viewer, cluster: Cluster):
    page, node = visitor.page, cluster.nodes[0]
    await visitor.open("/cluster")
    node.server.kill()
    await expect(page.get_by_role("status").first).to_contain_text(f"Away: {node.id}.")
    card = page.locator(".node", has_text=node.id)
    await expect(card.locator(".badge-state")).to_have_text("away")
    await expect(card).to_contain_text("cannot be reached")
    await expect(page.get_by_role("region", name="Away")).to_contain_text("It is not given up by itself.")
    await visitor.screenshot("cluster-away")
    await cluster.revive()
    await expect(page.get_by_role("status").first).to_contain_text("All is well.")


async def test_text_that_somebody_marks_stays_while_the_rest_goes_on(visitor: Viewer, cluster: Cluster):
    page, node = visitor.page, cluster.nodes[0]
    await visitor.open("/cluster")
    await page.locator(".node h3").first.select_text()
    marked = await page.evaluate("getSelection().toString()")
    node.server.kill()
    await expect(page.get_by_role("status").first).to_contain_text("Away")
    assert await page.evaluate("getSelection().toString()") == marked
    await cluster.revive()


async def test_a_server_that_is_away_leaves_what_was_seen_and_says_so(visitor: Viewer, cluster: Cluster):
    page = visitor.page
    visitor.expect("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    await visitor.open("/cluster")
    cluster.admin.server.kill()
    await expect(page.get_by_role("alert")).to_contain_text(
        "The server cannot be reached. What is shown is from"
    )
    await expect(page.locator(".node")).to_have_count(3)
    await cluster.revive()
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_the_page_works_without_script(browser: Browser, cluster: Cluster):
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{cluster.admin.url}/cluster")
    await expect(page.locator(".node")).to_have_count(3)
    await context.close()


async def test_programs_get_the_same_as_json(cluster: Cluster):
    async with cluster.admin.client() as http:
        state = (await http.get("/api/cluster")).json()
        described = (await http.get("/openapi.json")).json()["paths"]
    assert state["services"] == {"etcd": "ok", "ring": "ok", "broker": "ok"}
    assert state["pace"] is None
    assert state["cluster"]["phase"] == "STABLE"
    assert {node["id"] for node in state["cluster"]["nodes"] if node["state"] == "active"} == {
        node.id for node in cluster.nodes
    }
    assert described["/api/cluster"]["get"]["tags"] == ["cluster"]


# ---- before there is anything to see ----


@pytest_asyncio.fixture
async def lonely(cluster: Cluster, tmp_path: Path) -> AsyncIterator[WebProcess]:
    """A web process whose etcd does not answer."""
    web = WebProcess(folder=tmp_path, etcd=[f"127.0.0.1:{free_port()}"], amqp_url=cluster.vhost.url)
    web.server.start()
    await eventually(lambda: _alive(web), deadline_s=90, what="it answers")
    yield web
    web.server.kill()


async def _alive(web: WebProcess) -> bool:
    async with web.client() as http:
        return (await http.get("/healthz")).is_success


async def test_while_etcd_has_not_answered_the_page_says_what_it_waits_for(
    browser: Browser, lonely: WebProcess
):
    async with visiting(browser, lonely.url) as visitor:
        visitor.expect("503")
        await visitor.open("/cluster")
        await expect(visitor.page.get_by_role("alert")).to_contain_text("etcd has not said yet")
        assert await visitor.page.evaluate(OVERHANG) <= 0
        await visitor.screenshot("cluster-no-etcd")
    async with lonely.client() as http:
        answer = await http.get("/api/cluster")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.headers["content-type"] == "application/problem+json"


async def test_before_the_ring_is_formed_the_page_tells_who_is_there(
    browser: Browser, cluster: Cluster, tmp_path: Path
):
    async with etcd_members(tmp_path / "etcd", count=1) as etcd:
        web = WebProcess(folder=tmp_path, etcd=etcd.endpoints, amqp_url=cluster.vhost.url)
        web.server.start()
        await eventually(lambda: _alive(web), deadline_s=90, what="it answers")
        async with (
            EtcdClient.connect(etcd.endpoints) as client,
            live_nodes(client, "a"),
            visiting(browser, web.url) as visitor,
        ):
            await visitor.open("/cluster")
            page = visitor.page
            await expect(page.get_by_role("status").first).to_contain_text("has not been formed yet")
            await expect(page.locator(".empty")).to_contain_text("1 is up so far.")
            await visitor.screenshot("cluster-unformed")
            async with live_nodes(client, "b", "c"):
                await expect(page.locator(".node")).to_have_count(3)
        web.server.kill()
