"""A real ffmpeg that stops for good where it is told to: when it has done its work, or before it begins.

It is a script that runs another program, which no ffmpeg may do in the sandbox: `--sandbox off`. Only pieces
are affected, and of those not the first: other jobs come between its parts.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.harness.children import children, state

_SCRIPT = """#!/bin/sh
case "$*" in
*start_pts=[1-9]*libx264*) ;;
*) exec {real} "$@" ;;
esac
for order in {orders}/stuck-*; do
    case "$*" in *start_pts="${{order##*-}}"[!0-9]*) kill -STOP $$ ;; esac
done
{real} "$@"
status=$?
for ticket in {orders}/halt-*; do
    if rm "$ticket" 2>/dev/null; then
        kill -STOP $$
        break
    fi
done
exit $status
"""


@dataclass(frozen=True, kw_only=True)
class MoodyFfmpeg:
    """Where it is, and its orders."""

    folder: Path
    """To come first in the worker's PATH."""

    @classmethod
    def made(cls, folder: Path) -> MoodyFfmpeg:
        """Write the script; it does as any ffmpeg until it is told otherwise."""
        made, program = cls(folder=folder), folder / "ffmpeg"
        made._orders.mkdir(parents=True)
        program.write_text(_SCRIPT.format(real=shutil.which("ffmpeg"), orders=made._orders))
        program.chmod(0o755)
        return made

    def halt(self, count: int) -> None:
        """Have the next `count` encoders stop (SIGSTOP) when they have made all their pictures."""
        for number in range(count):
            (self._orders / f"halt-{number}").touch()

    def get_stuck(self, *, at_frame: int) -> None:
        """Have the encoder of the piece that begins there stop before it has made anything, each time."""
        (self._orders / f"stuck-{at_frame}").touch()

    def behave(self) -> None:
        """Forget all orders."""
        for order in self._orders.iterdir():
            order.unlink()

    @staticmethod
    def halted(worker: int) -> list[int]:
        """A worker's encoders that have stopped."""
        return [pid for pid in children("ffmpeg", worker) if state(pid) == "T"]

    @property
    def _orders(self) -> Path:
        return self.folder / "orders"
