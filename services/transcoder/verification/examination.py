"""The steps of a verification, done: what is found in each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.shared.content import ContentStore
from services.shared.errors import CorruptFileError, NotFoundError
from services.shared.verification import Fault, FaultKind
from services.transcoder.process import Limits
from services.transcoder.verification.case import Case
from services.transcoder.verification.copies import Copies
from services.transcoder.verification.decoder import decode
from services.transcoder.verification.manifests import objection_to
from services.transcoder.verification.steps import Stretch


@dataclass(kw_only=True)
class Findings:
    """What was looked at in a step, and what is wrong with it."""

    faults: list[Fault] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 0
    frames: int = 0


class Examination:
    """Looks at one video. Every call raises `UnavailableError` where too little of the ring answers.

    Args:
        case: the video.
        copies: asks the nodes about its files.
        content: the ring.
        mend: whether nodes are to get the copies that they lack.
        limits: of a decoder.
    """

    def __init__(
        self, case: Case, copies: Copies, content: ContentStore, *, mend: bool, limits: Limits
    ) -> None:
        self._case = case
        self._copies = copies
        self._content = content
        self._mend = mend
        self._limits = limits

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return 1 + len(self._case.stretches)

    async def step(self, number: int) -> Findings:
        """Do one of the steps."""
        if number == 0:
            return await self._look_at_the_rest()
        return await self._look_at_tracks(self._case.stretches[number - 1])

    async def _look_at_the_rest(self) -> Findings:
        """Originals, manifests, pictures. Nodes read through originals in their own time."""
        originals, others = self._case.originals, self._case.others
        found = Findings(files=len(originals) + len(others))
        found.faults += await self._look_at_copies(originals, found, thoroughly=False)
        found.faults += await self._look_at_copies(others, found)
        for file, name in self._case.manifests.items():
            if text := await self._read(file, found):
                problem = objection_to(name, text, self._case.shown, self._case.outlines)
                found.faults += [self._fault(FaultKind.MANIFEST, file, problem)] if problem else []
        return found

    async def _look_at_copies(
        self, names: Sequence[str], found: Findings, *, thoroughly: bool = True
    ) -> list[Fault]:
        """Faults of files' copies. What no owner holds may be elsewhere, or gone."""
        seen = await self._copies.look(names, thoroughly=thoroughly)
        faults = await self._copies.mend(seen.faults) if self._mend else seen.faults
        absent = [file for file in seen.absent if await self._is_gone(file)]
        found.faults += [self._fault(FaultKind.MISSING, file) for file in absent]
        return [self._placed(fault) for fault in faults]

    async def _look_at_tracks(self, stretch: Stretch) -> Findings:
        found = Findings(files=len(stretch.files))
        found.faults += await self._look_at_copies(stretch.files, found)
        init = await self._init_of(stretch, found)
        segments = await self._segments_of(stretch, found)
        if init and segments:
            await self._decode(stretch, init, segments, found)
        return found

    async def _init_of(self, stretch: Stretch, found: Findings) -> bytes:
        """The initialisation segment, empty if it is of no use."""
        file = stretch.outline.init_file
        data = await self._read(file, found)
        if data and (problem := stretch.outline.objection_to_init(data, hashlib.sha256(data).hexdigest())):
            found.faults.append(self._fault(FaultKind.TIMELINE, file, problem))
            return b""
        return data

    async def _segments_of(self, stretch: Stretch, found: Findings) -> dict[int, bytes]:
        """Those segments of a stretch that are as they should be, by number: some 20 MB."""
        segments: dict[int, bytes] = {}
        for number in stretch.numbers:
            file = stretch.outline.segment_file(number)
            data = await self._read(file, found)
            if not data:
                continue
            if problem := stretch.outline.objection_to(number, data):
                found.faults.append(self._fault(FaultKind.TIMELINE, file, problem))
            else:
                segments[number] = data
        return segments

    async def _decode(
        self, stretch: Stretch, init: bytes, segments: Mapping[int, bytes], found: Findings
    ) -> None:
        """Decode a stretch; if that goes wrong, each segment alone: all begin with a key frame."""
        problem, found.frames = await self._problem(stretch, init, segments)
        if not problem:
            return
        for number, data in segments.items():
            its_problem, _ = await self._problem(stretch, init, {number: data})
            if its_problem:
                file = stretch.outline.segment_file(number)
                found.faults.append(self._fault(FaultKind.UNDECODABLE, file, its_problem))
        if not any(fault.kind is FaultKind.UNDECODABLE for fault in found.faults):
            file = stretch.outline.segment_file(min(segments))
            joined = f"From this one on, though each can be decoded alone: {problem}"
            found.faults.append(self._fault(FaultKind.UNDECODABLE, file, joined))

    async def _problem(self, stretch: Stretch, init: bytes, segments: Mapping[int, bytes]) -> tuple[str, int]:
        """What a decoder says against some segments (empty: nothing), and how many frames it made."""
        decoded = await decode([init, *segments.values()], limits=self._limits)
        wanted = sum(map(stretch.outline.frames_of, segments))
        counted = f"{decoded.frames} of {wanted} frames were decoded." if decoded.frames != wanted else ""
        return " ".join(filter(None, (counted, decoded.complaint))), decoded.frames

    async def _read(self, file: str, found: Findings) -> bytes:
        """A file; empty where it can't be had, which is noted."""
        try:
            data = await self._content.get_bytes(f"{self._case.video.id}/{file}")
        except NotFoundError:
            found.faults.append(self._fault(FaultKind.MISSING, file))
            return b""
        except CorruptFileError as error:
            found.faults.append(self._fault(FaultKind.DAMAGED, file, str(error)))
            return b""
        found.size_bytes += len(data)
        return data

    async def _is_gone(self, file: str) -> bool:
        try:
            await self._content.stat(f"{self._case.video.id}/{file}")
        except NotFoundError:
            return True
        return False

    def _fault(self, kind: FaultKind, file: str, problem: str = "") -> Fault:
        return self._placed(Fault(kind=kind, file=file, problem=problem))

    def _placed(self, fault: Fault) -> Fault:
        track, segment = self._case.place(fault.file)
        return fault.model_copy(update={"track": track, "segment": segment})
