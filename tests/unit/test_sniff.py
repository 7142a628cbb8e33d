"""What is refused at a glance, and above all what is not."""

from __future__ import annotations

import pytest

from services.shared.errors import UnsupportedMediaError
from services.web.sniff import HEAD_BYTES, refuse_obvious

CONTAINERS = {
    "mp4": b"\x00\x00\x00\x20ftypisom",
    "mov": b"\x00\x00\x00\x14ftypqt  ",
    "mov without ftyp": b"\x00\x00\x10\x00moov",
    "matroska": b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01",
    "avi": b"RIFF\x00\x10\x00\x00AVI LIST",
    "mpegts": b"G@\x00\x10\x00" + b"\xff" * 183,
    "m2ts": b"\x00\x00\x00\x00G@\x00\x10",
    "mpegps": b"\x00\x00\x01\xbaD\x00",
    "flv": b"FLV\x01\x05\x00\x00\x00\x09",
    "ogg": b"OggS\x00\x02" + b"\x00" * 8,
    "asf": b"0&\xb2u\x8ef\xcf\x11",
    "mxf": b"\x06\x0e+4\x02\x05\x01\x01",
    "gif": b"GIF89a\x01\x00\x01\x00",
    "raw h264": b"\x00\x00\x00\x01\x67",
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "noise": bytes(range(256)),
}
NO_VIDEOS = {
    "pdf": b"%PDF-1.7\n%\xe2\xe3",
    "zip": b"PK\x03\x04\x14\x00",
    "gzip": b"\x1f\x8b\x08\x00",
    "png": b"\x89PNG\r\n\x1a\n\x00",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "program": b"\x7fELF\x02\x01",
    "text": b"This is no video.\n",
    "page": b"<!DOCTYPE html>\r\n<html>",
    "playlist": b"#EXTM3U\n#EXT-X-VERSION:3\nhttp://127.0.0.1/secret",
    "list of files": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "one letter": b"x",
    "other letters": "Ünïcödé 片\n".encode(),
    "letters cut in the middle": "片".encode()[:2],
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_no_container_is_ever_refused(kind):
    refuse_obvious(CONTAINERS[kind])
    refuse_obvious((CONTAINERS[kind] + bytes(HEAD_BYTES))[:HEAD_BYTES])


@pytest.mark.parametrize("kind", NO_VIDEOS)
def test_what_is_obviously_something_else_is_refused_with_a_sentence(kind):
    with pytest.raises(UnsupportedMediaError, match=r"^This is not a video but .+\.$"):
        refuse_obvious(NO_VIDEOS[kind])


def test_an_empty_file_is_refused_as_empty():
    with pytest.raises(UnsupportedMediaError, match="empty"):
        refuse_obvious(b"")
