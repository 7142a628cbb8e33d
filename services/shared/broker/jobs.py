"""A transcoder worker's consumer: one job after the other, the urgent queue first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from services.shared.broker.broker import Broker
from services.shared.broker.control import IDLE, PATTERNS, Control, OnControl, ignore
from services.shared.broker.declaration import declare
from services.shared.broker.delivery import Delivery
from services.shared.broker.envelope import Envelope
from services.shared.broker.intake import PATIENCE_S, Intake
from services.shared.broker.labels import describe as plain_description
from services.shared.broker.turn import Hands, JobHandler, Turn
from services.shared.broker.waits import first_of
from services.shared.broker.work import GiveUp, PutAside, Work, no_mourning, no_note
from services.shared.errors import UnavailableError
from services.shared.lifecycle import background
from services.shared.messages import JOB_QUEUES
from services.shared.refrain import Refrain

log = logging.getLogger(__name__)

_RECONNECT_S: Final = 1.0

KEEP_AFTER_S: Final = 20 * 60.0
"""So long the broker waits for a job; after 30 minutes it would give it to others (`consumer_timeout`).

By then the job is claimed in etcd, under its worker's lease: should the worker die, the sweeper asks again.
"""


class JobConsumer:
    """Takes jobs and has them done until it is stopped.

    How `handle` ends decides what becomes of the job: see `services.shared.broker.work.Work`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        handle: JobHandler,
        on_control: OnControl = ignore,
        on_dead: GiveUp = no_mourning,
        on_put_aside: PutAside = no_note,
        describe: Callable[[Envelope], str] = plain_description,
        queues: Sequence[str] = JOB_QUEUES,
        max_attempts: int = 5,
        patience_s: float = PATIENCE_S,
        keep_after_s: float = KEEP_AFTER_S,
    ) -> None:
        """Set up a consumer; nothing happens before `run`.

        Args:
            broker: where jobs come from.
            handle: does a job. Cancelled when the job is no longer ours. The next one begins when it
                returns, or ends the job's turn.
            on_control: told of `video.cancelled` and `video.deleted`, while `handle` runs too.
            on_dead: told when a job is given up, with the reason.
            on_put_aside: told when a job is put aside, to be tried later.
            describe: a job in a few words, for the broker's UI.
            queues: where from, the preferred one first.
            max_attempts: a job that failed so often is given up.
            patience_s: how long an idle worker trusts its consumers before it asks the queues again.
            keep_after_s: a job that takes longer is settled before its end, and then is `handle`'s to see to.
        """
        self._broker = broker
        self._handle = handle
        self._on_dead = on_dead
        self._on_put_aside = on_put_aside
        self._max_attempts = max_attempts
        subscription = broker.subscription(queue=f"worker.{broker.instance}", patterns=PATTERNS, purpose=IDLE)
        self._control = Control(subscription, on_control)
        self._describe = describe
        self._queues = tuple(queues)
        self._patience_s = patience_s
        self._keep_after_s = keep_after_s
        self._silence = Refrain(log)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and what is in hand is finished.

        Cancel it when that takes too long: jobs are cancelled and handed back to their queues.

        Raises:
            ConflictError: a queue exists with other properties.
        """
        async with background(self._control.listen(), self._control.pass_on()):
            while not stop.is_set():
                try:
                    await self._consume(stop)
                except UnavailableError as error:
                    self._silence.say(f"no jobs for now, trying again: {error}")
                    await first_of(stop.wait(), timeout_s=_RECONNECT_S)

    async def _consume(self, stop: asyncio.Event) -> None:
        """Take and do jobs on one channel, until none comes or `stop` is set.

        Raises:
            UnavailableError: the channel is lost.
        """
        async with self._broker.consuming.channel(prefetch=1) as channel:
            await declare(channel, self._broker.topology, self._queues)
            intake = await Intake.open(
                channel,
                self._queues,
                publisher=self._broker.publisher,
                instance=self._broker.instance,
                patience_s=self._patience_s,
            )
            self._silence.end("taking jobs again")
            async with Hands.busy(self._perform) as hands:
                while not stop.is_set():
                    delivery = await intake.take(stop)
                    if delivery is None:
                        return
                    await hands.take_on(delivery)

    async def _perform(self, delivery: Delivery, turn: Turn) -> None:
        work = Work(
            handle=lambda envelope: self._handle(envelope, turn),
            on_dead=self._on_dead,
            publisher=self._broker.publisher,
            max_attempts=self._max_attempts,
            on_put_aside=self._on_put_aside,
            keep_after_s=self._keep_after_s,
        )
        with self._control.showing(self._describe(delivery.envelope)):
            await work.perform(delivery)
