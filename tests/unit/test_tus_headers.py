from __future__ import annotations

import base64
import hashlib

import pytest

from services.shared.errors import ChecksumError, InvalidRequestError
from services.web.tus.headers import ALGORITHMS, Checksum, http_date, metadata_of, size_in


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("text", ["0", "1", "68719476736", "000"])
def test_a_size_is_a_number(text: str):
    assert size_in({"Upload-Length": text}, "Upload-Length") == int(text)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.5", "1e3", " ", "0x10", "²", "٣", "9" * 19])
def test_what_is_no_size_is_refused_by_the_headers_name(text: str):
    with pytest.raises(InvalidRequestError, match="Upload-Length"):
        size_in({"Upload-Length": text}, "Upload-Length")


def test_a_size_that_is_not_there_is_missed():
    with pytest.raises(InvalidRequestError, match="Upload-Offset"):
        size_in({}, "Upload-Offset")


def test_metadata_are_keys_with_values_in_base64():
    text = f"filename {encoded('Möwen am Meer.mkv'.encode())},is_confidential , title {encoded(b'')}"
    assert metadata_of(text) == {"filename": "Möwen am Meer.mkv", "is_confidential": "", "title": ""}


@pytest.mark.parametrize("text", ["", "  "])
def test_there_need_not_be_metadata(text: str):
    assert metadata_of(text) == {}


def test_a_name_that_is_no_utf8_does_not_stop_an_upload():
    assert metadata_of(f"filename {encoded(bytes([0x66, 0xFF]))}") == {"filename": "f\ufffd"}


@pytest.mark.parametrize(
    "text", ["filename a b", ",", "a,,b", "a YQ==,a YQ==", "filename not-base64", "a YQ="]
)
def test_malformed_metadata_are_refused(text: str):
    with pytest.raises(InvalidRequestError):
        metadata_of(text)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_body_is_compared_with_its_checksum(algorithm: str):
    checksum = Checksum.parse(f"{algorithm} {encoded(hashlib.new(algorithm, b'right').digest())}")
    right, wrong = checksum.hash(), checksum.hash()
    right.update(b"right")
    wrong.update(b"wrong")
    checksum.check(right)
    with pytest.raises(ChecksumError):
        checksum.check(wrong)


@pytest.mark.parametrize("text", ["", "crc32 AAAA", "sha1 !", "SHA1 AAAA", "sha1AAAA"])
def test_a_checksum_that_cannot_be_compared_is_refused(text: str):
    with pytest.raises(InvalidRequestError):
        Checksum.parse(text)


def test_moments_are_told_as_http_does():
    assert http_date(1_700_000_000_999) == "Tue, 14 Nov 2023 22:13:20 GMT"
