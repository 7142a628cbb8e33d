"""A real RabbitMQ on loopback that can be killed, frozen and started again, and what its UI shows.

What a test wants to see, it asks the management API, as a person would: never the code under test.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from services.local.rabbitmq import RabbitServer
from tests.harness.plain_http import NO_TLS
from tests.harness.ports import free_port
from tests.harness.waiting import eventually

_START_DEADLINE_S = 120.0
_STOP_DEADLINE_S = 30.0
_ALL = {"configure": ".*", "write": ".*", "read": ".*"}

# One line per look at the management API would bury what the code under test logs.
logging.getLogger("httpx").setLevel(logging.WARNING)

Row = dict[str, Any]


@dataclass(kw_only=True)
class RabbitProcess:
    """A server and the process that runs it."""

    server: RabbitServer
    uid: int | None = None
    """The user it runs as, if we are root; None: ours."""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    """How often it was started."""

    @classmethod
    def in_folder(cls, data: Path) -> RabbitProcess:
        """A server that is not started yet, on free ports."""
        server = RabbitServer(
            name="rabbitmq",
            amqp_port=free_port(),
            management_port=free_port(),
            dist_port=free_port(),
            epmd_port=free_port(),
            data=data,
            password="secret",
            statistics_ms=500,
        )
        return cls(server=server)

    @property
    def pid(self) -> int:
        """The node's process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives (it may be frozen)."""
        return self.process is not None and self.process.poll() is None

    async def start(self) -> None:
        """Start the process, on the data it left behind, and wait until it serves. It dies with this one."""
        assert not self.running
        self._prepare()
        self.process = self._spawn()
        self.starts += 1
        await eventually(self._up, deadline_s=_START_DEADLINE_S, what="RabbitMQ serves")

    def kill(self) -> None:
        """Kill -9, and wait until the process is gone."""
        self._send(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """End the process in order."""
        self._send(signal.SIGTERM)
        self._reap()

    def freeze(self) -> None:
        """SIGSTOP: it answers nothing, but its connections stay open."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    async def heal(self) -> None:
        """Make it run, whatever was done to it."""
        if self.running:
            self.thaw()
        else:
            await self.start()

    def _prepare(self) -> None:
        self.server.prepare()
        if self.uid is not None:
            for path in (self.server.data, *self.server.data.rglob("*")):
                os.chown(path, self.uid, self.uid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        user = () if self.uid is None else (f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups")
        with (self.server.data / "console").open("ab") as log:
            return subprocess.Popen(
                ["setpriv", *user, "--pdeathsig=KILL", "--", *self.server.command()],
                env={"PATH": os.environ["PATH"], **self.server.env()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _up(self) -> bool:
        if not self.running:
            pytest.fail("RabbitMQ does not start: " + (self.server.data / "console").read_text()[-2000:])
        return await self.server.ready()

    def _send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait(_STOP_DEADLINE_S)


class VirtualHost:
    """A part of the server that only one test uses: its own queues, exchanges and connections."""

    def __init__(self, rabbit: RabbitProcess, name: str, http: httpx.AsyncClient) -> None:
        self.rabbit = rabbit
        self.name = name
        self._http = http

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{self.rabbit.server.amqp_url}{self.name}"

    async def queues(self) -> dict[str, Row]:
        """All queues by name."""
        return {row["name"]: row for row in await self._rows(f"queues/{self.name}")}

    async def exchanges(self) -> dict[str, Row]:
        """All exchanges by name."""
        return {row["name"]: row for row in await self._rows(f"exchanges/{self.name}")}

    async def connections(self) -> dict[str, Row]:
        """The open connections, by the name that the client gave."""
        rows = await self._rows(f"vhosts/{self.name}/connections")
        return {row["user_provided_name"]: row for row in rows if "user_provided_name" in row}

    async def consumer_tags(self, queue: str) -> list[str]:
        """Who consumes a queue."""
        rows = await self._rows(f"consumers/{self.name}")
        return sorted(row["consumer_tag"] for row in rows if row["queue"]["name"] == queue)

    async def messages(self, queue: str, *, count: int = 100) -> list[Row]:
        """What waits in a queue, as "Get messages" of the UI shows it. It stays there."""
        body = {"count": count, "ackmode": "ack_requeue_true", "encoding": "auto"}
        answer = await self._http.post(f"queues/{self.name}/{quote(queue)}/get", json=body)
        rows: list[Row] = answer.raise_for_status().json()
        return rows

    async def unsettled(self, queue: str) -> int:
        """How many messages of a queue are with consumers now."""
        row = await self._row(f"queues/{self.name}/{quote(queue)}")
        return int(row.get("messages_unacknowledged", 0))

    async def publish(self, queue: str, *, body: str, **properties: Any) -> None:
        """Put something into a queue, as a stranger would."""
        message = {
            "properties": properties,
            "routing_key": queue,
            "payload": body,
            "payload_encoding": "string",
        }
        answer = await self._http.post(f"exchanges/{self.name}/amq.default/publish", json=message)
        assert answer.raise_for_status().json()["routed"]

    async def declare_queue(self, queue: str, **properties: Any) -> None:
        """Make a queue, as a stranger would."""
        answer = await self._http.put(f"queues/{self.name}/{quote(queue)}", json=properties)
        answer.raise_for_status()

    async def limit(self, queue: str, *, messages: int) -> None:
        """Have a queue take no more messages than that."""
        policy = {"pattern": f"^{re.escape(queue)}$", "definition": {"max-length": messages}}
        answer = await self._http.put(f"policies/{self.name}/{quote(queue)}", json=policy)
        answer.raise_for_status()

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue with everything in it."""
        (await self._http.delete(f"queues/{self.name}/{quote(queue)}")).raise_for_status()

    async def cut(self, connection: str) -> None:
        """Close a client's connection from the server's side, once it is listed."""
        row = await eventually(
            lambda: self._connection(connection), deadline_s=60, what=f"{connection} is listed"
        )
        (await self._http.delete(f"connections/{quote(row['name'])}")).raise_for_status()

    async def _connection(self, name: str) -> Row | None:
        return (await self.connections()).get(name)

    async def _rows(self, path: str) -> list[Row]:
        rows: list[Row] = (await self._http.get(path)).raise_for_status().json()
        return rows

    async def _row(self, path: str) -> Row:
        row: Row = (await self._http.get(path)).raise_for_status().json()
        return row


@asynccontextmanager
async def virtual_host(rabbit: RabbitProcess) -> AsyncIterator[VirtualHost]:
    """A fresh virtual host. It is deleted at the end, unless the server was started anew meanwhile.

    RabbitMQ 3.10 cannot bear that retry queues are deleted at the moment in which they get their leaders, as
    they do after a start. What forwards expired messages (rabbit_fifo_dlx_sup) dies of it, for the whole node
    and for good, and nobody's retry queues work any more: github.com/rabbitmq/rabbitmq-server/issues/16652.
    """
    server, starts = rabbit.server, rabbit.starts
    name = f"test-{uuid4().hex[:12]}"
    async with httpx.AsyncClient(
        base_url=f"{server.management_url}api/",
        auth=(server.user, server.password),
        timeout=30,
        verify=NO_TLS,
    ) as http:
        (await http.put(f"vhosts/{name}")).raise_for_status()
        (await http.put(f"permissions/{name}/{server.user}", json=_ALL)).raise_for_status()
        try:
            yield VirtualHost(rabbit, name, http)
        finally:
            await rabbit.heal()
            if rabbit.starts == starts:
                (await http.delete(f"vhosts/{name}")).raise_for_status()
