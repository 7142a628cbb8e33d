"""The tasks of the plans that somebody works on at the moment: read with every task, so kept at hand."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from services.shared.catalog import keys
from services.shared.etcd import EtcdClient, Mirror
from services.shared.task import Task

_MAX_LISTS: Final = 16
"""A worker works on one video at a time, and its sweeps go through the others that are unfinished."""


class TaskLists:
    """The latest few lists; each is brought up to date whenever it is asked for."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._mirrors: OrderedDict[str, Mirror[Task]] = OrderedDict()

    async def of(self, video_id: str, generation: int) -> list[Task]:
        """All tasks of a plan as of now, in the order of their names.

        Raises:
            UnavailableError: etcd is away.
        """
        return await self._mirror(keys.tasks(video_id, generation)).read()

    def _mirror(self, prefix: str) -> Mirror[Task]:
        mirror = self._mirrors.get(prefix) or Mirror(self._etcd, prefix, decode=Task.model_validate_json)
        self._mirrors[prefix] = mirror
        self._mirrors.move_to_end(prefix)
        if len(self._mirrors) > _MAX_LISTS:
            self._mirrors.popitem(last=False)
        return mirror
