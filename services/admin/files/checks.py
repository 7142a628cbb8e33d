"""The calls about files: a check of all of them, and where a single one is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from services.admin.files.findings import Graces
from services.admin.files.fsck import Check
from services.admin.files.witnesses import Witnesses
from services.shared.content.channels import Channels
from services.shared.content.holders import Holders
from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient
from services.shared.ring.placement import check_key, key_hash, partition_of
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.topology import Topology
from services.shared.video import check_video_id

_MAX_CHECKS: Final = 2
"""Each asks every node for everything that it holds."""

_LOCATE_TIMEOUT_S: Final = 5.0
"""For a node's answer: somebody waits for it."""


class Checks:
    """Answers `CheckFiles` and `LocateFile` of the cluster's service.

    Args:
        etcd: where the catalogue is.
        topology: the ring.
        graces: what a check lets pass.
    """

    def __init__(self, etcd: EtcdClient, topology: Topology, *, graces: Graces) -> None:
        self._etcd = etcd
        self._topology = topology
        self._graces = graces
        self._running = 0

    async def check(self, request: pb.CheckFilesRequest) -> AsyncGenerator[pb.CheckFilesResponse, None]:
        """Findings as they are found, then the summary.

        Raises:
            InvalidRequestError: that can't be the id of a video.
            NotFoundError: there is no such video.
            UnavailableError: etcd can't be reached, there is no ring yet, or enough checks are running.
        """
        if request.video_id:
            check_video_id(request.video_id)
        if self._running >= _MAX_CHECKS:
            raise UnavailableError("Other checks are running through this instance: try again later.")
        self._running += 1
        try:
            async with (
                Channels.over(self._topology) as channels,
                aclosing(self._check(request, Holders(channels))) as parts,
            ):
                async for part in parts:
                    yield part
        finally:
            self._running -= 1

    async def locate(self, key: str) -> pb.LocateFileResponse:
        """Where a file belongs, and what each member of the ring says of it.

        Raises:
            InvalidRequestError: the key is malformed.
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        check_key(key)
        view = await self._topology.refresh()
        async with Channels.over(self._topology) as channels:
            holders = Holders(channels, answer_timeout_s=_LOCATE_TIMEOUT_S)
            witnesses = Witnesses(self._topology, holders)
            held = await witnesses.held({node: [key] for node in witnesses.asked()})
        having = {node for node, copies in held.items() if copies}
        return pb.LocateFileResponse(
            partition=partition_of(key),
            position=key_hash(key),
            copies=[
                _status(view, key, node, held=node in having, problem=witnesses.silent.get(node, ""))
                for node in sorted({*held, *witnesses.silent})
            ],
        )

    async def _check(
        self, request: pb.CheckFilesRequest, holders: Holders
    ) -> AsyncGenerator[pb.CheckFilesResponse, None]:
        check = Check(
            self._etcd,
            self._topology,
            holders,
            repair=request.repair,
            verify=request.verify,
            video_id=request.video_id,
            graces=self._graces,
        )
        async with aclosing(check.findings()) as findings:
            async for finding in findings:
                yield finding.message()
        yield pb.CheckFilesResponse(summary=check.summary)


def _status(view: RingView, key: str, node: str, *, held: bool, problem: str) -> pb.CopyStatus:
    partition = partition_of(key)
    return pb.CopyStatus(
        node_id=node,
        owner=node in view.owners(partition),
        next_owner=node in view.next_owners(partition),
        held=held,
        problem=problem,
    )
