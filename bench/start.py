"""From the last byte of an upload to the first picture in a real browser, for videos of several lengths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from bench import footage
from bench.machine import require_file
from bench.measure import Metric, Row, Trial, alternate, compare
from bench.stack import Client, Json, stack
from tests.harness.other_players import DASHJS, HLSJS, open_dashjs, open_hlsjs
from tests.harness.viewer import Viewer, chromium, visiting

_PLAYABLE: Final = Metric(name="last byte sent to playable", unit="s")
_PICTURE: Final = Metric(name="last byte sent to first picture", unit="s")
_ANSWERED: Final = Metric(name="last byte sent to answer", unit="s")
_MINUTES: Final = (1, 5, 10, 20)
_QUICK_MINUTES: Final = (1, 5)
_WORKERS: Final = "2"
_DEADLINE_S: Final = 300.0

Open = Callable[[Viewer, Json], Awaitable[None]]


async def _open_page(visitor: Viewer, video: Json) -> None:
    """The watch page, which begins by itself."""
    await visitor.open(video["links"]["watch"])


PLAYERS: Final[Mapping[str, Open]] = {
    "Shaka on the watch page": _open_page,
    "dash.js": open_dashjs,
    "hls.js": open_hlsjs,
}


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure each player with a video of each length."""
    for script in (DASHJS, HLSJS):
        require_file(script, package="npm, and run scripts/setup --bench again")
    films = {
        f"{minutes} min": footage.film(work, duration_s=60 * minutes)
        for minutes in (_QUICK_MINUTES if quick else _MINUTES)
    }
    shortest = next(iter(films))
    with stack(work / "stack", "--transcoders", _WORKERS) as endpoints:
        client = Client(endpoints.web)
        for name in [*PLAYERS][: 1 if quick else None]:
            trials = {length: partial(_trial, client, film, name) for length, film in films.items()}
            measured = alternate(trials, rounds=rounds)
            yield from compare(name, measured, (_ANSWERED, _PLAYABLE, _PICTURE), yardstick=shortest)


def _trial(client: Client, film: Path, player: str) -> Trial:
    return asyncio.run(_watched(client, film, player))


async def _watched(client: Client, film: Path, player: str) -> Trial:
    """Upload, watch until there is a picture, and let nothing of it run on."""
    async with chromium() as browser, visiting(browser, client.web) as visitor:
        video = await asyncio.to_thread(client.upload, film)
        sent_at, answered_at = client.sent_at, perf_counter()
        playable = asyncio.create_task(_playable_at(client, video["id"]))
        if PLAYERS[player] is not _open_page:  # other players give up if there is nothing yet
            await playable
        await PLAYERS[player](visitor, video)
        await visitor.until(lambda now: now.decoded > 0, what="there is a picture", deadline_s=_DEADLINE_S)
        picture_at, playable_at = perf_counter(), await playable
    await asyncio.to_thread(client.delete, video["id"])
    return {
        _ANSWERED.name: answered_at - sent_at,
        _PLAYABLE.name: playable_at - sent_at,
        _PICTURE.name: picture_at - sent_at,
    }


async def _playable_at(client: Client, video_id: str) -> float:
    await asyncio.to_thread(client.wait, video_id, "playable", "ready")
    return perf_counter()
