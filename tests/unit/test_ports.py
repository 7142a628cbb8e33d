"""Ports of a stack: free, remembered, and explained when taken."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from services.local.ports import LOOPBACK, PortBook
from services.shared.errors import ConflictError, InvalidRequestError


def _listens_on(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((LOOPBACK, port))
    server.listen()
    return server


def _free_port(folder: Path) -> int:
    book = PortBook(folder / "probe.json")
    port = book.take("probe", "any")
    book.release("probe")
    return port


def test_a_port_is_the_same_at_the_next_start(tmp_path: Path):
    first = PortBook(tmp_path / "ports.json")
    port = first.take("etcd-1", "peer")
    first.save()
    first.release("etcd-1")
    assert PortBook(tmp_path / "ports.json").take("etcd-1", "peer") == port


def test_ports_of_one_stack_differ(tmp_path: Path):
    book = PortBook(tmp_path / "ports.json")
    taken = [book.take(f"storage-{number}", "gRPC") for number in range(40)]
    assert len(set(taken)) == len(taken)


def test_a_chosen_port_is_held_until_its_server_starts(tmp_path: Path):
    book = PortBook(tmp_path / "ports.json")
    port = book.take("web-1", "admin")
    with pytest.raises(OSError, match="in use"):
        _listens_on(port)
    book.release("web-1")
    _listens_on(port).close()


def test_releasing_one_server_holds_on_to_the_ports_of_others(tmp_path: Path):
    book = PortBook(tmp_path / "ports.json")
    port = book.take("web-10", "admin")
    book.release("web-1")
    with pytest.raises(OSError, match="in use"):
        _listens_on(port)


def test_ports_count_up_from_the_base_past_taken_ones(tmp_path: Path):
    other = PortBook(tmp_path / "other.json")
    taken = other.take("any", "port")
    book = PortBook(tmp_path / "ports.json", base=taken)
    assert book.take("etcd-1", "client") > taken


def test_a_remembered_port_that_is_taken_is_explained(tmp_path: Path):
    book = PortBook(tmp_path / "ports.json")
    port = book.take("etcd-1", "peer")
    book.save()
    book.release("etcd-1")
    with _listens_on(port), pytest.raises(ConflictError, match=rf"{port}.*etcd-1 peer.*--data"):
        PortBook(tmp_path / "ports.json").take("etcd-1", "peer")


def test_an_asked_port_that_is_taken_names_the_option(tmp_path: Path):
    book = PortBook(tmp_path / "ports.json")
    port = book.take("other", "any")
    with pytest.raises(ConflictError, match=rf"Port {port} is taken.*--port"):
        book.take_exactly("web-1", port, option="--port")


def test_an_asked_port_is_not_remembered(tmp_path: Path):
    port = _free_port(tmp_path)
    other = PortBook(tmp_path / "new.json")
    other.take_exactly("web-1", port, option="--port")
    other.save()
    assert json.loads((tmp_path / "new.json").read_text()) == {}


def test_a_preferred_port_is_held_and_not_remembered(tmp_path: Path):
    port = _free_port(tmp_path)
    book = PortBook(tmp_path / "new.json")
    assert book.prefer("web-1", "admin", port) == port
    with pytest.raises(OSError, match="in use"):
        _listens_on(port)
    book.release("web-1")
    _listens_on(port).close()
    book.save()
    assert json.loads((tmp_path / "new.json").read_text()) == {}


def test_without_a_preferred_port_the_one_chosen_instead_is_remembered(tmp_path: Path):
    port = _free_port(tmp_path)
    with _listens_on(port):
        first = PortBook(tmp_path / "new.json")
        instead = first.prefer("web-1", "admin", port)
        assert instead != port
        first.save()
        first.release("web-1")
        assert PortBook(tmp_path / "new.json").prefer("web-1", "admin", port) == instead


def test_there_is_no_port_to_prefer_after_the_last(tmp_path: Path):
    assert PortBook(tmp_path / "ports.json").prefer("web-1", "admin", 65_536) < 65_536


def test_a_damaged_file_is_never_replaced(tmp_path: Path):
    file = tmp_path / "ports.json"
    file.write_text('{"etcd-1 peer": 231')
    with pytest.raises(ConflictError, match="damaged"):
        PortBook(file)
    assert file.read_text() == '{"etcd-1 peer": 231'


def test_a_base_near_the_end_is_refused(tmp_path: Path):
    book = PortBook(tmp_path / "ports.json", base=65_535)
    with pytest.raises(InvalidRequestError, match="--base-port"):
        [book.take(f"storage-{number}", "gRPC") for number in range(2)]
