"""A check of all files: whether each is where it should be, whole, and as often as it should.

Two walks, either in constant memory, however much there is: along the ring, file by file, for where copies
are and how they are; and along the catalogue, video by video, for what it refers to.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from services.admin.files.bookkeeping import Bookkeeping
from services.admin.files.catalogue_check import CatalogueCheck
from services.admin.files.findings import Finding, Graces, Kind
from services.admin.files.placement_check import PlacementCheck
from services.admin.files.witnesses import Witnesses
from services.shared.content.holders import Holders
from services.shared.errors import NotFoundError
from services.shared.etcd import EtcdClient
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.topology import Topology


class Check:
    """One check. Go through its `findings()`, then ask for the `summary`.

    Args:
        etcd: where the catalogue is.
        topology: the ring.
        holders: its nodes.
        repair: have the nodes mend what is found.
        verify: have them read every byte of every copy.
        video_id: only the files of this video; empty: all.
        graces: what is let pass.
    """

    def __init__(
        self,
        etcd: EtcdClient,
        topology: Topology,
        holders: Holders,
        *,
        repair: bool = False,
        verify: bool = False,
        video_id: str = "",
        graces: Graces,
    ) -> None:
        self._topology = topology
        self._repair = repair
        self._video_id = video_id
        self._witnesses = Witnesses(topology, holders)
        self._bookkeeping = Bookkeeping(etcd)
        parts = (topology, self._witnesses, self._bookkeeping)
        self._placement = PlacementCheck(*parts, verify=verify, video_id=video_id, graces=graces)
        self._catalogue = CatalogueCheck(*parts, video_id=video_id, graces=graces)
        self._found = Counter[Kind]()
        self._repaired = 0

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """Everything that is wrong, as it is found.

        Raises:
            NotFoundError: no record tells of the video, and nobody has a file of it.
            UnavailableError: there is no ring yet, or the catalogue can't be read.
        """
        await self._topology.refresh()
        for walk in (self._placement.run(), self._catalogue.run()):
            async with aclosing(walk) as batches:
                async for batch in batches:
                    for finding in await self._mended(batch) if self._repair else batch:
                        self._found[finding.kind] += 1
                        self._repaired += finding.repaired
                        yield finding
        await self._check_video()

    @property
    def summary(self) -> pb.CheckSummary:
        """What was seen, and how much of it was wrong."""
        seen, found = self._placement.seen, self._found
        return pb.CheckSummary(
            files=seen["files"],
            copies=seen["copies"],
            stored_bytes=seen["bytes"],
            under_replicated=found[Kind.UNDER_REPLICATED],
            missing=found[Kind.MISSING],
            surplus=found[Kind.SURPLUS],
            corrupt=found[Kind.CORRUPT],
            orphans=found[Kind.ORPHAN],
            repaired=self._repaired,
            unreachable=sorted(self._witnesses.silent),
        )

    async def _check_video(self) -> None:
        if not self._video_id or self._placement.seen["files"]:
            return
        if not await self._bookkeeping.is_known(self._video_id):
            raise NotFoundError("There is no such video.")

    async def _mended(self, found: list[Finding]) -> list[Finding]:
        """The findings, after the nodes concerned were asked to get a sound copy where that can help."""
        keys: dict[str, list[str]] = defaultdict(list)
        for finding in filter(_mendable, found):
            for node in finding.nodes:
                keys[node].append(finding.key)
        if not keys:
            return found
        problems = await self._witnesses.mend(keys)
        held = await self._witnesses.held(keys)
        return [
            replace(
                finding,
                repaired=all(finding.key in held.get(node, {}) for node in finding.nodes),
                problem=next((told for told in problems if told.startswith(finding.key)), ""),
            )
            if _mendable(finding)
            else finding
            for finding in found
        ]


def _mendable(finding: Finding) -> bool:
    return finding.kind in {Kind.UNDER_REPLICATED, Kind.CORRUPT} and not finding.problem
