"""Players by other people on a page of another site: what our manifests mean to them counts, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.viewer import Viewer, other_site

_MODULES: Final = Path(__file__).with_name("players") / "node_modules"
DASHJS: Final = _MODULES / "dashjs/dist/modern/umd/dash.all.min.js"
HLSJS: Final = _MODULES / "hls.js/dist/hls.min.js"

_PLAY_DASHJS: Final = """manifest => {
    window.errors = [];
    const player = dashjs.MediaPlayer().create();
    player.on("error", ({ error }) => errors.push(error.message));
    player.initialize(document.querySelector("video"), manifest, true);
    window.player = player;
}"""
_PLAY_HLSJS: Final = """playlist => {
    window.errors = [];
    const player = new Hls();
    player.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && errors.push(details));
    player.on(Hls.Events.MANIFEST_PARSED, () => document.querySelector("video").play());
    player.loadSource(playlist);
    player.attachMedia(document.querySelector("video"));
    window.player = player;
}"""

Json = dict[str, Any]


async def open_dashjs(visitor: Viewer, video: Json) -> None:
    """Play the MPD with dash.js."""
    await _open(visitor, DASHJS, _PLAY_DASHJS, video["links"]["manifest"])


async def open_hlsjs(visitor: Viewer, video: Json) -> None:
    """Play the master playlist with hls.js."""
    await _open(visitor, HLSJS, _PLAY_HLSJS, video["links"]["hls"])


async def _open(visitor: Viewer, script: Path, play: str, manifest: str) -> None:
    _require(script)
    async with other_site("<video muted></video>") as address:
        visitor.expect(address)
        await visitor.page.goto(address)
    await visitor.page.add_script_tag(path=script)
    await visitor.page.evaluate(play, visitor.base_url + manifest)


def _require(script: Path) -> None:
    if not script.exists():
        pytest.skip(f"{script.name} is not installed: scripts/setup --test does that where there is npm")
