"""`tritontube upload`: what a person at a terminal and a script get from it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.ports import free_port
from tests.harness.stack import Stack, command


@pytest.fixture(scope="session")
def clip(source_folder: Path) -> Path:
    """Two seconds of a test picture, quick to transcode."""
    file = source_folder / "clip of two seconds.mp4"
    picture = "testsrc2=size=320x180:rate=24:duration=2"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p", str(file)],
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    return file


async def _upload(stack: Stack, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return await command("upload", "--server", stack.endpoints.web, *map(str, arguments))


def _videos(finished: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert finished.returncode == 0, finished.stderr
    return list(json.loads(finished.stdout))


async def test_an_upload_is_in_the_library_under_its_title(stack: Stack, clip: Path):
    [video] = _videos(await _upload(stack, "--json", "--title", "Ein Lauf", clip))
    assert (await stack.video(video["id"]))["title"] == "Ein Lauf"


async def test_with_wait_the_video_is_ready_at_the_end(stack: Stack, clip: Path):
    [video] = _videos(await _upload(stack, "--wait", "--json", clip))
    assert (video["status"], video["progress"]) == ("ready", 1.0)
    assert video["renditions"]


async def test_the_address_to_watch_it_at_is_printed(stack: Stack, clip: Path):
    shown = await _upload(stack, clip)
    assert shown.returncode == 0
    assert f"{stack.endpoints.web}/videos/" in shown.stdout


async def test_a_bad_file_fails_with_the_servers_reason_and_does_not_cost_the_others(
    stack: Stack, clip: Path, tmp_path: Path
):
    text = tmp_path / "text.mp4"
    text.write_text("These are words, not pictures.\n" * 100)
    finished = await _upload(stack, "--json", text, clip)
    assert finished.returncode == 1
    assert str(text) in finished.stderr
    [video] = json.loads(finished.stdout)
    assert (await stack.video(video["id"]))["status"] != "failed"


async def test_a_missing_file_is_named(stack: Stack, tmp_path: Path):
    finished = await _upload(stack, tmp_path / "nowhere.mp4")
    assert finished.returncode == 1
    assert "nowhere.mp4" in finished.stderr
    assert "No such file" in finished.stderr


async def test_a_server_that_is_not_there_is_explained(clip: Path):
    finished = await command("upload", "--server", f"http://127.0.0.1:{free_port()}", str(clip))
    assert finished.returncode == 1
    assert "tritontube up" in finished.stderr


async def test_an_address_without_a_scheme_is_explained(clip: Path):
    finished = await command("upload", "--server", "localhost:8080", str(clip))
    assert finished.returncode == 1
    assert "http://" in finished.stderr


async def test_one_title_for_two_files_is_wrong_usage(clip: Path):
    finished = await command("upload", "--title", "Both", str(clip), str(clip))
    assert finished.returncode == 2
    assert "--title" in finished.stderr
