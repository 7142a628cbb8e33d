"""One job, from its delivery to its settlement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from services.shared.broker.delivery import Delivery
from services.shared.broker.envelope import Envelope
from services.shared.broker.outcome import Dead, Deferred, Outcome, Retry, decide
from services.shared.broker.publisher import Publisher
from services.shared.broker.waits import end
from services.shared.errors import RequestError, TransientJobError, TritonTubeError, UnavailableError

log = logging.getLogger(__name__)

Handler = Callable[[Envelope], Awaitable[None]]
"""Does the job. Returns when its result is durable; every other end is told by what it raises."""

GiveUp = Callable[[Envelope, Dead], Awaitable[None]]
"""Told why when a job is given up, before its message becomes a dead letter."""


PutAside = Callable[[Envelope], Awaitable[None]]
"""Told when a job is put aside, before its message is in a retry queue."""

_MOST_PATIENCE: Final = 2
"""Where nobody could try, the second delay repeats: a disk may have room, or a worker come, at any time."""


async def no_note(_envelope: Envelope) -> None:
    """For jobs that nobody looks for while they wait."""


async def no_mourning(_envelope: Envelope, _why: Dead) -> None:
    """For jobs whose end nobody has to hear of."""


class LeaseLostError(TritonTubeError):
    """The message went back to the broker while we worked on it: somebody else may have it by now."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """How jobs are done and settled.

    ==================================  ==============================================================
    The handler                         The message
    ==================================  ==============================================================
    returns, or raises FencedError      is acknowledged
    raises PermanentJobError            becomes a dead letter (so it does after UnsupportedMediaError)
    raises OutOfSpaceError              waits in a retry queue, as often as it takes (so it does after
                                        ElsewhereError)
    raises anything else                waits in a retry queue; after `max_attempts`, a dead letter
    is cancelled, as we are             goes back to its queue at once
    is cancelled, as the lease is lost  is the broker's again already
    takes longer than `keep_after_s`    is acknowledged before the end
    ==================================  ==============================================================

    The broker gives a message to somebody else that stays unsettled for long (`consumer_timeout`). What takes
    longer is settled early, where a handler holds the right to its job elsewhere, and somebody sees to it
    should that be lost. Its retry, its dead letter or what is handed back is a message like any other.

    A retry or dead letter is confirmed by the broker before the original is acknowledged: the worst that
    can happen is a job done twice. A retry queue that takes nothing (RabbitMQ 3.10 may lose all of a node
    until that is started again) costs the delay, and no more: the job goes behind all others of its queue.
    Handed back it would be the next one again, for ever, and no other job would ever be done.
    """

    handle: Handler
    on_dead: GiveUp
    publisher: Publisher
    max_attempts: int
    on_put_aside: PutAside = no_note
    keep_after_s: float | None = None
    """None: a message is settled at the end only."""

    async def perform(self, delivery: Delivery) -> None:
        """Do the job and settle its message. Raises only on cancellation."""
        envelope = delivery.envelope
        try:
            error = await self._attempt(delivery, envelope)
            outcome = decide(error, attempt=envelope.attempt, max_attempts=self.max_attempts)
            await self._settle(delivery, envelope, outcome)
        except LeaseLostError as lost:
            log.warning("%s: %s", envelope.message_id, lost)
        except RequestError as unfit:
            log.warning("%s: it is no message of ours: %s", envelope.message_id, unfit)
            await delivery.refuse()
        except TritonTubeError as failed:
            log.warning("%s: its outcome could not be published: %s", envelope.message_id, failed)
            await delivery.hand_back()
        except asyncio.CancelledError:
            await delivery.hand_back()
            raise

    async def _attempt(self, delivery: Delivery, envelope: Envelope) -> BaseException | None:
        """Run the handler for as long as the message is ours; what it raised, or None."""
        running = asyncio.ensure_future(self._handled(envelope))
        lost = asyncio.ensure_future(delivery.lost())
        ends: set[asyncio.Future[Any]] = {running, lost}
        try:
            await asyncio.wait(ends, timeout=self.keep_after_s, return_when=asyncio.FIRST_COMPLETED)
            if not (running.done() or lost.done()) and await delivery.keep():
                log.info("%s takes long: the broker need not wait for it", envelope.message_id)
                ends = {running}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finished = running.done()
        finally:
            lost.cancel()
            await end(running)
        if not finished:
            raise LeaseLostError("The connection to the broker was lost: another worker may do it now.")
        if running.cancelled():
            return TransientJobError("The job was cancelled from within.")
        return running.exception()

    async def _handled(self, envelope: Envelope) -> None:
        await self.handle(envelope)

    async def _settle(self, delivery: Delivery, envelope: Envelope, outcome: Outcome) -> None:
        if isinstance(outcome, Retry | Deferred):
            await self._put_aside(envelope, outcome)
        elif isinstance(outcome, Dead):
            await self._give_up(envelope, outcome)
        await delivery.ack()

    async def _put_aside(self, envelope: Envelope, outcome: Retry | Deferred) -> None:
        log.warning("%s, attempt %d failed: %s", envelope.message_id, envelope.attempt, outcome.reason)
        await self._note(envelope)
        again = replace(envelope, error=outcome.reason, detail=outcome.detail)
        if isinstance(outcome, Deferred):
            again = replace(again, deferrals=envelope.deferrals + 1)
            await self._later(again, failures=min(again.deferrals, _MOST_PATIENCE))
        else:
            again = replace(again, attempt=envelope.attempt + 1, deferrals=0)
            await self._later(again, failures=envelope.attempt)

    async def _note(self, envelope: Envelope) -> None:
        """Tell that a job is put aside. Where that fails, somebody may ask for it once more: no harm."""
        try:
            await self.on_put_aside(envelope)
        except TritonTubeError as error:
            log.warning("%s: it could not be noted that it waits: %s", envelope.message_id, error)
        except Exception:
            log.exception("%s: it could not be noted that it waits", envelope.message_id)

    async def _later(self, envelope: Envelope, *, failures: int) -> None:
        """Have a job come back after a delay; where none is to be had, after all others of its queue."""
        try:
            await self.publisher.retry(envelope.queue, envelope, failures=failures)
        except UnavailableError as error:
            log.warning("%s comes back without a delay: %s", envelope.message_id, error)
            await self.publisher.job(envelope.queue, envelope)

    async def _give_up(self, envelope: Envelope, outcome: Dead) -> None:
        log.error("%s given up: %s", envelope.message_id, outcome.reason)
        try:
            await self.on_dead(envelope, outcome)
        except Exception:
            # It must not die unheard of. The attempt does not count: the next one only has to tell.
            log.exception("%s: could not tell that it was given up", envelope.message_id)
            await self._later(envelope, failures=1)
            return
        buried = replace(envelope, error=outcome.reason, detail=outcome.detail)
        await self.publisher.dead(envelope.queue, buried)
