"""`endpoints.json` in a stack's folder: where everything is and which process it is, for scripts and tests.

The file exists only while the stack is ready, and is replaced whenever a child was started again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

FILE: Final = "endpoints.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class BrokerEndpoint(_Part):
    """RabbitMQ. For a server that this stack did not start, only `amqp` is known."""

    amqp: str
    management: str | None
    user: str | None
    password: str | None
    pid: int | None


class EtcdEndpoint(_Part):
    """One etcd member; `client` is `host:port`."""

    name: str
    client: str
    pid: int | None


class StorageEndpoint(_Part):
    """One storage node: its id in the ring, its gRPC address, its folder."""

    id: str
    address: str
    pid: int | None
    data: str


class TranscoderEndpoint(_Part):
    """One transcoder worker."""

    id: str
    pid: int | None


class WebEndpoint(_Part):
    """One web process."""

    url: str
    pid: int | None


class Endpoints(_Part):
    """The whole file. `web` and `admin` are those of the first web process."""

    web: str
    admin: str
    rabbitmq: BrokerEndpoint
    etcd: tuple[EtcdEndpoint, ...]
    storage: tuple[StorageEndpoint, ...]
    transcoders: tuple[TranscoderEndpoint, ...]
    webs: tuple[WebEndpoint, ...]


def file_in(folder: Path) -> Path:
    """Where the file of the stack in `folder` is."""
    return folder / FILE
