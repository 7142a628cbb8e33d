"""Real etcd members on loopback that can be killed, frozen and started again.

What a test does to a cluster or asks of it goes over processes and etcd's own HTTP gateway, never over the
client under test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.harness.ports import free_port
from tests.harness.waiting import eventually

PATIENT_S = 5.0
"""For an attempt, where there is one member and no other to ask: its disk may be busy with other tests, and a
write that is cut off is neither done nor not done."""
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 20.0


@dataclass(kw_only=True)
class EtcdMember:
    """One member: a process, its ports and its data."""

    name: str
    data_dir: Path
    client_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    scheme: str = "http"
    flags: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    frozen: bool = False

    @property
    def endpoint(self) -> str:
        """The client address, `host:port`."""
        return f"127.0.0.1:{self.client_port}"

    @property
    def client_url(self) -> str:
        return f"{self.scheme}://{self.endpoint}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    @property
    def running(self) -> bool:
        """Whether the process lives (it may be frozen)."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process, on the data it left behind. It dies with this process, however that ends."""
        assert not self.running
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "etcd", *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill -9, and wait until the process is gone."""
        self._send(signal.SIGKILL)
        self._reap()

    def freeze(self) -> None:
        """SIGSTOP: it answers nothing, but its connections stay open."""
        assert self.process is not None
        self._send(signal.SIGSTOP)
        # The signal is sent at once, and takes effect when each thread gets to see it.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)
        self.frozen = False

    def stop(self) -> None:
        """End the process in order, if it runs."""
        if not self.running:
            return
        if self.frozen:
            self.thaw()
        self._send(signal.SIGTERM)
        try:
            self._reap()
        except subprocess.TimeoutExpired:
            self.kill()

    def revive(self) -> None:
        """Make it run again, whatever was done to it."""
        if self.frozen and self.running:
            self.thaw()
        if not self.running:
            self.start()

    def log_tail(self) -> str:
        """Return the end of what the process wrote."""
        return (self.data_dir / "log").read_text(errors="replace")[-2000:]

    def _send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait(_STOP_DEADLINE_S)
        self.frozen = False

    def _arguments(self) -> list[str]:
        return [
            f"--name={self.name}",
            f"--data-dir={self.data_dir / 'data'}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            "--logger=zap",
            "--log-outputs=stderr",
            *self.flags,
        ]


@dataclass(kw_only=True)
class EtcdCluster:
    """Some members that form one cluster."""

    members: list[EtcdMember]
    ssl_context: ssl.SSLContext | None = None

    @property
    def endpoints(self) -> list[str]:
        """The client addresses of all members."""
        return [member.endpoint for member in self.members]

    async def start(self) -> None:
        """Start all members and wait until they agree on a leader."""
        for member in self.members:
            member.start()
        await self.healthy()

    async def heal(self) -> None:
        """Undo whatever a test did to the members."""
        for member in self.members:
            member.revive()
        await self.healthy()

    def stop(self) -> None:
        """End all members."""
        for member in self.members:
            member.stop()

    async def healthy(self) -> None:
        """Wait until every member answers and knows the same leader."""
        try:
            await eventually(
                self._agreed, deadline_s=_START_DEADLINE_S, what="etcd members agree on a leader"
            )
        except TimeoutError as error:
            logs = "\n".join(f"{member.name}: {member.log_tail()}" for member in self.members)
            raise RuntimeError(f"the etcd cluster is not healthy:\n{logs}") from error

    async def leader(self) -> EtcdMember:
        """Return the member that leads; waits out an election."""
        return await eventually(
            self._leader, deadline_s=_START_DEADLINE_S, what="a leader of the etcd cluster"
        )

    async def followers(self) -> list[EtcdMember]:
        """Return the members that do not lead."""
        leader = await self.leader()
        return [member for member in self.members if member is not leader]

    async def revision(self) -> int:
        """Return the store's revision."""
        status = await self.call("/v3/maintenance/status", {}, member=await self.leader())
        return int(status["header"]["revision"])

    async def compact(self, revision: int) -> None:
        """Forget what was before `revision`, on every member."""
        await self.call("/v3/kv/compaction", {"revision": revision, "physical": True})

    async def call(
        self, path: str, body: dict[str, Any], *, member: EtcdMember | None = None
    ) -> dict[str, Any]:
        """Call etcd's JSON gateway on `member` (the first one if not told).

        Raises:
            httpx.HTTPError: no answer, or one that says no.
        """
        member = member or self.members[0]
        verify = self.ssl_context or False
        async with httpx.AsyncClient(trust_env=False, timeout=10.0, verify=verify) as http:
            answer = await http.post(member.client_url + path, json=body)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found

    async def _agreed(self) -> bool:
        statuses = await asyncio.gather(
            *(self.call("/v3/maintenance/status", {}, member=member) for member in self.members)
        )
        leaders = {status.get("leader", "0") for status in statuses}
        return len(leaders) == 1 and leaders != {"0"}

    async def _leader(self) -> EtcdMember | None:
        """Return the leader of the newest term among the members that can answer."""
        found: list[tuple[int, EtcdMember]] = []
        for member in self.members:
            if member.running and not member.frozen:
                status = await self.call("/v3/maintenance/status", {}, member=member)
                if status.get("leader") == status["header"]["member_id"]:
                    found.append((int(status["raftTerm"]), member))
        return max(found, key=lambda pair: pair[0])[1] if found else None


@asynccontextmanager
async def etcd_members(
    directory: Path,
    *,
    count: int,
    flags: Sequence[str] = (),
    scheme: str = "http",
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[EtcdCluster]:
    """Run a fresh cluster of `count` members with their data below `directory`."""
    members = [EtcdMember(name=f"m{n}", data_dir=directory / f"m{n}", scheme=scheme) for n in range(count)]
    together = ",".join(f"{member.name}={member.peer_url}" for member in members)
    for member in members:
        member.flags = [
            f"--initial-cluster={together}",
            f"--initial-cluster-token={directory.name}-{members[0].peer_port}",
            *flags,
        ]
    cluster = EtcdCluster(members=members, ssl_context=ssl_context)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.stop()
