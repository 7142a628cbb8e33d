"""The ring as its users see it: files put under keys, read back whole or in part.

::

    async with ContentStore.connect(topology) as content:
        stored = await content.put(f"{video_id}/v0-g1-00001.m4s", data)
        async with await content.open(stored.key) as reader:
            async for chunk in reader:
                ...

A file is immutable: the same key with other content is refused. Which nodes hold it, which of them are down,
and how the ring changes meanwhile is dealt with here.
"""

from services.shared.content.files import StoredFile
from services.shared.content.reader import ContentReader
from services.shared.content.store import ContentStore
from services.shared.rpc import MAX_FILE_BYTES

__all__ = ["MAX_FILE_BYTES", "ContentReader", "ContentStore", "StoredFile"]
