"""Files that are meant to do harm, and traps that tell whether they did.

Each is one of the known ways to make ffmpeg read something else than the file it was given, or to make it
work without end. They are written from the formats' specifications, byte by byte where no tool makes them.
"""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.harness.sources import Recipe, ffmpeg, x264

READ: Final = "the secret was read"
ASKED: Final = "the service was asked"

_LONG_AGO_NS: Final = 1_000_000_000
_BOMB_BYTES: Final = 256 << 20
_HUGE_SIDE: Final = 30_000
_CLIP: Final = Recipe(name="hostile_clip", size="64x64", duration_s=1)


@dataclass(frozen=True, kw_only=True)
class Trap:
    """A video of this machine that is nobody's business, and a service that nobody has to ask."""

    secret: Path
    service: socket.socket

    @property
    def url(self) -> str:
        """Of the service."""
        host, port = self.service.getsockname()
        return f"http://{host}:{port}/secret.ts"

    def set(self) -> None:
        """Make ready: whoever reads the secret from now on leaves a trace."""
        # Reading renews the time of the last access where that is older than the last change (`relatime`).
        os.utime(self.secret, ns=(_LONG_AGO_NS, 2 * _LONG_AGO_NS))

    def sprung(self) -> list[str]:
        """What has been touched since."""
        found = [READ] if self.secret.stat().st_atime_ns != _LONG_AGO_NS else []
        try:
            self.service.accept()[0].close()
        except BlockingIOError:
            return found
        return [*found, ASKED]


@contextmanager
def trap(folder: Path) -> Iterator[Trap]:
    """A trap for the time of the context."""
    secret = Recipe(name="secret", suffix="ts", size="64x64", duration_s=1).make(folder)
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.setblocking(False)
        laid = Trap(secret=secret, service=service)
        laid.set()
        yield laid


def lists(laid: Trap) -> Mapping[str, str]:
    """Texts that name other files, each in every way that it can."""
    places = {
        "path": str(laid.secret),
        "relative": f"{laid.secret.parent.name}/{laid.secret.name}",
        "file": f"file://{laid.secret}",
        "http": laid.url,
        "concat": f"concat:{laid.secret}|{laid.secret}",
        "subfile": f"subfile,,start,0,end,0,,:{laid.secret}",
        "crypto": f"crypto:{laid.secret}",
        "cache": f"cache:{laid.url}",
        "tcp": laid.url.replace("http", "tcp"),
        "data": "data:video/mp2t;base64,R0FR",
    }
    made = {f"hls_{name}": _hls(place) for name, place in places.items()}
    made |= {f"concat_{name}": f"ffconcat version 1.0\nfile '{place}'\n" for name, place in places.items()}
    made |= {f"dash_{name}": _DASH.format(place=place) for name, place in places.items() if name != "data"}
    return made | _others(laid)


def _hls(place: str) -> str:
    return (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:2.0,\n{place}\n#EXT-X-ENDLIST\n"
    )


_DASH: Final = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"
    profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp2t">
<Representation id="1" bandwidth="1"><BaseURL>{place}</BaseURL></Representation>
</AdaptationSet></Period></MPD>
"""


def _others(laid: Trap) -> dict[str, str]:
    return {
        "hls_key": _hls(laid.secret.name).replace(
            "#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{laid.url}"\n#EXTINF'
        ),
        "hls_map": _hls(laid.secret.name).replace("#EXTINF", f'#EXT-X-MAP:URI="{laid.url}"\n#EXTINF'),
        "hls_master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{laid.url}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "asx": f'<asx version="3.0"><entry><ref href="{laid.url}"/></entry></asx>',
        "asf_reference": f"[Reference]\nRef1={laid.url}?MSWMExt=.asf\n",
        "pls": f"[playlist]\nFile1={laid.url}\nNumberOfEntries=1\n",
        "smil": f'<smil><body><video src="{laid.url}"/></body></smil>',
        "quicktime_link": f'<?xml version="1.0"?><?quicktime type="application/x-quicktime-media-link"?>'
        f'<embed src="{laid.url}"/>',
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<image xlink:href="{laid.url}" width="64" height="64"/></svg>',
        "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
        "timestamp: 00:00:00:000, filepos: 000000000\n",
        "imf": '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>urn:uuid:1</Id>'
        f"<file>{laid.secret}</file></CompositionPlaylist>",
        "metadata": f";FFMETADATA1\ntitle={laid.url}\n",
        "drawing_script": f"movie={laid.secret}[out0]",
    }


def media(laid: Trap, folder: Path) -> Mapping[str, Path]:
    """Real containers with something wicked in them."""
    makers: Mapping[str, Callable[[Trap, Path, Path], None]] = {
        "playlist_as_captions.avi": _playlist_as_captions,
        "picture_elsewhere.mov": _picture_elsewhere,
        "picture_elsewhere_url.mov": _picture_elsewhere_url,
        "attachments.mkv": _attachments,
        "many_streams.mkv": _many_streams,
        "huge_picture.mov": _huge_picture,
        "header_bomb.mov": _header_bomb,
        "time_bomb.mkv": _time_bomb,
        "boxes_in_boxes.mp4": _boxes_in_boxes,
        "endless_sync.ts": _endless_sync,
        "captions_of_files.mkv": _captions_of_files,
    }
    clip = _CLIP.make(folder)
    for name, make in makers.items():
        if not (folder / name).exists():
            make(laid, clip, folder / name)
    return {name: folder / name for name in makers}


def _chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of RIFF."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _playlist_as_captions(laid: Trap, _: Path, path: Path) -> None:
    """An AVI whose caption stream (GAB2) holds a playlist: the demuxer opens what it finds there."""
    playlist = _hls(laid.url).encode()
    captions = (
        b"GAB2\0" + struct.pack("<HIH", 2, 2, 0) + b"x\0" + struct.pack("<HI", 4, len(playlist)) + playlist
    )
    header = struct.pack("<14I", 40_000, 0, 0, 0x10, 1, 0, 1, 0, 64, 64, 0, 0, 0, 0)
    stream = struct.pack(
        "<4s4sIHHIIIIIIIIHHHH", b"txts", b"\0" * 4, 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0
    )
    streams = b"strl" + _chunk(b"strh", stream) + _chunk(b"strf", b"")
    headers = b"hdrl" + _chunk(b"avih", header) + _chunk(b"LIST", streams)
    movie = b"movi" + _chunk(b"00tx", captions)
    path.write_bytes(_chunk(b"RIFF", b"AVI " + _chunk(b"LIST", headers) + _chunk(b"LIST", movie)))


_DREF_PATH: Final = (b"moov", b"trak", b"mdia", b"minf", b"dinf")


def _with_reference(clip: Path, entry: bytes) -> bytes:
    """The clip, its pictures said to be in another file. The index is at the end, so no offset changes."""
    data = bytearray(clip.read_bytes())
    parents, position = [], 0
    for name in _DREF_PATH:
        position = data.index(name, position) - 4
        parents.append(position)
        position += 8
    start = data.index(b"dref", position) - 4
    (size,) = struct.unpack_from(">I", data, start)
    box = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    data[start : start + size] = box
    for parent in parents:
        (old,) = struct.unpack_from(">I", data, parent)
        struct.pack_into(">I", data, parent, old + len(box) - size)
    return bytes(data)


def _picture_elsewhere(laid: Trap, clip: Path, path: Path) -> None:
    """A Macintosh alias record (Inside Macintosh: Files, 4) in place of the reference to the file itself."""
    name = laid.secret.name.encode()
    target = str(laid.secret).encode()
    alias = struct.pack(">IHH", 0, 150 + len(target), 2) + b"\0" * 2
    alias += struct.pack(">B27s", 1, b"/") + b"\0" * 12 + struct.pack(">B63s", len(name), name) + b"\0" * 16
    alias += struct.pack(">HH", 0, 1) + b"\0" * 16
    alias += (
        struct.pack(">HH", 2, len(target))
        + target
        + b"\0" * (len(target) % 2)
        + struct.pack(">HH", 0xFFFF, 0)
    )
    record = b"\0" * 4 + alias
    path.write_bytes(_with_reference(clip, struct.pack(">I4s", 8 + len(record), b"alis") + record))


def _picture_elsewhere_url(laid: Trap, clip: Path, path: Path) -> None:
    """ISO/IEC 14496-12, 8.7.2: a reference by URL."""
    record = b"\0" * 4 + laid.url.encode() + b"\0"
    path.write_bytes(_with_reference(clip, struct.pack(">I4s", 8 + len(record), b"url ") + record))


def _attachments(laid: Trap, clip: Path, path: Path) -> None:
    playlist = path.with_suffix(".m3u8")
    playlist.write_text(_hls(laid.url))
    kind = ("-metadata:s:t:0", "mimetype=application/x-truetype-font")
    ffmpeg("-i", str(clip), "-c", "copy", "-attach", str(playlist), *kind, str(path))


def _many_streams(_: Trap, clip: Path, path: Path) -> None:
    ffmpeg("-i", str(clip), *(("-map", "0:v") * 900), "-frames:v", "1", "-c", "copy", str(path))


def _huge_picture(_: Trap, __: Path, path: Path) -> None:
    """A PNG that claims 900 million pixels in a few kilobytes."""
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:rate=1:duration=1", "-c:v", "png", str(path))
    data = bytearray(path.read_bytes())
    header = data.index(b"IHDR") + 4
    data[header : header + 8] = struct.pack(">II", _HUGE_SIDE, _HUGE_SIDE)
    checksum = zlib.crc32(data[header - 4 : header + 13])
    data[header + 13 : header + 17] = struct.pack(">I", checksum)
    path.write_bytes(data)


def _box(name: bytes, data: bytes) -> bytes:
    """A box of ISO media files."""
    return struct.pack(">I4s", 8 + len(data), name) + data


def _header_bomb(_: Trap, __: Path, path: Path) -> None:
    """A compressed header (QuickTime's `cmov`) that unpacks to a thousand times its size."""
    packer, packed = zlib.compressobj(1), b""
    for _block in range(_BOMB_BYTES >> 20):
        packed += packer.compress(bytes(1 << 20))
    packed += packer.flush()
    method = _box(b"dcom", b"zlib")
    content = _box(b"cmvd", struct.pack(">I", _BOMB_BYTES) + packed)
    path.write_bytes(_box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", _box(b"cmov", method + content)))


def _time_bomb(_: Trap, __: Path, path: Path) -> None:
    """Six pictures that last twenty hours."""
    leap = "setpts='if(eq(N,5),20*3600/TB,N/25/TB)'"
    video = (*x264("-frames:v", "6"), "-fps_mode", "passthrough")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25", "-vf", leap, *video, str(path))


def _boxes_in_boxes(_: Trap, __: Path, path: Path) -> None:
    """Boxes nested thousands deep: a parser that calls itself runs out of stack."""
    depth = 10_000
    boxes = b"".join(struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth))
    path.write_bytes(_box(b"ftyp", b"isom\0\0\0\0isom") + boxes)


def _endless_sync(_: Trap, __: Path, path: Path) -> None:
    """Packets of a transport stream that never say what they are part of."""
    packet = b"\x47\x01\x00\x10" + b"\xff" * 184
    path.write_bytes(packet * 20_000)


def _captions_of_files(laid: Trap, clip: Path, path: Path) -> None:
    """Captions that name fonts and pictures by path."""
    script = path.with_suffix(".ass")
    script.write_text(
        "[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname\n"
        f"Style: Default,{laid.secret}\n[Events]\nFormat: Start, End, Text\n"
        f"Dialogue: 0:00:00.00,0:00:01.00,{{\\fn{laid.secret}}}{{\\img(0,{laid.url})}}hello\n"
    )
    ffmpeg("-i", str(clip), "-i", str(script), "-c:v", "copy", "-c:s", "ass", str(path))
