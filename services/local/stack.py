"""A stack: its members, the programs that run them in order, and where each can be reached."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from services.local.child import Program
from services.local.endpoints import (
    BrokerEndpoint,
    Endpoints,
    EtcdEndpoint,
    StorageEndpoint,
    TranscoderEndpoint,
    WebEndpoint,
)
from services.local.etcd import EtcdMember
from services.local.rabbitmq import RabbitServer
from services.local.services import StorageNode, Transcoder, Web

DRAIN_VARIABLE: Final = "TRITONTUBE_DRAIN_TIMEOUT_S"

# Someone who presses Ctrl-C waits for this. What is unfinished is handed back, and done after the next start.
_DRAIN_S: Final = 5.0
_DRAIN_MARGIN_S: Final = 10.0
_SERVER_STOP_S: Final = 30.0

Pids = Mapping[str, int | None]
"""The process of each child, by its name; None while it has none."""


class Member(Protocol):
    """What all members have in common."""

    @property
    def name(self) -> str:
        """Its name among the children of the stack."""

    @property
    def address(self) -> str:
        """Where it can be reached, `host:port`."""

    def env(self) -> Mapping[str, str]:
        """Its own part of the environment."""

    async def ready(self) -> bool:
        """Whether others may rely on it now."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """All members. No etcd members or no broker: somebody else's are used."""

    folder: Path
    environ: Mapping[str, str]
    """What every child inherits."""
    release: Callable[[str], None]
    """Lets go of the ports that were held for the named member."""
    etcd: tuple[EtcdMember, ...]
    etcd_endpoints: tuple[str, ...]
    broker: RabbitServer | None
    amqp_url: str
    storage: tuple[StorageNode, ...]
    transcoders: tuple[Transcoder, ...]
    webs: tuple[Web, ...]

    def prepare(self) -> None:
        """Make what the servers need on disk."""
        for member in self.etcd:
            member.prepare()
        if self.broker:
            self.broker.prepare()

    def tiers(self) -> list[list[Program]]:
        """The programs in the order of their start: those of one tier need only the tiers before it."""
        servers = [self._server(member, member.command(self.etcd)) for member in self.etcd]
        if self.broker:
            servers.append(self._server(self.broker, self.broker.command()))
        storage = [self._service(node, "storage") for node in self.storage]
        front = [
            *(self._service(worker, "transcoder") for worker in self.transcoders),
            *(self._service(web, "web") for web in self.webs),
        ]
        return [tier for tier in (servers, storage, front) if tier]

    def endpoints(self, pids: Pids) -> Endpoints:
        """Where everything is, with the processes that run it now."""
        return Endpoints(
            web=self.webs[0].url,
            admin=self.webs[0].admin,
            rabbitmq=self._broker_endpoint(pids),
            etcd=self._etcd_endpoints(pids),
            storage=tuple(_storage_endpoint(node, pids) for node in self.storage),
            transcoders=tuple(
                TranscoderEndpoint(id=worker.instance, pid=pids[worker.name]) for worker in self.transcoders
            ),
            webs=tuple(WebEndpoint(url=web.url, pid=pids[web.name]) for web in self.webs),
        )

    def _server(self, member: Member, argv: tuple[str, ...]) -> Program:
        return self._program(member, argv, self.environ, stop_timeout_s=_SERVER_STOP_S)

    def _service(self, member: Member, service: str) -> Program:
        drain_s = float(self.environ.get(DRAIN_VARIABLE, _DRAIN_S))
        env = {
            **self.environ,
            "TRITONTUBE_ETCD_ENDPOINTS": ",".join(self.etcd_endpoints),
            "TRITONTUBE_AMQP_URL": self.amqp_url,
            DRAIN_VARIABLE: str(drain_s),
        }
        # -P keeps the current folder from shadowing modules.
        argv = (sys.executable, "-P", "-m", f"services.{service}")
        return self._program(member, argv, env, stop_timeout_s=drain_s + _DRAIN_MARGIN_S)

    def _program(
        self, member: Member, argv: Sequence[str], env: Mapping[str, str], *, stop_timeout_s: float
    ) -> Program:
        return Program(
            name=member.name,
            argv=tuple(argv),
            env={**env, **member.env()},
            log=self.folder / "logs" / f"{member.name}.log",
            ready=member.ready,
            address=member.address,
            stop_timeout_s=stop_timeout_s,
            release=partial(self.release, member.name),
        )

    def _etcd_endpoints(self, pids: Pids) -> tuple[EtcdEndpoint, ...]:
        if not self.etcd:
            return tuple(EtcdEndpoint(name=client, client=client, pid=None) for client in self.etcd_endpoints)
        return tuple(
            EtcdEndpoint(name=member.name, client=member.address, pid=pids[member.name])
            for member in self.etcd
        )

    def _broker_endpoint(self, pids: Pids) -> BrokerEndpoint:
        if self.broker is None:
            return BrokerEndpoint(amqp=self.amqp_url, management=None, user=None, password=None, pid=None)
        return BrokerEndpoint(
            amqp=self.broker.amqp_url,
            management=self.broker.management_url,
            user=self.broker.user,
            password=self.broker.password,
            pid=pids[self.broker.name],
        )


def _storage_endpoint(node: StorageNode, pids: Pids) -> StorageEndpoint:
    return StorageEndpoint(id=node.node_id, address=node.address, pid=pids[node.name], data=str(node.data))
