"""How many workers a video can count on: what its pieces are sized by."""

from __future__ import annotations

from services.shared.catalog import Catalog, WorkBook


async def crew(catalog: Catalog, book: WorkBook) -> int:
    """This video's share of the live workers, at least one.

    Workers are many in a large installation, and so are the videos that they work on at a time: if each were
    cut as if it had all workers to itself, its pieces would be as short as they can be, and every record and
    message would be needed several times as often, for nothing.

    Raises:
        UnavailableError: etcd is away.
    """
    workers, videos = len(await book.workers()), len(await catalog.active_ids())
    return -(-max(workers, 1) // max(videos, 1))
