"""The README's commands, as they stand there: each does what is said of it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.harness.stack import Stack
from tests.harness.storage import StorageNode

pytestmark = pytest.mark.timeout(600)

_ROOT: Final = Path(__file__).parents[2]
_COMMAND_DEADLINE_S: Final = 240.0

# What a command prints, by how it begins. `up` and `down` are the beginning and the end of the test.
_SAYS: Final = {
    "tritontube upload ": "ready",
    "tritontube status ": "storage-1",
    "curl -F ": '"status":',
    "curl localhost:8080/api/": '"title":"film"',
    "tritontube-admin list": "127.0.0.1:",
    "tritontube-admin status": "STABLE",
    "tritontube-admin add HOST:PORT ": "done",
    "tritontube-admin add 10.0.0.7:9090 ": "start it first",
    "tritontube-admin fsck": "nothing to mend",
    "tritontube-admin verify VIDEO ": "sound",
}
_REFUSED: Final = "tritontube-admin add 10.0.0.7:9090 "
"""There is no such node; its address becomes one of this machine where nobody listens."""


def _commands() -> Iterator[str]:
    """What stands under "Using it", without comments."""
    [block] = re.findall(r"## Using it\n+```sh\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines():
        if command := re.sub(r"(^|\s)#.*", "", line).strip():
            yield command.removeprefix(".venv/bin/")


def _film(folder: Path) -> None:
    picture = "testsrc2=size=320x180:rate=24:duration=3"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p", "film.mkv"]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL, cwd=folder)


class Reader:
    """Somebody who types the commands into one shell after another, with addresses of their own."""

    def __init__(self, folder: Path, stack: Stack, *, video: str, new_node: str) -> None:
        self._folder = folder
        self._words = {
            "./data": str(stack.data),
            "localhost:8080": stack.endpoints.web.removeprefix("http://"),
            "VIDEO": video,
            "HOST:PORT": new_node,
            "10.0.0.7:9090": "127.0.0.1:1",
        }
        self._env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "200",
            "TRITONTUBE_SERVER": stack.endpoints.web,
            "TRITONTUBE_ADMIN": stack.endpoints.admin,
        }

    async def types(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command; what it printed, errors included."""
        return await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", self._filled_in(command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_COMMAND_DEADLINE_S,
            cwd=self._folder,
            env=self._env,
        )

    def _filled_in(self, command: str) -> str:
        for printed, ours in self._words.items():
            command = command.replace(printed, ours)
        return command


def _node(stack: Stack, folder: Path) -> StorageNode:
    """One more, on the stack's etcd."""
    return StorageNode(data=folder / "new", etcd=[member.client for member in stack.endpoints.etcd])


async def test_each_command_of_the_readme_does_what_it_says(own_stack: Stack, tmp_path: Path):
    up, *commands = _commands()
    assert up == "tritontube up --data ./data --port 8080"
    down = "tritontube down --data ./data"
    commands.remove(down)

    _film(tmp_path)
    await own_stack.start()
    video = await own_stack.upload(tmp_path / "film.mkv")
    await own_stack.wait_status(video["id"], "ready")
    node = _node(own_stack, tmp_path)
    node.server.start()
    try:
        await node.up()
        reader = Reader(tmp_path, own_stack, video=video["id"], new_node=node.address)
        unused = dict(_SAYS)
        for command in commands:
            [begins] = [begin for begin in unused if command.startswith(begin)]
            ran = await reader.types(command)
            assert unused.pop(begins) in ran.stdout, f"{command}\n{ran.stdout}"
            assert (ran.returncode == 0) == (begins != _REFUSED), f"{command}\n{ran.stdout}"
        assert not unused, "the README does not have them any more"
        assert "has stopped" in (await reader.types(down)).stdout
        assert own_stack.left_running == []
    finally:
        node.server.kill()
