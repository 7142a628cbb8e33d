"""Changes as operators spell them, and as they are recorded."""

from __future__ import annotations

import pytest

from services.admin.membership.driver import next_request
from services.admin.membership.records import Recorded
from services.admin.wire import request_message, spec_of
from services.shared.errors import InvalidRequestError
from services.shared.etcd import KeyValue
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState
from services.shared.ring.state import ChangeKind
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

EVERY = (
    (
        pb.ChangeSpec(add=pb.AddNode(address="h:1")),
        ChangeSpec(kind=ChangeKind.ADD, address="h:1", weight=1.0),
    ),
    (
        pb.ChangeSpec(drain=pb.DrainNode(node="a", accept_fewer_copies=True)),
        ChangeSpec(kind=ChangeKind.DRAIN, node="a", accept_fewer_copies=True),
    ),
    (
        pb.ChangeSpec(remove_dead=pb.RemoveDeadNode(node="a", accept_data_loss=True)),
        ChangeSpec(kind=ChangeKind.DEAD, node="a", accept_data_loss=True),
    ),
    (
        pb.ChangeSpec(replace=pb.ReplaceNode(node="a", address="h:1")),
        ChangeSpec(kind=ChangeKind.REPLACE, node="a", address="h:1"),
    ),
    (
        pb.ChangeSpec(set_weight=pb.SetWeight(node="a", weight=2)),
        ChangeSpec(kind=ChangeKind.REBALANCE, node="a", weight=2),
    ),
    (pb.ChangeSpec(rebalance=pb.Rebalance()), ChangeSpec(kind=ChangeKind.REBALANCE)),
    (pb.ChangeSpec(abort=pb.Abort()), ChangeSpec(kind=ChangeKind.ABORT)),
)


def request(name: str, kind: ChangeKind, *, revision: int = 1) -> Recorded[ChangeRequest]:
    record = ChangeRequest(id=name, spec=ChangeSpec(kind=kind), requested_at_ms=1)
    kv = KeyValue(key=name, value=b"", create_revision=revision, mod_revision=revision, version=1)
    return Recorded(record, kv)


@pytest.mark.parametrize(("message", "spec"), EVERY)
def test_every_change_can_be_asked_for(message, spec):
    assert spec_of(message) == spec


def test_there_is_nothing_that_can_be_asked_for_and_is_not_tried_above():
    kinds = {message.WhichOneof("kind") for message, _ in EVERY}
    assert kinds == {field.name for field in pb.ChangeSpec.DESCRIPTOR.fields}


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_number_above_zero(weight):
    with pytest.raises(InvalidRequestError, match="above 0"):
        spec_of(pb.ChangeSpec(set_weight=pb.SetWeight(node="a", weight=weight)))


def test_every_state_and_kind_of_a_request_is_told():
    told = set()
    for state in RequestState:
        for kind in ChangeKind:
            record = request("r", kind).record.ended(2, state, reason="Why.")
            message = request_message(record)
            told.add((message.state, message.kind))
            assert (message.reason, message.ended_at_ms) == ("Why.", 2)
    assert len(told) == len(RequestState) * len(ChangeKind)


def test_while_nothing_is_in_progress_the_first_of_the_queue_has_its_turn():
    queue = [request("one", ChangeKind.ADD), request("two", ChangeKind.DRAIN)]
    assert next_request(queue, migrating=False) is queue[0]
    assert next_request([], migrating=False) is None


def test_while_a_change_is_in_progress_only_aborts_and_deaths_have_theirs():
    queue = [request("one", ChangeKind.ADD), request("two", ChangeKind.DEAD), request("x", ChangeKind.ABORT)]
    assert next_request(queue, migrating=True) is queue[1]
    assert next_request(queue[:1], migrating=True) is None


def test_an_abort_goes_first_also_when_what_it_was_to_abort_has_just_ended():
    queue = [request("one", ChangeKind.ADD), request("two", ChangeKind.ABORT)]
    assert next_request(queue, migrating=False) is queue[1]
