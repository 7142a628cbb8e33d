"""A connection that cannot be made."""

from __future__ import annotations

import subprocess
import sys

_ATTEMPTS = """
import asyncio, gc, threading
from services.shared import telemetry
from services.shared.broker.link import Link
from services.shared.errors import UnavailableError
from services.shared.settings import Settings

async def main():
    link = Link("amqp://guest:guest@127.0.0.1:1/", name="test")
    for _ in range(2):
        try:
            await link.new_channel()
        except UnavailableError as error:
            print(error)
        collector = threading.Thread(target=gc.collect)
        collector.start()
        collector.join()

telemetry.set_up(Settings())
gc.disable()
asyncio.run(main())
"""


def test_failed_attempts_are_told_by_us_alone_and_leave_nothing_behind():
    """The garbage is collected in a thread that has no loop, where nothing could be closed any more."""
    said = subprocess.run(
        [sys.executable, "-c", _ATTEMPTS], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stderr == ""
    assert [line.partition(": ")[0] for line in said.stdout.splitlines()] == ["Connecting to RabbitMQ"] * 2
