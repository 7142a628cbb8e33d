"""What an operator reads in the log of a service whose broker goes away."""

from __future__ import annotations

import sys
from pathlib import Path

from services.shared.messages import handoff_queue
from tests.harness.rabbitmq import VirtualHost
from tests.harness.server_process import ServerProcess
from tests.harness.waiting import eventually

_SERVICE = """
import asyncio, sys
from services.shared import lifecycle, telemetry
from services.shared.broker import Broker, QueueConsumer
from services.shared.settings import Settings

async def handle(envelope):
    pass

async def main(stop):
    async with Broker.connect(sys.argv[1], app_id="storage", instance="node-1") as broker:
        await QueueConsumer(broker, sys.argv[2], handle=handle).run(stop)

telemetry.set_up(Settings())
sys.exit(lifecycle.run(main))
"""
_QUEUE = handoff_queue("node-1")


async def test_a_broker_that_goes_away_is_told_in_sentences_of_our_own(
    vhost: VirtualHost, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    service = ServerProcess(command=[sys.executable, "-c", _SERVICE, vhost.url, _QUEUE], log=log)
    service.start()
    await eventually(lambda: vhost.consumer_tags(_QUEUE), deadline_s=60, what="it consumes")

    vhost.rabbit.kill()
    await eventually(lambda: "Connecting to RabbitMQ" in log.read_text(), what="it tries again")
    await vhost.rabbit.start()
    await eventually(lambda: "again\n" in log.read_text(), deadline_s=120, what="it is back")
    assert service.stop() == 0

    lines = log.read_text().splitlines()
    assert all(" services." in line for line in lines), lines
    warnings = [line.partition(": ")[2] for line in lines if " WARNING " in line]
    assert all(line.startswith(f"nothing from {_QUEUE} for now, trying again: ") for line in warnings)
    assert len(warnings) == len(set(warnings)), "said with every try"
