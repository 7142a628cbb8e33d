"""Laying a stack out: which members it has, on which ports and in which folders."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.local.etcd import EtcdMember
from services.local.ports import PortBook
from services.local.rabbitmq import RabbitServer, stored_password
from services.local.services import StorageNode, Transcoder, Web
from services.local.shape import Shape
from services.local.stack import Stack
from services.shared.settings import Settings, load

ETCD_VARIABLE: Final = "TRITONTUBE_ETCD_ENDPOINTS"
AMQP_VARIABLE: Final = "TRITONTUBE_AMQP_URL"

# Theirs to interpret, and in conflict with what we tell them on the command line.
_FOREIGN_PREFIXES: Final = ("ETCD_", "RABBITMQ_", "ERL_")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Decides where everything of one stack is. Servers that the environment names replace our own."""

    folder: Path
    shape: Shape
    ports: PortBook
    """Where ports come from; each is held until its server starts."""
    http_port: int
    """Of the first web process; 0: any free one."""
    environ: Mapping[str, str]

    def stack(self) -> Stack:
        """The stack.

        Raises:
            ConflictError: a port is taken.
            InvalidRequestError: a setting in the environment does not fit.
        """
        given = load(Settings)
        etcd = () if ETCD_VARIABLE in self.environ else tuple(map(self._etcd, _count(self.shape.etcd_nodes)))
        broker = None if AMQP_VARIABLE in self.environ else self._broker()
        return Stack(
            folder=self.folder,
            environ=self._inherited(),
            release=self.ports.release,
            etcd=etcd,
            etcd_endpoints=tuple(member.address for member in etcd) or given.etcd_endpoints,
            broker=broker,
            amqp_url=broker.amqp_url if broker else given.amqp_url,
            storage=tuple(map(self._storage, _count(self.shape.storage_nodes))),
            transcoders=tuple(map(self._transcoder, _count(self.shape.transcoders))),
            webs=tuple(map(self._web, _count(self.shape.webs))),
        )

    def _inherited(self) -> Mapping[str, str]:
        return {name: value for name, value in self.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}

    def _instance(self, name: str) -> str:
        # In a cluster that other machines use too, names must be unique beyond this one.
        return f"{platform.node()}-{name}" if ETCD_VARIABLE in self.environ else name

    def _etcd(self, number: int) -> EtcdMember:
        name = f"etcd-{number}"
        return EtcdMember(
            name=name,
            client_port=self.ports.take(name, "client"),
            peer_port=self.ports.take(name, "peer"),
            data=self.folder / name,
        )

    def _broker(self) -> RabbitServer:
        name = "rabbitmq"
        return RabbitServer(
            name=name,
            amqp_port=self.ports.take(name, "AMQP"),
            management_port=self.ports.take(name, "management"),
            dist_port=self.ports.take(name, "Erlang distribution"),
            epmd_port=self.ports.take(name, "Erlang port mapper"),
            data=self.folder / name,
            password=stored_password(self.folder / name),
        )

    def _storage(self, number: int) -> StorageNode:
        name = f"storage-{number}"
        return StorageNode(
            name=name,
            instance=self._instance(name),
            port=self.ports.take(name, "gRPC"),
            metrics_port=self.ports.take(name, "metrics"),
            data=self.folder / name,
        )

    def _transcoder(self, number: int) -> Transcoder:
        name = f"transcoder-{number}"
        return Transcoder(
            name=name,
            instance=self._instance(name),
            metrics_port=self.ports.take(name, "metrics"),
            work=self.folder / "work",
        )

    def _web(self, number: int) -> Web:
        name = f"web-{number}"
        asked = self.http_port if number == 1 else 0
        return Web(
            name=name,
            instance=self._instance(name),
            port=(
                self.ports.take_exactly(name, asked, option="--port")
                if asked
                else self.ports.take(name, "HTTP")
            ),
            # 8081 beside 8080: what the admin CLI asks if nobody tells it otherwise.
            admin_port=(
                self.ports.prefer(name, "admin", asked + 1) if asked else self.ports.take(name, "admin")
            ),
            storage_nodes=self.shape.storage_nodes,
            replicas=self.shape.replicas,
        )


def _count(number: int) -> range:
    return range(1, number + 1)
