"""Whole revisions out of fragments."""

from services.shared.etcd.records import EventKind, KeyValue, WatchEvent
from services.shared.etcd.revisions import Revisions


def change(revision: int, key: str = "k") -> WatchEvent:
    kv = KeyValue(key=key, value=b"", create_revision=1, mod_revision=revision, version=1)
    return WatchEvent(kind=EventKind.PUT, kv=kv)


def test_a_whole_response_is_handed_on_as_it_is():
    events = [change(5), change(6, "a"), change(6, "b")]
    assert Revisions().complete(events, more=False) == events


def test_the_last_revision_of_a_fragment_waits_for_the_rest_of_it():
    revisions = Revisions()
    assert revisions.complete([change(5), change(6, "a")], more=True) == [change(5)]
    assert revisions.complete([change(6, "b"), change(7)], more=False) == [
        change(6, "a"),
        change(6, "b"),
        change(7),
    ]


def test_a_revision_over_many_fragments_comes_in_one_piece():
    revisions = Revisions()
    for key in "abc":
        assert revisions.complete([change(6, key)], more=True) == []
    assert [event.kv.key for event in revisions.complete([change(6, "d")], more=False)] == list("abcd")


def test_nothing_is_held_back_twice():
    revisions = Revisions()
    revisions.complete([change(5)], more=True)
    assert revisions.complete([], more=False) == [change(5)]
    assert revisions.complete([], more=False) == []


def test_an_empty_fragment_changes_nothing():
    assert Revisions().complete([], more=True) == []
