"""How the one-machine stack runs an etcd cluster: members on loopback, each its own process and folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.local import probes
from services.local.ports import LOOPBACK

# Members share two cores with encoders here. At etcd's defaults (100, 1000) a busy moment costs the leader
# its seat; a dead leader is still replaced within about three seconds.
_HEARTBEAT_MS: Final = 200
_ELECTION_MS: Final = 1500


@dataclass(frozen=True, kw_only=True)
class EtcdMember:
    """One member: its name in the cluster, its two ports, its folder."""

    name: str
    client_port: int
    peer_port: int
    data: Path

    @property
    def address(self) -> str:
        """Where clients reach it, `host:port`."""
        return f"{LOOPBACK}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where the other members reach it. Part of the cluster's state: it must never change."""
        return f"http://{LOOPBACK}:{self.peer_port}"

    def prepare(self) -> None:
        """Make its folder; etcd wants it closed to others."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self, cluster: Sequence[EtcdMember]) -> tuple[str, ...]:
        """The command line. `cluster` counts at the very first start only; later the folder's state does."""
        client_url = f"http://{self.address}"
        return (
            "etcd",
            f"--name={self.name}",
            f"--data-dir={self.data}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={','.join(f'{member.name}={member.peer_url}' for member in cluster)}",
            "--initial-cluster-state=new",
            # Members of two stacks never take each other for their own, whatever ports they have.
            f"--initial-cluster-token={self.data.parent}",
            f"--heartbeat-interval={_HEARTBEAT_MS}",
            f"--election-timeout={_ELECTION_MS}",
            # A member that was cut off does not unseat the leader when it comes back.
            "--pre-vote=true",
            # Old revisions serve only watches that resume; those list again when they come too late.
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=1h",
            "--logger=zap",
            "--log-outputs=stderr",
        )

    def env(self) -> Mapping[str, str]:
        """Its own part of the environment: Debian's etcd refuses to run on ARM unless told that it may."""
        arch = {"aarch64": "arm64", "armv7l": "arm"}.get(platform.machine())
        return {"ETCD_UNSUPPORTED_ARCH": arch} if arch else {}

    async def ready(self) -> bool:
        """Whether it is up and its cluster has a leader."""
        answer = await probes.get(self.address, "/health")
        return answer is not None and answer.ok and json.loads(answer.body)["health"] == "true"
