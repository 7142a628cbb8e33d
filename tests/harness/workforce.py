"""Workers that come and go beside those of a stack, which start theirs again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.server_process import ServerProcess
from tests.harness.stack import Stack


@contextmanager
def extra_worker(stack: Stack, name: str, folder: Path, *options: str) -> Iterator[ServerProcess]:
    """One more worker of a stack, called `name`; killed at the end if it still runs."""
    worker = ServerProcess(
        command=[
            *(sys.executable, "-m", "services.transcoder", "--instance", name),
            *("--work-dir", str(folder / name), "--work-reserve-bytes", "0"),
            *("--etcd-endpoints", ",".join(member.client for member in stack.endpoints.etcd)),
            *("--amqp-url", stack.endpoints.rabbitmq.amqp, *options),
        ],
        log=folder / f"{name}.log",
    )
    worker.start()
    try:
        yield worker
    finally:
        if worker.running:
            worker.kill()
