"""The admin command against a real admin on a real etcd. Storage nodes are spoken for by the tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from services.admin.admin import Admin
from services.admin.server import admin_server
from services.shared.etcd import EtcdClient
from services.shared.ring.progress import Progress
from services.shared.ring.state import STATE_KEY, ChangeKind, NodeState, RingState, progress_key
from services.shared.rpc_server import Service, serving
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc
from tests.harness.admin_cli import cli, on_terminal, running_cli
from tests.harness.admins import (
    report_sync,
    requests_on_record,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.ports import free_port
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
NODES = ("a", "b", "c", "d")


@pytest_asyncio.fixture
async def admin(ring_etcd: EtcdCluster) -> AsyncIterator[Admin]:
    """An admin at work; no ring yet."""
    async with working_admin(ring_etcd) as working:
        yield working


@pytest_asyncio.fixture
async def bare_server(admin: Admin) -> AsyncIterator[str]:
    async with admin_server("127.0.0.1:0", admin) as running:
        yield running.address


@pytest_asyncio.fixture
async def server(bare_server: str, ring_client: EtcdClient) -> AsyncIterator[str]:
    """With a ring of four nodes, two copies, at epoch 1, all of them live."""
    await publish(ring_client, *ring_state(NODES))
    async with live_nodes(ring_client, *NODES):
        yield bare_server


async def state_of(client: EtcdClient) -> RingState:
    kv = await client.get(STATE_KEY)
    assert kv
    return RingState.model_validate_json(kv.value)


async def hand_over(client: EtcdClient, admin: Admin) -> None:
    """Do in the nodes' place what the change in progress asks of them."""
    state = await state_when_migrating(admin.topology, epoch=2)
    await report_sync(client, state.epoch, NODES)


# ---- looking ----


@pytest.mark.parametrize("way", ["argument", "option", "environment"])
async def test_list_prints_one_address_per_line(ring_client, bare_server, way):
    await publish(ring_client, *ring_state(["b", "a"]))
    arguments = {"argument": [bare_server], "option": ["--server", bare_server], "environment": []}[way]
    outcome = await cli("list", *arguments, admin=bare_server if way == "environment" else None)
    assert outcome == (0, "a:9090\nb:9090\n", "")


async def test_the_argument_wins_over_the_environment(ring_client, bare_server):
    await publish(ring_client, *ring_state(["a"]))
    outcome = await cli("list", bare_server, "--json", admin="127.0.0.1:1")
    assert json.loads(outcome.out) == {"nodes": ["a:9090"]}


async def test_status_prints_the_ring_and_its_nodes(ring_client, bare_server):
    await publish(ring_client, *ring_state(["a", "b"]))
    outcome = await cli("status", bare_server)
    assert outcome.code == 0
    assert outcome.out.startswith("Ring of 2 nodes at epoch 1, STABLE, 2 copies of each file.\nNODE\tADDRESS")
    record = json.loads((await cli("status", bare_server, "--json")).out)
    assert [node["id"] for node in record["nodes"]] == ["a", "b"]


async def test_the_ring_is_drawn_as_bars(server):
    outcome = await cli("ring", server)
    bars = [line for line in outcome.out.splitlines() if "active" in line]
    assert [bar[0] for bar in bars] == list(NODES)
    assert all(bar.endswith("25.0%") and "█" * 40 in bar for bar in bars)


async def test_a_change_in_progress_and_those_behind_it_are_shown(ring_client, admin, server):
    await cli("drain", server, "d", "--request-id", "first")
    state = await state_when_migrating(admin.topology, epoch=2)
    await cli("drain", server, "c", "--request-id", "second")
    progress = Progress(epoch=state.epoch, partitions=4, partitions_done=1, files_left=7, at_ms=1)
    await ring_client.put(progress_key("a"), progress.encode())

    async def told() -> str | None:
        out = (await cli("status", server)).out
        return out if "7 copies still to be made" in out else None

    status = await eventually(told, deadline_s=DEADLINE_S, what="the report of a")
    assert "In progress: drain d." in status
    assert "Waiting for its turn: drain c (second)." in status
    changes = [line.split("\t") for line in (await cli("changes", server)).out.splitlines()]
    assert [row[:4] for row in changes[1:]] == [
        ["second", "drain", "c", "queued"],
        ["first", "drain", "d", "running"],
    ]
    bars = (await cli("ring", server)).out
    assert "25.0% -> 33.3%" in bars
    assert "is to go" in bars


# ---- changing ----


async def test_an_order_is_recorded_and_says_how_to_follow_it(ring_client, server):
    outcome = await cli("drain", server, "d", "--request-id", "mine")
    assert outcome.code == 0
    assert outcome.out.startswith("Request mine (drain d) is ")
    assert outcome.out.endswith(f"Follow it with: tritontube-admin watch {server} mine\n")
    assert (await requests_on_record(ring_client)).keys() == {"mine"}


async def test_an_order_given_twice_under_one_id_is_carried_out_once(ring_client, server):
    for _ in range(2):
        assert (await cli("drain", server, "d", "--request-id", "mine")).code == 0
    other = await cli("drain", server, "c", "--request-id", "mine")
    assert other.code == 1
    assert "stands for another change" in other.err
    assert (await requests_on_record(ring_client)).keys() == {"mine"}


@pytest.mark.parametrize("words", [("d",), ("d:9090",)])
async def test_the_original_order_of_words_removes_a_node(ring_client, admin, server, words):
    assert (await cli("remove", server, *words)).code == 0
    await hand_over(ring_client, admin)
    state = await state_when_stable(admin.topology, epoch=3)
    assert state.nodes["d"].state is NodeState.REMOVED


async def test_waiting_shows_lines_in_a_pipe_until_the_change_is_done(ring_client, admin, server):
    async with running_cli("remove", "--server", server, "d", "--wait", "--request-id", "r1") as command:
        await command.says("drain d: running")
        await hand_over(ring_client, admin)
        outcome = await command.ended()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1].startswith("Request r1 (drain d) is done after 0:")


async def test_waiting_shows_a_bar_on_a_terminal(ring_client, admin, server):
    await cli("drain", server, "d", "--request-id", "r1")
    state = await state_when_migrating(admin.topology, epoch=2)
    await report_sync(ring_client, state.epoch, NODES)
    shown = await on_terminal("watch", server, "r1")
    assert "━━━" in shown
    assert "Request r1 (drain d) is done" in shown


async def test_whoever_stops_waiting_stops_nothing_else(ring_client, admin, server):
    async with running_cli("drain", server, "d", "--wait", "--request-id", "r1") as command:
        await command.says("drain d: running")
        command.interrupt()
        outcome = await command.ended()
    assert outcome.code == 130
    assert outcome.err == (
        "tritontube-admin: no longer waiting; the change goes on. "
        f"See it with: tritontube-admin watch {server} r1\n"
    )
    await hand_over(ring_client, admin)
    assert (await state_when_stable(admin.topology, epoch=3)).nodes["d"].state is NodeState.REMOVED


@pytest.mark.usefixtures("server")
async def test_a_server_that_starts_again_is_waited_for(ring_client, admin):
    address = f"127.0.0.1:{free_port()}"
    async with AsyncExitStack() as first_run:
        await first_run.enter_async_context(admin_server(address, admin))
        async with running_cli("drain", address, "d", "--wait") as command:
            await command.says("drain d: running")
            await first_run.aclose()
            await hand_over(ring_client, admin)
            async with admin_server(address, admin):
                outcome = await command.ended()
    assert outcome.code == 0
    assert outcome.err == "" or outcome.err.endswith("It is asked again and again, for a minute.\n")


async def test_a_server_that_stays_away_is_told_while_it_is_waited_for():
    async with running_cli("watch", "127.0.0.1:1", "r1") as command:
        told = await eventually(
            lambda: command.errors.decode().endswith("\n") and command.errors.decode(),
            deadline_s=DEADLINE_S,
            what="a word",
        )
        command.interrupt()
        await command.ended()
    assert told == (
        "tritontube-admin: 127.0.0.1:1 cannot be reached. It is asked again and again, for a minute.\n"
    )


async def test_an_aborted_change_ends_badly_for_who_waits_and_well_for_who_aborts(ring_client, admin, server):
    async with running_cli("drain", server, "d", "--wait", "--request-id", "r1") as command:
        await command.says("drain d: running")
        async with running_cli("abort", server, "--wait") as abort:
            await abort.says("abort")
            state = await state_when_migrating(admin.topology, epoch=3)
            await report_sync(ring_client, state.epoch, NODES)
            assert (await abort.ended()).code == 0
        outcome = await command.ended()
    assert outcome.code == 1
    assert outcome.err.startswith("tritontube-admin: Request r1 (drain d) was aborted")
    assert (await state_of(ring_client)).nodes["d"].state is NodeState.ACTIVE


async def test_a_preview_tells_what_would_move_and_moves_nothing(ring_client, server):
    before = await state_of(ring_client)
    outcome = await cli("drain", server, "d", "--dry-run")
    assert outcome.code == 0
    rows = {line.split("\t")[0]: line.split("\t") for line in outcome.out.splitlines() if "\t" in line}
    assert rows["a"][1] == "25.0% -> 33.3%"
    assert rows["d"][1] == "25.0% -> 0.0%"
    assert outcome.out.endswith("Nothing was changed.\n")
    record = json.loads((await cli("set-weight", server, "d", "3", "--dry-run", "--json")).out)
    assert record["partitions"] > 0
    assert await state_of(ring_client) == before
    assert await requests_on_record(ring_client) == {}


async def test_weights_and_rebalancing_are_changes_like_any_other(ring_client, admin, server):
    await cli("set-weight", server, "d", "2")
    await hand_over(ring_client, admin)
    state = await state_when_stable(admin.topology, epoch=3)
    assert state.nodes["d"].weight == 2
    assert (await cli("rebalance", server, "--request-id", "r2")).code == 0
    change = (await state_when_migrating(admin.topology, epoch=4)).change
    assert change
    assert change.kind is ChangeKind.REBALANCE


async def test_a_change_can_be_followed_by_programs(ring_client, admin, server):
    async with running_cli("drain", server, "d", "--wait", "--json", "--request-id", "r1") as command:
        await command.says('"running"')
        await hand_over(ring_client, admin)
        outcome = await command.ended()
    news = [json.loads(line) for line in outcome.out.splitlines()]
    assert {item["request"]["request_id"] for item in news} == {"r1"}
    assert news[-1]["request"]["state"] == "done"
    assert news[-1]["request"]["ended_at"]
    changes = json.loads((await cli("changes", server, "--json")).out)["changes"]
    assert changes == [news[-1]["request"]]


# ---- refusals ----


async def test_a_failure_is_one_sentence_and_exit_code_one(bare_server):
    outcome = await cli("list", bare_server)
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith(
        f"tritontube-admin: {bare_server}: The storage ring has not been formed yet"
    )
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (("drain", "nobody"), (1, "There is no storage node nobody")),
        (("add", "127.0.0.1:1"), (1, "No storage node answers at 127.0.0.1:1: start it first.")),
        (("replace", "a", "127.0.0.1:1"), (1, "No storage node answers at 127.0.0.1:1")),
        (("abort",), (1, "change")),
        (("remove", "a", "--dead"), (1, "a")),
        (("watch", "unknown"), (1, "unknown")),
        (("watch",), (1, "No change is in progress.")),
        (("drain", "d", "--request-id", "no blanks"), (2, "A request id is")),
    ],
)
async def test_what_cannot_be_done_is_refused_in_a_sentence(ring_client, server, words, end):
    before = await state_of(ring_client)
    outcome = await cli(*words, admin=server)
    code, sentence = end
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("tritontube-admin: ")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert await state_of(ring_client) == before
    assert await requests_on_record(ring_client) == {}


@pytest.mark.parametrize("arguments", [("list",), ("status", "--json"), ("ring",), ("changes",), ("fsck",)])
async def test_a_server_that_is_not_there_is_one_sentence_and_exit_code_one(arguments):
    outcome = await cli(*arguments, "127.0.0.1:1")
    assert outcome == (1, "", "tritontube-admin: 127.0.0.1:1 cannot be reached.\n")


@pytest.mark.parametrize("words", [("list",), ("status",), ("drain", "127.0.0.1:1"), ("fsck",), ("watch",)])
async def test_a_server_of_something_else_is_not_taken_for_an_old_one(ring_etcd, words):
    (server,) = ring_etcd.endpoints
    outcome = await cli(*words, admin=server)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tritontube-admin: Something else answers at {server}")


async def test_an_order_that_got_no_answer_can_be_given_again():
    outcome = await cli("drain", "127.0.0.1:1", "d", "--request-id", "mine")
    assert outcome.err == (
        "tritontube-admin: 127.0.0.1:1 cannot be reached. "
        "To ask again is safe with --request-id mine: nothing is done twice.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "localhost"),
        ("list", "--server", "x"),
        ("list", "http://localhost:1"),
        ("fly",),
        ("list", "--no"),
        ("add", "node-1"),
        ("replace", "node-1"),
        ("ring", "no-key"),
        ("watch", "r1", "localhost:1"),
        ("set-weight", "node-1", "-1"),
        ("set-weight", "node-1", "heavy"),
        ("set-weight", "node-1", "1", "--no"),
        ("add", "localhost:1", "--weight", "0"),
        ("remove", "node-1", "--accept-data-loss"),
        ("drain", "x" * 20_000),
        ("watch", "x" * 20_000),
    ],
)
async def test_wrong_usage_is_exit_code_two(arguments):
    outcome = await cli(*arguments)
    assert outcome.code == 2
    assert "Usage: tritontube-admin" in outcome.err


# ---- a server of the original TritonTube ----


class Original(admin_pb2_grpc.VideoContentAdminServiceServicer):
    """What the original TritonTube offers, and nothing else."""

    def __init__(self) -> None:
        self.nodes = ["localhost:8090", "localhost:8091"]

    async def ListNodes(self, request, context):  # noqa: ARG002, N802
        return admin_pb2.ListNodesResponse(nodes=self.nodes)

    async def AddNode(self, request, context):  # noqa: ARG002, N802
        self.nodes.append(request.node_address)
        return admin_pb2.AddNodeResponse(migrated_file_count=3)

    async def RemoveNode(self, request, context):  # noqa: ARG002, N802
        self.nodes.remove(request.node_address)
        return admin_pb2.RemoveNodeResponse(migrated_file_count=1)


@pytest_asyncio.fixture
async def original() -> AsyncIterator[str]:
    register = admin_pb2_grpc.add_VideoContentAdminServiceServicer_to_server
    name = admin_pb2.DESCRIPTOR.services_by_name["VideoContentAdminService"].full_name
    service = Service(name=name, register=lambda server: register(Original(), server))
    async with serving("127.0.0.1:0", service) as running:
        yield running.address


async def test_a_server_of_the_original_can_be_looked_after(original):
    assert (await cli("list", original)).out == "localhost:8090\nlocalhost:8091\n"
    assert await cli("add", original, "localhost:8092") == (0, "Done; 3 files moved.\n", "")
    removed = await cli("remove", original, "localhost:8090", "--json")
    assert json.loads(removed.out) == {"migrated_file_count": 1}
    assert (await cli("list", original)).out == "localhost:8091\nlocalhost:8092\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("status",), "can only list, add and remove nodes"),
        (("rebalance",), "can only list, add and remove nodes"),
        (("add", "localhost:8092", "--dry-run"), "can only list, add and remove nodes"),
        (("add", "localhost:8092", "--weight", "2"), "can only list, add and remove nodes"),
        (("remove", "localhost:8090", "--dead"), "can only list, add and remove nodes"),
        (("remove", "node-1"), "knows nodes by their host:port only"),
    ],
)
async def test_what_the_original_does_not_know_is_told_as_that(original, words, sentence):
    outcome = await cli(*words, admin=original)
    assert outcome.code in {1, 2}
    assert sentence in outcome.err
    assert (await cli("list", original)).out == "localhost:8090\nlocalhost:8091\n"
