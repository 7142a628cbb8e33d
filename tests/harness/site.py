"""A folder's files over HTTP, as any web server gives them out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from services.shared.filenames import init_file, segment_file
from services.shared.manifest import final_files
from services.transcoder.availability import availability
from tests.harness.media import Transcoded


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - as the base class has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".mpd": "application/dash+xml",
        ".m3u8": "application/vnd.apple.mpegurl",
        ".m4s": "video/mp4",
    }

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")  # players stand on a site of their own
        super().end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with contextlib.suppress(ConnectionError):  # players hang up when they have had enough
            super().copyfile(source, outputfile)

    def log_message(self, *_: object) -> None:
        pass


def write_site(made: Transcoded, folder: Path) -> None:
    """Put everything that players ask for into a folder."""
    generation = made.plan.generation
    for track, data in made.collector.inits.items():
        (folder / init_file(track, generation)).write_bytes(data)
    for (track, number), data in made.collector.segments.items():
        (folder / segment_file(track, generation, number)).write_bytes(data)
    for name, text in final_files(made.plan, availability(made.plan, [*made.tasks])).items():
        (folder / name).write_bytes(text)
    (folder / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><video muted></video>'
    )


@contextlib.contextmanager
def site(folder: Path) -> Iterator[str]:
    """Serve a folder; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
