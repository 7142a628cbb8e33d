from __future__ import annotations

from services.shared.catalog import Catalog, WorkBook, keys
from services.shared.etcd import EtcdClient
from services.transcoder.crew import crew


async def test_videos_in_the_making_share_the_workers_evenly_and_each_has_one(etcd_client: EtcdClient):
    catalog, book = Catalog(etcd_client), WorkBook(etcd_client)
    others, videos = len(await book.workers()), len(await catalog.active_ids())
    assert await crew(catalog, book) >= 1
    added = [f"{keys.WORKERS}crew-{number}" for number in range(30)]
    marks = [keys.active(f"crew-video-{number}") for number in range(4)]
    try:
        for key in (*added, *marks):
            await etcd_client.put(key, b"")
        assert await crew(catalog, book) == -(-(others + 30) // (videos + 4))
    finally:
        for key in (*added, *marks):
            await etcd_client.delete(key)
