"""The state of the storage cluster for all who look at it: taken once a second at most, however many look."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter
from pydantic import Field

from services.admin.display.pace import Meter, Pace
from services.admin.views.cluster import ClusterView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.web.description import failing
from services.web.flight import SingleFlight
from services.web.health import Health
from services.web.reading import add_reading
from services.web.views import View

Status = Callable[[], Awaitable[pb.GetStatusResponse]]
"""Asks how the cluster is; raises `UnavailableError` where that can't be told."""

_MAX_AGE_S: Final = 1.0


class PaceView(View):
    """How far and how fast the change in progress is."""

    done: float = Field(description="0 to 1")
    files_moved: int
    bytes_moved: int
    bytes_left: int = Field(description="as far as is known")
    bytes_per_s: float | None = Field(description="null until it has been watched for a moment")
    left_s: float | None = Field(description="null while that can't be told")

    @classmethod
    def of(cls, pace: Pace) -> PaceView:
        """What is shown of a pace."""
        return cls(
            done=pace.done,
            files_moved=pace.files_moved,
            bytes_moved=pace.bytes_moved,
            bytes_left=pace.bytes_left,
            bytes_per_s=pace.bytes_per_s,
            left_s=pace.left_s,
        )


class ClusterStateView(View):
    """The storage cluster, and what this process needs besides."""

    cluster: ClusterView
    pace: PaceView | None = Field(description="of the change in progress; null while nothing changes")
    services: dict[str, str] = Field(
        description="`ok`, or a sentence that says what is wrong, for each of etcd, ring and broker"
    )


class Lookout:
    """Keeps the cluster's state for a moment.

    Args:
        status: asks for it.
        health: knows about the other backing services.
    """

    def __init__(self, status: Status, health: Health) -> None:
        self._status = status
        self._health = health
        self._flight = SingleFlight[ClusterStateView]()
        self._meter = Meter()
        self._seen: ClusterStateView | None = None
        self._seen_at_s = 0.0
        self.router = APIRouter(prefix="/api/cluster", tags=["cluster"])
        add_reading(self.router, "", self.look, responses=failing(503))

    async def look(self) -> ClusterStateView:
        """The ring, its nodes, and a change in progress. What is away is told as it was last seen."""
        if self._seen is not None and time.monotonic() - self._seen_at_s < _MAX_AGE_S:
            return self._seen
        return await self._flight.do("", self._take)

    async def _take(self) -> ClusterStateView:
        status = await self._status()
        self._seen = ClusterStateView(
            cluster=ClusterView.of(status), pace=self._pace(status), services=await self._health.look()
        )
        self._seen_at_s = time.monotonic()
        return self._seen

    def _pace(self, status: pb.GetStatusResponse) -> PaceView | None:
        if not status.HasField("change"):
            return None
        return PaceView.of(self._meter.look(time.monotonic(), epoch=status.epoch, nodes=status.progress))
