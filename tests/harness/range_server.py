"""A file over HTTP with byte ranges, and an address that answers nothing."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class _RangeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        data = (self.folder / self.path.lstrip("/")).read_bytes()
        span = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", "bytes=0-"))
        assert span is not None
        first, last = int(span[1]), int(span[2] or len(data) - 1)
        if first >= len(data):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # ffmpeg hangs up when it has had enough
            self.wfile.write(data[first : last + 1])

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def range_server(folder: Path, listener: socket.socket | None = None) -> Iterator[str]:
    """Serve a folder's files, through `listener` if one is given; yields the address."""
    handler = type("Handler", (_RangeHandler,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if listener is not None:
        server.socket.close()
        server.socket = listener.dup()
        server.server_address = listener.getsockname()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """An address that takes connections and never says a word: whoever reads from it hangs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/video.mp4"
