"""A storage node whose machine loses power at SIGUSR1: `python -m tests.harness.powercut_node`, and options.

What was not synced at that moment is lost or kept by chance, one change at a time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from services.shared import service
from services.shared.settings import StorageSettings
from services.storage.__main__ import serve
from tests.harness.powercut import Disaster
from tests.harness.storage import StorageNode

_MODULE: Final = "tests.harness.powercut_node"
_EXIT: Final = 137


class Blackout(Disaster):
    """A disaster that strikes a process of many threads: each change is made, and noted, by itself."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._alone = threading.RLock()

    def strike(self) -> NoReturn:
        """Nothing changes on the disk from now on but what is lost."""
        with self._alone:
            self.cut_power(lambda: random.random() < 0.5)
            os._exit(_EXIT)

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        wrapped = super()._wrapped(name, original)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._alone:
                return wrapped(*args, **kwargs)

        return call


def install(node: StorageNode) -> None:
    """Let a node run on such a machine from its next start on."""
    _run_as(node, _MODULE)


def uninstall(node: StorageNode) -> None:
    """Let a node run as usual from its next start on."""
    _run_as(node, "services.storage")


def _run_as(node: StorageNode, module: str) -> None:
    arguments = list(node.server.command)
    arguments[arguments.index("-m") + 1] = module
    node.server.command = arguments


def strike(node: StorageNode) -> None:
    """Cut a node's power, and do not wait for it to go dark."""
    assert node.server.process is not None
    node.server.process.send_signal(signal.SIGUSR1)


def _main() -> int:
    blackout = Blackout(Path(sys.argv[sys.argv.index("--data") + 1]))
    # Blocked here, and so in every thread that is started later but for the one that waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    threading.Thread(target=_wait_for_it, args=[blackout], daemon=True).start()
    with blackout.active():
        return service.main(StorageSettings, serve, name=_MODULE)


def _wait_for_it(blackout: Blackout) -> None:
    signal.sigwait({signal.SIGUSR1})
    blackout.strike()


if __name__ == "__main__":
    sys.exit(_main())
