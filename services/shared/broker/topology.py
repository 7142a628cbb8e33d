"""Every exchange and queue, as data. All services declare from here, so all declare the same.

::

    tritontube.jobs (topic)    --<queue>-->            <queue>
    tritontube.retry (direct)  --retry.<queue>.10s-->  retry.<queue>.10s  --after 10 s, jobs--> <queue>
    tritontube.dead (topic)    --<queue>-->            dead.<queue>
    tritontube.events (topic)  --video.*-->            one queue per listener

`<queue>` is a work queue: `transcode.first`, `.watched`, `.bulk`, `.late` or `storage.handoff.<node>`.
Priority is four queues rather than `x-max-priority`, which quorum queues refuse before RabbitMQ 4. A queue's
arguments can never be changed once it exists (the broker answers 406), so they are few; tunables belong into
policies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.shared.messages import JOB_QUEUES

JOBS: Final = "tritontube.jobs"
EVENTS: Final = "tritontube.events"
RETRY: Final = "tritontube.retry"
DEAD: Final = "tritontube.dead"

EXCHANGES: Final[Mapping[str, str]] = {JOBS: "topic", EVENTS: "topic", RETRY: "direct", DEAD: "topic"}
"""Name -> type."""

DELIVERY_LIMIT: Final = 20
"""So often a job may be lost by its worker (a crash, a cut connection) before it counts as deadly.

Set explicitly because the default is none on 3.10 and 20 from 4.0 on.
"""

_NO_LIMIT: Final = 1_000_000
"""For queues that are only looked at: each look counts as a delivery. (-1 means none, but not on 3.10.)"""

MAX_DEAD: Final = 10_000
"""Dead letters kept per work queue; beyond, the oldest go."""

_HANDOFF: Final = re.compile(r"storage\.handoff\.[A-Za-z0-9_-]{1,100}")
_DEAD_PREFIX: Final = "dead."

Argument = str | int


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A durable quorum queue and the one binding it has."""

    name: str
    exchange: str
    routing_key: str
    arguments: Mapping[str, Argument]


@dataclass(frozen=True, kw_only=True)
class Topology:
    """The queues of an installation. Delays are a parameter for tests: names and times stay true."""

    retry_delays_s: tuple[float, ...] = (10, 60, 600)
    """After the first, second, … failure; the last one repeats."""

    def family(self, work_queue: str) -> tuple[Queue, ...]:
        """A work queue with its retry queues and its dead letters."""
        delays = tuple(self._retry(work_queue, delay_s) for delay_s in self.retry_delays_s)
        return (_work(work_queue), *delays, _dead(work_queue))

    def retry_queue(self, work_queue: str, *, failures: int) -> str:
        """Where a job waits after its `failures`-th failure (from 1)."""
        index = min(failures, len(self.retry_delays_s)) - 1
        return _retry_name(work_queue, self.retry_delays_s[index])

    def retry_queues(self, work_queue: str) -> tuple[str, ...]:
        """All queues in which jobs wait to be tried again."""
        return tuple(_retry_name(work_queue, delay_s) for delay_s in self.retry_delays_s)

    def _retry(self, work_queue: str, delay_s: float) -> Queue:
        name = _retry_name(work_queue, delay_s)
        arguments = _quorum(_NO_LIMIT) | {
            "x-message-ttl": round(delay_s * 1000),
            "x-dead-letter-exchange": JOBS,
            "x-dead-letter-routing-key": work_queue,
            # The job stays here until the work queue has it, however long that is away. This needs
            # reject-publish, which without a maximum length never rejects.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        return Queue(name=name, exchange=RETRY, routing_key=name, arguments=arguments)


def is_work_queue(name: str) -> bool:
    """Whether jobs may be sent there; anything else is a mistake, not a new queue."""
    return name in JOB_QUEUES or _HANDOFF.fullmatch(name) is not None


def dead_queue(work_queue: str) -> str:
    """Where its dead letters are."""
    return f"{_DEAD_PREFIX}{work_queue}"


def delay_label(delay_s: float) -> str:
    """A delay as queue names show it: `250ms`, `10s`, `1m`."""
    millis = round(delay_s * 1000)
    for unit, size in (("m", 60_000), ("s", 1000)):
        if millis % size == 0:
            return f"{millis // size}{unit}"
    return f"{millis}ms"


def _work(name: str) -> Queue:
    # No maximum length: accepted videos are never refused here; the broker's disk alarm is the bound.
    arguments = _quorum(DELIVERY_LIMIT) | {"x-dead-letter-exchange": DEAD, "x-dead-letter-routing-key": name}
    return Queue(name=name, exchange=JOBS, routing_key=name, arguments=arguments)


def _dead(work_queue: str) -> Queue:
    arguments = _quorum(_NO_LIMIT) | {"x-max-length": MAX_DEAD, "x-overflow": "drop-head"}
    return Queue(name=dead_queue(work_queue), exchange=DEAD, routing_key=work_queue, arguments=arguments)


def _retry_name(work_queue: str, delay_s: float) -> str:
    return f"retry.{work_queue}.{delay_label(delay_s)}"


def _quorum(delivery_limit: int) -> dict[str, Argument]:
    return {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit}
