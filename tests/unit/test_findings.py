import pytest

from services.admin.files.findings import Finding, Graces, Kind, judge
from services.admin.files.sightings import Sighting
from services.shared.content.holders import Copy
from services.shared.ring.builder import build
from services.shared.ring.placement import partition_of
from services.shared.ring.state import Phase
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView
from tests.harness.ring import ring_state

KEY = "0123456789abcdef/file"
NAMES = ("a", "b", "c", "d")
NOW_MS = 1_000_000_000
GRACES = Graces(settling_s=10, surplus_s=600, orphan_s=3600)


def ring(*, migrating: bool = False) -> RingView:
    state, table = ring_state(NAMES)
    tables = {table.id: table}
    if migrating:
        moved = RingTable(tuple(tuple(reversed(NAMES[:2])) for _ in table.rows))
        tables[moved.id] = moved
        state = state.model_copy(update={"phase": Phase.MIGRATING, "next": moved.id})
    return RingView(state=state, tables=tables)


VIEW = ring()
OWNERS = VIEW.owners(partition_of(KEY))
STRANGER = next(name for name in NAMES if name not in OWNERS)


def seen(*nodes: str, age_s: float = 100_000, odd: str = "") -> Sighting:
    stored_at_ms = NOW_MS - int(age_s * 1000)
    copies = {node: Copy(KEY, 3, b"odd" if node == odd else b"sha", stored_at_ms) for node in nodes}
    return Sighting(key=KEY, copies=copies)


def judged(sighting: Sighting, *, view: RingView = VIEW, unknown: frozenset[str] = frozenset()):
    return [*judge(view, sighting, unknown=unknown, now_ms=NOW_MS, graces=GRACES)]


def test_the_table_spreads_over_all_nodes():
    assert build(VIEW.state.placeable(), 2).owners(partition_of(KEY)) == OWNERS


def test_a_file_on_exactly_its_owners_is_fine():
    assert judged(seen(*OWNERS)) == []


def test_an_owner_without_a_copy_is_named():
    assert judged(seen(OWNERS[0])) == [Finding(kind=Kind.UNDER_REPLICATED, key=KEY, nodes=(OWNERS[1],))]


def test_an_owner_that_nobody_can_tell_of_is_not_said_to_lack_anything():
    assert judged(seen(OWNERS[0]), unknown=frozenset({OWNERS[1]})) == []


@pytest.mark.parametrize(("age_s", "found"), [(9, 0), (11, 1)])
def test_a_file_that_was_just_written_may_have_fewer_copies(age_s, found):
    assert len(judged(seen(OWNERS[0], age_s=age_s))) == found


@pytest.mark.parametrize(("age_s", "found"), [(599, 0), (601, 1)])
def test_a_copy_elsewhere_is_surplus_after_its_grace(age_s, found):
    findings = judged(seen(*OWNERS, STRANGER, age_s=age_s))
    assert findings == [Finding(kind=Kind.SURPLUS, key=KEY, nodes=(STRANGER,))][:found]


def test_while_files_move_no_copy_is_surplus_and_next_owners_need_not_have_theirs_yet():
    moving = ring(migrating=True)
    assert judged(seen(*OWNERS), view=moving) == []
    assert judged(seen(*NAMES), view=moving) == []
    assert [found.kind for found in judged(seen(OWNERS[0]), view=moving)] == [Kind.UNDER_REPLICATED]


def test_different_contents_under_one_key_are_told_of_all_who_hold_it():
    (found,) = judged(seen(*OWNERS, odd=OWNERS[0]))
    assert (found.kind, found.nodes) == (Kind.CORRUPT, tuple(sorted(OWNERS)))
    assert "never" in found.problem
