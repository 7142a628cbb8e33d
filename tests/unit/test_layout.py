"""Where a stack's members are."""

from __future__ import annotations

from pathlib import Path

from services.local.layout import Layout
from services.local.ports import PortBook
from services.local.shape import Shape
from services.local.stack import Stack

_SHAPE = Shape(storage_nodes=1, transcoders=0, etcd_nodes=1, replicas=1, webs=2)


def _laid_out(folder: Path, *, http_port: int) -> Stack:
    ports = PortBook(folder / "ports.json")
    return Layout(folder=folder, shape=_SHAPE, ports=ports, http_port=http_port, environ={}).stack()


def _pair_of_free_ports(folder: Path) -> int:
    """The first of two in a row."""
    while True:
        book = PortBook(folder / "probe.json")
        port = book.take("first", "any")
        found = book.prefer("second", "any", port + 1) == port + 1
        book.release("first")
        book.release("second")
        if found:
            return port


def test_the_admin_is_at_the_port_after_the_one_asked_for(tmp_path: Path):
    port = _pair_of_free_ports(tmp_path)
    first, second = _laid_out(tmp_path, http_port=port).webs
    assert (first.port, first.admin_port) == (port, port + 1)
    assert {second.port, second.admin_port}.isdisjoint({port, port + 1})
