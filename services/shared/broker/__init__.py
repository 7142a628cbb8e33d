"""RabbitMQ: carries work and news. Nothing else in the project talks to it, and it is never the truth.

A message may arrive twice, late, out of order, or never. Publishing returns when the broker has the message
on disk; consuming settles by hand, after the result is durable. What a person sees in the management UI is
part of the interface: names of connections, consumers, queues and headers answer what runs, for which
video, who runs it, how often it failed and why it died.
"""

from services.shared.broker.broker import Broker
from services.shared.broker.consumer import QueueConsumer
from services.shared.broker.envelope import Envelope
from services.shared.broker.jobs import JobConsumer
from services.shared.broker.outcome import Dead
from services.shared.broker.publisher import UnroutableError
from services.shared.broker.topology import Topology, dead_queue
from services.shared.broker.turn import Turn

__all__ = [
    "Broker",
    "Dead",
    "Envelope",
    "JobConsumer",
    "QueueConsumer",
    "Topology",
    "Turn",
    "UnroutableError",
    "dead_queue",
]
