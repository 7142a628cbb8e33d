"""How the stack runs TritonTube's own services: what their environment tells each, and when it is ready."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.local import probes
from services.local.ports import LOOPBACK

_HANDOFF_RATE: Final = "TRITONTUBE_HANDOFF_BYTES_PER_S"
_HANDOFF_BYTES_PER_S: Final = 16 << 20
"""All nodes share this machine's cores with those who watch: less than a node on a machine of its own."""


@dataclass(frozen=True, kw_only=True)
class StorageNode:
    """One storage node on loopback."""

    name: str
    instance: str
    port: int
    metrics_port: int
    data: Path

    @property
    def address(self) -> str:
        """Its gRPC address."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def node_id(self) -> str:
        """Its id in the ring, which its disk decides; empty while the disk is (a node writes it at start)."""
        try:
            return str(json.loads((self.data / "node.json").read_bytes())["node_id"])
        except FileNotFoundError:
            return ""

    def env(self) -> Mapping[str, str]:
        """Its own part of the environment."""
        return {
            "TRITONTUBE_INSTANCE": self.instance,
            "TRITONTUBE_DATA": str(self.data),
            "TRITONTUBE_LISTEN": self.address,
            "TRITONTUBE_METRICS_LISTEN": f"{LOOPBACK}:{self.metrics_port}",
            _HANDOFF_RATE: os.environ.get(_HANDOFF_RATE, str(_HANDOFF_BYTES_PER_S)),
        }

    async def ready(self) -> bool:
        """Whether it accepts connections."""
        return await probes.accepts(self.address)


@dataclass(frozen=True, kw_only=True)
class Transcoder:
    """One transcoder worker."""

    name: str
    instance: str
    metrics_port: int
    work: Path

    @property
    def address(self) -> str:
        """Where its metrics are: it has no other address, its work comes from the broker."""
        return f"{LOOPBACK}:{self.metrics_port}"

    def env(self) -> Mapping[str, str]:
        """Its own part of the environment."""
        return {
            "TRITONTUBE_INSTANCE": self.instance,
            "TRITONTUBE_WORK_DIR": str(self.work),
            "TRITONTUBE_METRICS_LISTEN": self.address,
        }

    async def ready(self) -> bool:
        """Whether it has started and found its settings in order."""
        answer = await probes.get(self.address, "/metrics")
        return answer is not None and answer.ok


@dataclass(frozen=True, kw_only=True)
class Web:
    """One web process, with the admin service on a port of its own."""

    name: str
    instance: str
    port: int
    admin_port: int
    storage_nodes: int
    replicas: int

    @property
    def address(self) -> str:
        """Its HTTP address."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The library page."""
        return f"http://{self.address}"

    @property
    def admin(self) -> str:
        """Address of the admin gRPC service."""
        return f"{LOOPBACK}:{self.admin_port}"

    def env(self) -> Mapping[str, str]:
        """Its own part of the environment."""
        return {
            "TRITONTUBE_INSTANCE": self.instance,
            "TRITONTUBE_LISTEN": self.address,
            "TRITONTUBE_ADMIN_LISTEN": self.admin,
            "TRITONTUBE_BOOTSTRAP_NODES": str(self.storage_nodes),
            "TRITONTUBE_REPLICAS": str(self.replicas),
        }

    async def ready(self) -> bool:
        """Whether it says that everything it needs is there."""
        answer = await probes.get(self.address, "/readyz")
        return answer is not None and answer.ok
