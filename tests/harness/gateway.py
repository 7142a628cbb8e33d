"""A relay between one client and etcd: killed, it cuts off that client and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess


@dataclass(kw_only=True)
class Gateway:
    """etcd's own TCP gateway."""

    endpoints: Sequence[str]
    folder: Path
    port: int = field(default_factory=free_port)
    process: ServerProcess = field(init=False)

    def __post_init__(self) -> None:
        self.process = ServerProcess(
            command=[
                *("etcd", "gateway", "start", "--retry-delay", "1s"),
                *("--endpoints", ",".join(self.endpoints), "--listen-addr", self.address),
            ],
            log=self.folder / f"gateway-{self.port}.log",
        )

    @property
    def address(self) -> str:
        """What its client takes for etcd."""
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def gateway(folder: Path, endpoints: Sequence[str]) -> AsyncIterator[Gateway]:
    """A relay that works; gone at the end. Clients wait for it as they wait for etcd."""
    relay = Gateway(endpoints=endpoints, folder=folder)
    relay.process.start()
    try:
        yield relay
    finally:
        if relay.process.running:
            relay.process.kill()
