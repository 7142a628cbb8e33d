"""What tests do with media: run a whole plan, put tracks together, compare pictures."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from services.shared.plan import Plan
from services.shared.task import Piece, Task, TaskResult
from services.transcoder import command
from services.transcoder.audio import encode_audio
from services.transcoder.command import Input
from services.transcoder.encode import Encoded, PieceJob, encode_piece
from services.transcoder.ladder import H264, Ladder
from services.transcoder.probe import probe
from services.transcoder.timeline import make_plan, make_tasks

_TIMEOUT_S = 120


@dataclass(kw_only=True)
class Collector:
    """A sink that keeps everything, and insists that nothing comes twice with other bytes."""

    inits: dict[str, bytes] = field(default_factory=dict)
    segments: dict[tuple[str, int], bytes] = field(default_factory=dict)

    async def init(self, track: str, data: bytes) -> None:
        assert self.inits.setdefault(track, data) == data, f"another initialisation segment for {track}"

    async def segment(self, track: str, number: int, data: bytes) -> None:
        assert (track, number) not in self.segments, f"segment {number} of {track} came twice"
        self.segments[track, number] = data

    def numbers(self, track: str) -> list[int]:
        """The numbers of a track's segments, ascending."""
        return sorted(number for name, number in self.segments if name == track)

    def write(self, track: str, path: Path) -> Path:
        """Put a track together as a player would: initialisation segment, then all others."""
        media = b"".join(self.segments[track, number] for number in self.numbers(track))
        path.write_bytes(self.inits[track] + media)
        return path


@dataclass(frozen=True, kw_only=True)
class Transcoded:
    """A source that went through its whole plan."""

    source: Input
    plan: Plan
    tasks: tuple[Task, ...]
    collector: Collector
    frames: int


async def planned(
    location: Path | str, ladder: Ladder = H264, *, counted: bool = False
) -> tuple[Input, Plan, tuple[Task, ...]]:
    """A source, its plan for one worker (so it has pieces of one and of several segments), and the tasks."""
    source = Input(location=str(location))
    info = await probe(source)
    info = replace(info, video=replace(info.video, counted=counted))
    plan = make_plan(info, generation=1, encoder="test", ladder=ladder)
    return source, plan, make_tasks(plan, info.video, workers=1, worthwhile_pixels=0)


async def transcode(location: Path | str, ladder: Ladder = H264, *, counted: bool = False) -> Transcoded:
    """Do all tasks of a source's plan, in order."""
    source, plan, tasks = await planned(location, ladder, counted=counted)
    collector, frames, done = Collector(), 0, list[Task]()
    for task in tasks:
        encoded = Encoded(frames=0, tracks={})
        if task.piece:
            encoded = await encode_piece(PieceJob(source=source, plan=plan, piece=task.piece), collector)
            frames = max(frames, task.piece.first_frame + encoded.frames)
        if task.audio:
            encoded = await encode_audio(source, plan, task.audio, collector)
        result = TaskResult(worker="test", frames=encoded.frames, tracks=dict(encoded.tracks))
        done.append(task.model_copy(update={"result": result}))
    return Transcoded(source=source, plan=plan, tasks=tuple(done), collector=collector, frames=frames)


def picture_checksums(source: Input, plan: Plan, piece: Piece, *, seek_s: float | None) -> dict[int, str]:
    """Checksums of the pictures that a piece hands to the encoder of its first rendition, by frame number."""
    single = piece.model_copy(update={"renditions": piece.renditions[:1]})
    arguments = command.piece(source, plan, single, seek_s=seek_s, targets={single.renditions[0]: "-"})
    output = arguments.index("-map")
    hashed = [*arguments[: output + 2], "-f", "framehash", "-hash", "md5", "-"]
    lines = run(hashed).decode().splitlines()
    fields = [re.split(r",\s*", line) for line in lines if not line.startswith("#")]
    return {int(line[2]): line[5] for line in fields}


def whole(plan: Plan) -> Piece:
    """The whole video as one piece of its lowest rendition."""
    return Piece(
        index=0,
        first_frame=0,
        end_frame=None,
        first_segment=0,
        segments=plan.segments,
        renditions=(plan.renditions[0].name,),
        seeks_s=(None,),
    )


def packets(path: Path) -> list[dict[str, Any]]:
    """The packets of a file's first stream."""
    said = run(["ffprobe", "-v", "error", "-select_streams", "0", "-show_packets", "-of", "json", str(path)])
    return list(json.loads(said)["packets"])


def decoded_frames(path: Path) -> int:
    """How many frames of a file's first stream decode; any complaint of the decoder is an error."""
    return decoded(path)[0]


def decoded(path: Path) -> tuple[int, list[int]]:
    """The same, and the times of its packets: by one process, as starting one is what takes longest."""
    query = ["-count_frames", "-select_streams", "0", "-show_entries", "stream=nb_read_frames:packet=pts"]
    done = subprocess.run(
        ["ffprobe", "-v", "error", *query, "-of", "json", str(path)],
        check=True,
        capture_output=True,
        timeout=_TIMEOUT_S,
    )
    assert not done.stderr, done.stderr.decode()
    said = json.loads(done.stdout)
    return int(said["streams"][0]["nb_read_frames"]), [packet["pts"] for packet in said["packets"]]


def run(arguments: list[str]) -> bytes:
    """Run a program to the end and return its standard output."""
    return subprocess.run(arguments, check=True, capture_output=True, timeout=_TIMEOUT_S).stdout
