"""Every setting of every service, in one place.

Each field is an environment variable `TRITONTUBE_<FIELD IN UPPER CASE>`; a command-line option of the same
name (`--field-in-lower-case`), where a service offers it, wins. Sizes are bytes, times are seconds, addresses
are `host:port`. A value that does not fit is refused at start with a sentence that names the variable.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.shared.errors import InvalidRequestError

MIB = 1 << 20
GIB = 1 << 30

S = TypeVar("S", bound="Settings")

Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}$")]


def _default_instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class Settings(BaseSettings):
    """What every service needs: where etcd and RabbitMQ are, who it is, how it logs."""

    model_config = SettingsConfigDict(env_prefix="TRITONTUBE_", extra="ignore", use_attribute_docstrings=True)

    etcd_endpoints: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1:2379",)
    """Client addresses of the etcd members, comma separated."""
    etcd_username: str | None = None
    etcd_password: str | None = None
    etcd_ca_file: Path | None = None
    etcd_cert_file: Path | None = None
    etcd_key_file: Path | None = None
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    instance: str = Field(
        default_factory=_default_instance, min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][\w.@+-]*$"
    )
    """This process's name in logs, leases, AMQP connections and consumer tags; unique in the cluster."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    drain_timeout_s: float = Field(default=20.0, gt=0, le=600)
    """After SIGTERM: how long running work may go on before it is handed back."""
    metrics_listen: Address | None = None
    """Where Prometheus may scrape this process (the web service has /metrics on its own port)."""

    @field_validator("etcd_endpoints", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _listed(value)

    @field_validator("etcd_endpoints")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one etcd endpoint, as host:port")
        return value


class WebSettings(Settings):
    """The web service: HTTP, uploads, playback, admin gRPC."""

    listen: Address = "127.0.0.1:8080"
    admin_listen: Address | None = "127.0.0.1:8081"
    """Where the admin gRPC service listens; unset: not offered by this instance."""
    max_upload_bytes: int = Field(default=64 * GIB, gt=0)
    max_concurrent_uploads: int = Field(default=16, gt=0)
    """More are answered 503 with Retry-After. All together hold at most so many parts in memory."""
    part_bytes: int = Field(default=32 * MIB, ge=MIB, le=32 * MIB)
    """An upload is stored in parts of this size."""
    upload_idle_timeout_s: float = Field(default=60.0, gt=0)
    """A client that sends nothing for so long has gone."""
    max_open_uploads: int = Field(default=1000, gt=0)
    """Resumable uploads that are not complete, in the whole cluster. More are answered 503."""
    upload_lifetime_s: float = Field(default=24 * 3600.0, gt=0)
    """A resumable upload to which nothing is added for so long is given up."""
    cache_bytes: int = Field(default=256 * MIB, ge=0)
    """Memory for hot segments."""
    replicas: int = Field(default=3, ge=1, le=7)
    """Copies of each file, when this instance forms the ring (fewer while there are fewer nodes)."""
    bootstrap_nodes: int = Field(default=3, ge=1)
    """The ring is formed as soon as this many storage nodes are live, once in the cluster's life."""
    dead_after_s: float = Field(default=900.0, ge=0)
    """A storage node that is away for so long is declared dead: copies are made anew. 0: only by hand."""
    orphan_grace_s: float = Field(default=24 * 3600.0, ge=0)
    """Files that nothing refers to are removed when they are older than this."""


class TranscoderSettings(Settings):
    """A transcoder worker: one job at a time; start as many workers as there are cores."""

    work_dir: Path = Path("/tmp/tritontube")  # noqa: S108 - a default for scratch files; emptied at start
    """Scratch space; each worker uses a folder of its own in it, emptied at start."""
    work_reserve_bytes: int = Field(default=256 * MIB, ge=0)
    """Room on that disk that is left alone: jobs that would need it wait for more, or for another worker."""
    keep_original: bool = True
    """False: once a video is ready and was found sound, the uploaded file is purged. Then nothing can be made
    from it any more: no lost piece, no quality that was left out."""
    source_cache_bytes: int = Field(default=64 * MIB, ge=8 * MIB)
    """Memory for source bytes read from the ring."""
    ladder: str = Field(default="h264", min_length=1)
    """What videos are encoded in: codec profiles, comma separated (h264, hevc, vp9, av1, h264_nvenc, …), or
    the path of a TOML file. See docs/codecs.md."""
    per_title: bool = False
    """Encode videos that look as good with less quality so, judged by samples of each."""
    max_pixels: int = Field(default=8192 * 4608, gt=0)
    max_duration_s: float = Field(default=24 * 3600.0, gt=0)
    max_attempts: int = Field(default=5, ge=1, le=20)
    """Of a job, before it becomes a dead letter."""
    stall_timeout_s: float = Field(default=60.0, gt=0)
    """ffmpeg is killed when it makes no progress for so long."""
    job_timeout_s: float = Field(default=20 * 60.0, gt=0, le=24 * 3600)
    """Wall time of one ffmpeg run over up to a minute of film, ten of sound, or 8 GiB to read; over more it
    may take more, in proportion, up to a day."""
    job_cpu_s: int | None = Field(default=None, gt=0)
    """Processor time of such a run (None: its wall time on every core)."""
    job_memory_bytes: int = Field(default=8 * GIB, ge=256 * MIB)
    """Memory that one ffmpeg run may ask for: 600 MiB do for pictures of 1080p, 2 GiB for 2160p."""
    niceness: int = Field(default=10, ge=0, le=19)
    """How far ffmpeg gives way to everything else on the machine, half as far where somebody waits for it; 0:
    not at all, for machines that do nothing else."""
    sandbox: Literal["auto", "require", "off"] = "auto"
    """What confines ffmpeg: whatever this machine offers, all of it or no start, or nothing but limits."""
    sandbox_readable: Annotated[tuple[Path, ...], NoDecode] = ()
    """Files and folders that ffmpeg needs in order to start, where it is not installed as usual; comma
    separated."""
    verify: bool = True
    """Look at each finished video as a whole, while there is nothing else to do; see docs/transcoding.md."""
    sweep_interval_s: float = Field(default=10.0, gt=0)
    """How often lost messages and forgotten videos are looked for."""
    unserved_after_s: float = Field(default=30.0, gt=0)
    """Work that no queue holds and no worker claims for so long is published again."""

    @field_validator("sandbox_readable", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        return _listed(value)


class StorageSettings(Settings):
    """A storage node: one process per disk."""

    data: Path = Path("data")
    """The node's folder; its identity lives there."""
    listen: Address = "127.0.0.1:9090"
    advertise: Address | None = None
    """The address others reach this node at, if it is not `listen`."""
    bulk_listen: Address | None = None
    """Where file contents are taken and given at the least cost (unset: a free port beside `listen`), on the
    host that others reach the node at. Who can't reach it uses `listen`."""
    zone: str = Field(default="default", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Failure domain: copies of one file go to different zones while there are enough."""
    reserve_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the disk kept free: below it writes are refused."""
    capacity_bytes: int | None = Field(default=None, gt=0)
    """Use no more than this of the disk (None: all of it)."""
    lease_ttl_s: int = Field(default=5, ge=2, le=60)
    """A node that could not renew its lease for so long is no longer counted as live."""
    staging_bytes: int = Field(default=256 * MIB, ge=32 * MIB)
    """Bytes of incoming files held in memory at once; senders wait beyond that."""
    handoff_bytes_per_s: float = Field(default=32.0 * MIB, gt=0)
    """How fast a node hands files over, to all others together: viewers need the rest of disk and network."""
    handoff_streams: int = Field(default=4, ge=1, le=64)
    """Files handed over at the same time."""
    delete_grace_s: float = Field(default=600.0, ge=0)
    """A copy that belongs to other nodes is kept at least so long after it became surplus."""
    repair_interval_s: float = Field(default=600.0, gt=0)
    """How often a node compares what it holds with the other owners while nothing changes."""
    scrub_bytes_per_s: float = Field(default=8.0 * MIB, gt=0)
    """How fast the node reads through its own copies for damage, round after round."""
    scrub_pause_s: float = Field(default=24 * 3600.0, ge=0)
    """Pause between two rounds of that."""


def load(kind: type[S], **overrides: object) -> S:
    """Read settings from the environment, with `overrides` (None: not given) on top.

    Raises:
        InvalidRequestError: a value does not fit; the message names each variable and what is wrong.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return kind(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"TRITONTUBE_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()
        ]
        raise InvalidRequestError("Settings: " + "; ".join(lines)) from error
