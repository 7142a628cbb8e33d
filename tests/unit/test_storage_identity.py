from __future__ import annotations

import os

import pytest

from services.shared.errors import ConflictError
from services.storage.identity import Identity, claimed


def test_an_empty_disk_gets_ids_and_keeps_them(tmp_path):
    first = Identity(tmp_path)
    again = Identity(tmp_path)
    assert (again.node_id, again.disk_id, again.cluster_id) == (first.node_id, first.disk_id, "")
    assert Identity(tmp_path.parent).disk_id != first.disk_id
    (tmp_path.parent / "node.json").unlink()


def test_a_disk_joins_one_cluster_for_good(tmp_path):
    identity = Identity(tmp_path)
    identity.join("one")
    identity.join("one")
    assert Identity(tmp_path).cluster_id == "one"
    with pytest.raises(ConflictError, match="belongs to cluster one"):
        Identity(tmp_path).join("two")


def test_a_damaged_identity_is_reported_and_left_as_it_is(tmp_path):
    (tmp_path / "node.json").write_text("{")
    with pytest.raises(ConflictError, match=r"node\.json is damaged"):
        Identity(tmp_path)
    assert (tmp_path / "node.json").read_text() == "{"


def test_a_folder_is_claimed_by_one_at_a_time(tmp_path):
    root = tmp_path / "made" / "on the way"
    with claimed(root), pytest.raises(ConflictError, match=f"process id {os.getpid()}"), claimed(root):
        pass
    with claimed(root):
        pass
