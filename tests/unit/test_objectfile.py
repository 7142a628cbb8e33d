from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import CorruptFileError
from services.storage.disk.objectfile import BLOCK_BYTES, FOOTER_BYTES, ObjectFile, ObjectInfo, ObjectWriter

KEY = "0123456789abcdef/v0-g1-00001.m4s"


def write(path: Path, *chunks: bytes) -> ObjectInfo:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        writer = ObjectWriter(descriptor)
        for chunk in chunks:
            writer.append(chunk)
        return writer.finish(key=KEY, stored_at_ms=1_700_000_000_000)
    finally:
        os.close(descriptor)


def read_all(path: Path) -> bytes:
    with ObjectFile.open(path) as file:
        data = b""
        while len(data) < file.info.size_bytes:
            data += file.read(len(data), BLOCK_BYTES)
        return data


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5])
def test_an_object_reads_back_as_written_with_its_facts(tmp_path, size):
    data = os.urandom(size)
    info = write(tmp_path / "o", data)
    assert read_all(tmp_path / "o") == data
    with ObjectFile.open(tmp_path / "o") as file:
        assert file.info == info
    assert info == ObjectInfo(
        key=KEY, size_bytes=size, sha256=hashlib.sha256(data).digest(), stored_at_ms=1_700_000_000_000
    )


def test_the_file_does_not_depend_on_how_the_data_was_cut_into_chunks(tmp_path):
    data = os.urandom(2 * BLOCK_BYTES + 100_000)
    write(tmp_path / "whole", data)
    write(tmp_path / "cut", *(data[at : at + 65_537] for at in range(0, len(data), 65_537)))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "cut").read_bytes()


def test_a_read_returns_the_asked_bytes_and_stops_at_the_end_of_its_block(tmp_path):
    data = os.urandom(BLOCK_BYTES + 1000)
    write(tmp_path / "o", data)
    with ObjectFile.open(tmp_path / "o") as file:
        assert file.read(10, 5) == data[10:15]
        assert file.read(BLOCK_BYTES - 3, 100) == data[BLOCK_BYTES - 3 : BLOCK_BYTES]
        assert file.read(BLOCK_BYTES, 10**9) == data[BLOCK_BYTES:]


def test_a_damaged_block_is_refused_and_its_neighbours_are_served(tmp_path):
    data = os.urandom(3 * BLOCK_BYTES)
    write(tmp_path / "o", data)
    flip(tmp_path / "o", BLOCK_BYTES + 77)
    with ObjectFile.open(tmp_path / "o") as file:
        assert file.read(0, BLOCK_BYTES) == data[:BLOCK_BYTES]
        assert file.read(2 * BLOCK_BYTES, BLOCK_BYTES) == data[2 * BLOCK_BYTES :]
        with pytest.raises(CorruptFileError):
            file.read(BLOCK_BYTES + 500_000, 1)


def test_a_file_cut_anywhere_is_recognised(tmp_path):
    write(tmp_path / "o", os.urandom(1000))
    whole = (tmp_path / "o").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            ObjectFile.open(tmp_path / "cut")


def test_a_flipped_bit_anywhere_in_the_trailer_is_recognised(tmp_path):
    write(tmp_path / "o", os.urandom(100))
    size = (tmp_path / "o").stat().st_size
    for position in range(100, size):
        flip(tmp_path / "o", position)
        with pytest.raises(CorruptFileError):
            ObjectFile.open(tmp_path / "o")
        flip(tmp_path / "o", position)
    assert size - 100 > FOOTER_BYTES


@given(st.binary(max_size=2 * FOOTER_BYTES))
def test_arbitrary_bytes_are_no_object(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("junk") / "o"
    path.write_bytes(data)
    with pytest.raises(CorruptFileError):
        ObjectFile.open(path)


def test_two_openings_of_one_file_are_the_same_and_a_copy_is_not(tmp_path):
    write(tmp_path / "a", b"x")
    write(tmp_path / "b", b"x")
    with ObjectFile.open(tmp_path / "a") as one, ObjectFile.open(tmp_path / "a") as again:
        assert one.is_same_file(again)
        with ObjectFile.open(tmp_path / "b") as other:
            assert not one.is_same_file(other)
