"""Real nodes whose folder is emptied, or takes no writes any more: neither passes for a healthy one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.etcd import EtcdCluster
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually

DEADLINE_S = 60.0


@pytest.fixture
def node(ring_etcd: EtcdCluster, tmp_path: Path) -> Iterator[StorageNode]:
    node = StorageNode(data=tmp_path / "node", etcd=ring_etcd.endpoints)
    node.server.start()
    yield node
    if node.server.running:
        node.server.kill()


async def test_a_node_whose_folder_was_emptied_ends_and_comes_back_as_another_one(node):
    await node.up()
    before = node.id
    for entry in node.data.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    await eventually(lambda: not node.server.running, deadline_s=DEADLINE_S, what="the process ends")
    assert f"node.json is gone, so the folder is no longer that of {before}" in node.server.log_tail()
    node.server.start()
    await node.up()
    assert node.id != before


async def test_a_node_whose_disk_takes_no_writes_says_so_unasked_and_serves_on(node):
    await node.up()
    (node.data / "tmp").rmdir()
    (node.data / "tmp").touch()
    await node.refuses_writes("The node's disk takes no writes (Not a directory)")
    assert node.server.running
