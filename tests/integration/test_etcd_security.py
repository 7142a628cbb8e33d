"""Users, passwords and expiring tokens; TLS and client certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from services.shared.errors import ConflictError, InvalidRequestError, RequestError, UnavailableError
from services.shared.etcd import EtcdClient, TlsFiles, WatchEvent, absent, put_op
from tests.harness.certificates import Certificate, issue, make_authority
from tests.harness.etcd import EtcdCluster, etcd_members
from tests.harness.waiting import eventually

TOKEN_TTL_S = 1


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    """A member that wants passwords: root may do all, `reader` only what begins with `open/`."""
    flags = [f"--auth-token-ttl={TOKEN_TTL_S}", "--log-level=debug"]
    async with etcd_members(tmp_path, count=1, flags=flags) as cluster:
        await cluster.call("/v3/auth/role/add", {"name": "root"})
        await cluster.call("/v3/auth/role/add", {"name": "open"})
        key, range_end = "b3Blbi8=", "b3BlbjA="  # base64 of the prefix open/
        permission = {"permType": "READWRITE", "key": key, "range_end": range_end}
        await cluster.call("/v3/auth/role/grant", {"name": "open", "perm": permission})
        for user, role in (("root", "root"), ("reader", "open")):
            await cluster.call("/v3/auth/user/add", {"name": user, "password": f"{user}-pass"})
            await cluster.call("/v3/auth/user/grant", {"user": user, "role": role})
        await cluster.call("/v3/auth/enable", {})
        yield cluster


async def token_expired(cluster: EtcdCluster, times: int = 1) -> None:
    log = cluster.members[0].data_dir / "log"
    await eventually(
        lambda: log.read_text().count("deleted a simple token") >= times, what=f"a token expires ({times})"
    )


async def test_a_user_logs_in_again_when_the_token_expired(guarded: EtcdCluster):
    async with EtcdClient.connect(guarded.endpoints, username="root", password="root-pass") as client:
        for n in range(3):
            assert (await client.txn([absent(f"key/{n}")], [put_op(f"key/{n}", b"")])).succeeded
            await token_expired(guarded, n + 1)
        assert await client.put("key", b"") > 0


async def test_many_callers_with_an_expired_token_all_succeed(guarded: EtcdCluster):
    async with EtcdClient.connect(guarded.endpoints, username="root", password="root-pass") as client:
        await client.put("key", b"")
        await token_expired(guarded)
        assert len(await asyncio.gather(*(client.put(f"key/{n}", b"") for n in range(20)))) == 20


async def test_a_watch_and_a_lease_survive_a_member_that_forgot_their_token(guarded: EtcdCluster):
    async with (
        EtcdClient.connect(guarded.endpoints, username="root", password="root-pass") as client,
        client.lease(20) as lease,
        aclosing(client.follow("watched/")) as news,
    ):
        await anext(news)
        guarded.members[0].kill()
        guarded.members[0].start()
        await client.put("watched/key", b"", lease_id=lease.id)
        event = await anext(news)
        assert isinstance(event, WatchEvent)
        assert event.kv.key == "watched/key"
        assert not lease.lost.is_set()


async def test_what_a_user_may_not_do_is_refused_at_once(guarded: EtcdCluster):
    async with EtcdClient.connect(guarded.endpoints, username="reader", password="reader-pass") as client:
        assert await client.put("open/key", b"") > 0
        with pytest.raises(RequestError, match="permission denied"):
            await client.put("closed/key", b"")
        with pytest.raises(RequestError, match="permission denied"):
            await client.get("closed/key")
        with pytest.raises(RequestError, match="permission denied"):
            await anext(client.watch("closed/", start_revision=1))


async def test_a_wrong_password_is_told_from_an_outage(guarded: EtcdCluster):
    async with EtcdClient.connect(guarded.endpoints, username="root", password="wrong") as client:
        with pytest.raises(InvalidRequestError, match="authentication failed"):
            await client.get("key")


async def test_a_cluster_that_wants_a_password_refuses_a_client_without(guarded: EtcdCluster):
    async with EtcdClient.connect(guarded.endpoints) as client:
        with pytest.raises(RequestError, match="user name is empty"):
            await client.get("key")
        with pytest.raises(RequestError):
            await anext(client.watch("key", start_revision=1))


async def test_logging_in_to_a_cluster_without_users_says_so(etcd: EtcdCluster):
    async with EtcdClient.connect(etcd.endpoints, username="root", password="x") as client:
        with pytest.raises(ConflictError, match="authentication is not enabled"):
            await client.get("key")


async def test_a_user_without_a_password_is_refused():
    with pytest.raises(InvalidRequestError, match="neither"):
        async with EtcdClient.connect(["localhost:1"], username="root"):
            pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(scope="module")
async def secure(
    authority: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EtcdCluster]:
    """A member that speaks TLS only, and only to those who show a certificate."""
    directory = tmp_path_factory.mktemp("secure")
    server = issue(authority, directory, "server")
    context = ssl.create_default_context(cafile=authority.cert)
    context.load_cert_chain(server.cert, server.key)
    flags = [f"--cert-file={server.cert}", f"--key-file={server.key}", f"--trusted-ca-file={authority.cert}"]
    async with etcd_members(
        directory, count=1, flags=[*flags, "--client-cert-auth"], scheme="https", ssl_context=context
    ) as cluster:
        yield cluster


async def test_a_client_with_a_certificate_is_served_over_tls(
    secure: EtcdCluster, authority: Certificate, tmp_path: Path, prefix: str
):
    mine = issue(authority, tmp_path, "client")
    tls = TlsFiles(ca_file=authority.cert, cert_file=mine.cert, key_file=mine.key)
    by_name = f"https://localhost:{secure.members[0].client_port}"
    async with EtcdClient.connect([by_name], tls=tls) as client:
        revision = await client.put(prefix, b"secret")
        event = await anext(client.watch(prefix, start_revision=revision))
        assert event.kv.value == b"secret"


async def test_a_client_without_a_certificate_is_not_served(secure: EtcdCluster, authority: Certificate):
    tls = TlsFiles(ca_file=authority.cert)
    async with EtcdClient.connect(secure.endpoints, tls=tls, deadline_s=2) as client:
        with pytest.raises(UnavailableError):
            await client.get("key")


async def test_a_server_of_an_unknown_authority_is_not_trusted(secure: EtcdCluster, tmp_path: Path):
    stranger = make_authority(tmp_path)
    async with EtcdClient.connect(
        secure.endpoints, tls=TlsFiles(ca_file=stranger.cert), deadline_s=2
    ) as client:
        with pytest.raises(UnavailableError):
            await client.get("key")
