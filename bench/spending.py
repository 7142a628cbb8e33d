"""What the parts of a running stack have spent on processor time so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from bench.processes import cpu_s, ended_cpu_s, own_cpu_s
from services.local.endpoints import Endpoints


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Processor time in seconds, by part; all processes of a kind together."""

    encoders: float
    """ffmpeg and ffprobe; counted when they have ended."""
    workers: float
    storage: float
    etcd: float
    rabbitmq: float
    web: float

    def __sub__(self, before: Spending) -> Spending:
        """What was spent since."""
        return Spending(
            **{part.name: getattr(self, part.name) - getattr(before, part.name) for part in fields(self)}
        )

    @property
    def transcoding(self) -> float:
        """What the media costs: the encoders, and the workers that run, feed, check and store for them."""
        return self.encoders + self.workers

    @property
    def rest(self) -> float:
        """What all the other parts cost meanwhile."""
        return self.storage + self.etcd + self.rabbitmq + self.web


def spending(stack: Endpoints) -> Spending:
    """What a stack's processes have spent until now."""
    workers = _pids(worker.pid for worker in stack.transcoders)
    return Spending(
        encoders=sum(map(ended_cpu_s, workers)),
        workers=sum(map(own_cpu_s, workers)),
        storage=cpu_s(_pids(node.pid for node in stack.storage)),
        etcd=cpu_s(_pids(member.pid for member in stack.etcd)),
        rabbitmq=cpu_s(_pids([stack.rabbitmq.pid])),
        web=cpu_s(_pids(web.pid for web in stack.webs)),
    )


def _pids(found: Iterable[int | None]) -> list[int]:
    return [pid for pid in found if pid is not None]
