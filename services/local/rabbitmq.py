"""How the one-machine stack runs RabbitMQ: one node in a folder of its own, on loopback, as any user.

Nothing outside that folder is read or written: neither `/etc/rabbitmq` nor `/var/lib/rabbitmq`, nor the home
directory's Erlang cookie. The node's name is always the same, since its data carries it; what tells two
nodes on one machine apart is that each has its own port mapper (epmd) on a port of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.local import probes, programs
from services.local.files import replace_text
from services.local.ports import LOOPBACK

_SCRIPT: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's real script. The one on its PATH insists on the user `rabbitmq` and that user's folders."""

# epmd would make itself a daemon that outlives the node. Started beforehand, by the process that becomes the
# node, it is found by the node and dies with it, however the node dies.
_COMMAND: Final = (
    "unset NOTIFY_SOCKET WATCHDOG_USEC; "
    'setpriv --pdeathsig KILL -- epmd -port "$ERL_EPMD_PORT" -address "$ERL_EPMD_ADDRESS" & exec "$0"'
)

# Two schedulers that never spin and are not bound to a core: the cores belong to the encoders.
_ERLANG_ARGUMENTS: Final = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)

# Erlang terms rather than `rabbitmq.conf`: translating that takes half of the node's start-up time.
_CONFIG: Final = """\
%% Written by `tritontube up` at each start: changes are lost.
[
 {{rabbit, [
   {{tcp_listeners, [{{"{host}", {amqp_port}}}]}},
   {{default_user, <<"{user}">>}},
   {{default_pass, <<"{password}">>}},
   {{loopback_users, []}},
   {{heartbeat, 20}},
   {{collect_statistics_interval, {statistics_ms}}},
   {{quorum_tick_interval, {statistics_ms}}},
   %% A job that is not acknowledged for so long (ms) is given to somebody else.
   {{consumer_timeout, 1800000}},
   {{vm_memory_high_watermark, {{absolute, "512MiB"}}}},
   {{disk_free_limit, "100MB"}},
   {{log, [
     {{console, [{{enabled, false}}]}},
     {{file, [{{level, info}}, {{size, 10485760}}, {{count, 2}}]}}
   ]}}
 ]}},
 %% Quorum queues keep this much (bytes) of their log in memory; the default is 512 MiB.
 {{ra, [{{wal_max_size_bytes, 33554432}}]}},
 {{rabbitmq_management, [
   {{tcp_config, [{{ip, "{host}"}}, {{port, {management_port}}}]}}
 ]}}
].
"""

_PLUGINS: Final = "[rabbitmq_management].\n"

_PROBE_TIMEOUT_S: Final = 2.0
_AMQP_HEADER: Final = b"AMQP\x00\x00\x09\x01"
_START_FRAME_BYTES: Final = 11
_START_METHOD: Final = b"\x00\x0a\x00\x0a"
"""Class 10, method 10: `Connection.Start`, a broker's first words."""


@dataclass(frozen=True, kw_only=True)
class RabbitServer:
    """One node: its ports, its folder, and the one user it has."""

    name: str
    amqp_port: int
    management_port: int
    dist_port: int
    """For other Erlang nodes: here only `rabbitmqctl`."""
    epmd_port: int
    """Tells those where `dist_port` is."""
    data: Path
    password: str
    user: str = "tritontube"
    statistics_ms: int = 5_000
    """How old the numbers in the management UI may be."""

    @property
    def address(self) -> str:
        """Where clients reach it, `host:port`."""
        return f"{LOOPBACK}:{self.amqp_port}"

    @property
    def amqp_url(self) -> str:
        """Where clients reach it, with the password."""
        return f"amqp://{self.user}:{self.password}@{self.address}/"

    @property
    def management_address(self) -> str:
        """Where the management UI and its API are, `host:port`."""
        return f"{LOOPBACK}:{self.management_port}"

    @property
    def management_url(self) -> str:
        """Where people look."""
        return f"http://{self.management_address}/"

    def prepare(self) -> None:
        """Make the folder, closed to others, and write the configuration."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.data / "home").mkdir(exist_ok=True)
        (self.data / "log").mkdir(exist_ok=True)
        replace_text(self._config, self._configuration())
        replace_text(self._plugins, _PLUGINS)

    def command(self) -> tuple[str, ...]:
        """The command line. The process it starts becomes the node: to end it, SIGTERM; SIGKILL is safe too.

        In order, 3.10 takes 8 s: its management plugin waits for a part of itself that has ended already.

        Raises:
            UnavailableError: RabbitMQ is not installed; the message says what to do.
        """
        return ("sh", "-c", _COMMAND, _script())

    def env(self) -> Mapping[str, str]:
        """Its own part of the environment."""
        return {
            "HOME": str(self.data / "home"),
            # Otherwise a shell stays in front of the node, and a SIGKILL would hit only that.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": "tritontube@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_CONFIG_FILE": str(self._config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._plugins),
            # These do not exist, and keep the system's from being read.
            "RABBITMQ_CONF_ENV_FILE": str(self.data / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.data / "advanced.config"),
            "RABBITMQ_CONFIG_FILES": str(self.data / "conf.d"),
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data / "log"),
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGUMENTS,
            "ERL_CRASH_DUMP": str(self.data / "log" / "erl_crash.dump"),
            "ERL_CRASH_DUMP_BYTES": str(16 << 20),
        }

    async def ready(self) -> bool:
        """Whether it takes connections, and its management UI answers."""
        # Without a login the API answers 401, which is an answer.
        answer = await probes.get(self.management_address, "/api/overview")
        return answer is not None and await self._speaks_amqp()

    async def _speaks_amqp(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.amqp_port)
                with closing(writer):
                    writer.write(_AMQP_HEADER)
                    return (await reader.readexactly(_START_FRAME_BYTES)).endswith(_START_METHOD)
        except (OSError, EOFError, TimeoutError):
            return False

    @property
    def _config(self) -> Path:
        return self.data / "rabbitmq.config"

    @property
    def _plugins(self) -> Path:
        return self.data / "enabled_plugins"

    def _configuration(self) -> str:
        return _CONFIG.format(
            host=LOOPBACK,
            amqp_port=self.amqp_port,
            management_port=self.management_port,
            user=self.user,
            password=self.password,
            statistics_ms=self.statistics_ms,
        )


def stored_password(data: Path) -> str:
    """The password that belongs to the data in this folder: made at first, kept as long as the data.

    A node takes its user from the configuration only when it has no data yet.
    """
    file = data / "password"
    if not file.exists():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(file, secrets.token_urlsafe(24))
    return file.read_text(encoding="utf-8")


def _script() -> str:
    if _SCRIPT.exists():
        return str(_SCRIPT)
    programs.require(["rabbitmq-server"])
    return programs.find("rabbitmq-server") or ""
