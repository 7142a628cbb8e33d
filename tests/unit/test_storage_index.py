from __future__ import annotations

import threading

import pytest

from services.shared.ring.placement import partition_of
from services.storage.disk.index import PAGE, Index, Totals
from services.storage.disk.objectfile import ObjectInfo


def info(key: str, size: int = 1) -> ObjectInfo:
    return ObjectInfo(key=key, size_bytes=size, sha256=b"s" * 32, stored_at_ms=5)


@pytest.fixture
def index(tmp_path):
    with Index(tmp_path / "index.sqlite") as index:
        yield index


def test_what_is_added_is_found_and_what_is_removed_is_not(index):
    index.add(info("a/1", 10))
    index.add(info("a/1", 10))
    index.add(info("b/1", 5))
    assert index.get("a/1") == info("a/1", 10)
    assert index.totals == Totals(files=2, size_bytes=15)
    index.add(info("a/1", 20))
    assert index.totals == Totals(files=2, size_bytes=25)
    index.remove("a/1")
    index.remove("a/1")
    assert index.get("a/1") is None
    assert index.totals == Totals(files=1, size_bytes=5)


def test_lists_come_in_pages_by_video_by_partition_and_altogether(index):
    keys = [f"video/{number:05d}" for number in range(PAGE + 10)]
    threads = [
        threading.Thread(target=lambda part=part: [index.add(info(key)) for key in part])
        for part in (keys[0::4], keys[1::4], keys[2::4], keys[3::4])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    page = index.of_video("video")
    rest = index.of_video("video", after=page[-1].key)
    assert [found.key for found in page + rest] == keys
    assert index.of_video("vide") == []
    partition = partition_of(keys[0])
    assert keys[0] in [found.key for found in index.of_partition(partition)]
    first = index.everything()
    second = index.everything(after=first[-1].key)
    assert [f.key for f in first + second] == sorted(keys, key=lambda key: (partition_of(key), key))
    assert index.everything(after=second[-1].key) == []


def test_in_memory_it_is_the_same_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Index(None) as index:
        index.add(info("a/1", 10))
        index.add(info("a/2", 10))
        index.remove("a/2")
        assert index.everything() == [info("a/1", 10)]
        assert index.totals == Totals(files=1, size_bytes=10)
    assert not list(tmp_path.iterdir())


def test_it_outlives_its_process(tmp_path):
    with Index(tmp_path / "i") as index:
        index.add(info("a/1", 10))
    with Index(tmp_path / "i") as index:
        assert index.get("a/1") == info("a/1", 10)
        assert index.totals == Totals(files=1, size_bytes=10)


def test_a_failed_write_is_told_to_its_caller_and_the_next_one_works(index):
    with pytest.raises(OverflowError):
        index.add(info("a/1", 2**70))
    index.add(info("a/2"))
    assert index.totals == Totals(files=1, size_bytes=1)
