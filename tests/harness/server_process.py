"""A server as a process that tests start, kill, freeze and start again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_STOP_DEADLINE_S = 30.0


@dataclass(kw_only=True)
class ServerProcess:
    """One command line, run again and again."""

    command: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """Set on top of our own environment."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives (it may be frozen)."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process, which must have been started."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the process. It dies with this one, however that ends."""
        assert not self.running
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                env={**os.environ, **self.env},
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
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._send(signal.SIGTERM)
        return self._reap()

    def revive(self) -> None:
        """Make it run, whatever was done to it."""
        if self.running:
            self.thaw()
        else:
            self.start()

    def log_tail(self) -> str:
        """The end of what the process wrote."""
        return self.log.read_text(errors="replace")[-4000:]

    def _send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _reap(self) -> int:
        assert self.process is not None
        return self.process.wait(_STOP_DEADLINE_S)
