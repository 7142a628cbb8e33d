"""Endpoints and which of them is asked."""

from pathlib import Path

import pytest

from services.shared.errors import InvalidRequestError
from services.shared.etcd.endpoints import TlsFiles, open_endpoints, split_scheme


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("10.0.0.1:2379", ("", "10.0.0.1:2379")),
        ("http://etcd-0:2379", ("http", "etcd-0:2379")),
        ("https://etcd.example.org:2379/", ("https", "etcd.example.org:2379")),
        ("[::1]:2379", ("", "[::1]:2379")),
    ],
)
def test_an_endpoint_is_an_address_with_or_without_a_scheme(name, expected):
    assert split_scheme(name) == expected


@pytest.mark.parametrize(
    "name", ["", "etcd", "etcd:", ":2379", "etcd:port", "ftp://etcd:2379", "://etcd:2379"]
)
def test_a_malformed_endpoint_is_refused_with_a_sentence(name):
    with pytest.raises(InvalidRequestError, match="host:port"):
        split_scheme(name)


async def test_callers_that_saw_the_same_failure_move_on_once():
    async with open_endpoints(["a:1", "b:1", "c:1"], None) as pool:
        failed = pool.current
        pool.move_on(failed)
        second = pool.current
        pool.move_on(failed)
        assert pool.current is second
        assert second is not failed


async def test_every_endpoint_gets_its_turn():
    async with open_endpoints(["a:1", "b:1", "c:1"], None) as pool:
        seen = set()
        for _ in pool.endpoints:
            seen.add(pool.current.name)
            pool.move_on(pool.current)
        assert seen == {"a:1", "b:1", "c:1"}


@pytest.mark.parametrize(
    ("names", "tls"),
    [
        ([], None),
        (["http://a:1"], TlsFiles()),
        (["a:1"], TlsFiles(ca_file=Path("/nowhere/ca.pem"))),
        (["a:1"], TlsFiles(cert_file=Path("/nowhere/cert.pem"))),
    ],
    ids=["none", "plain with TLS files", "no such file", "certificate without key"],
)
async def test_endpoints_that_cannot_be_used_are_refused(names, tls):
    with pytest.raises(InvalidRequestError):
        async with open_endpoints(names, tls):
            pass
